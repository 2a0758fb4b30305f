# The AWS side, whole. Applied after the Azure stack, whose outputs it is given.

provider "aws" {
  region = var.region

  default_tags {
    tags = merge({ application = "saga-bridge" }, var.tags)
  }
}

locals {
  relayed     = var.transport == "federation-relay"
  login       = "https://login.microsoftonline.com/${var.tenant_id}"
  kms_key_arn = var.customer_managed_key ? module.encryption[0].key_arn : null
}

module "encryption" {
  source = "../../modules/encryption"
  count  = var.customer_managed_key ? 1 : 0

  prefix = var.prefix
}

module "saga" {
  source = "../../modules/saga-aws"

  prefix              = var.prefix
  zips_dir            = "${var.packages_dir}/${var.architecture}"
  architecture        = var.architecture
  azure_secret        = local.relayed ? null : var.azure_secret
  archive_days        = var.archive_days
  log_retention_days  = var.log_retention_days
  nudge_after_seconds = var.nudge_after_seconds

  azure = {
    topic_endpoint = var.topic_endpoint
    rate_limit     = var.rate_limit
    oauth          = local.relayed || var.client_id == null ? null : { token_endpoint = "${local.login}/oauth2/v2.0/token", client_id = var.client_id }
    relay          = local.relayed ? { tenant_id = var.tenant_id, client_id = var.client_id } : null
  }

  # Callers sign their requests; there is no variable to open the API.
  api = { auth = "AWS_IAM", callers = var.api_callers }

  # Those of Azure are seen once the Azure stack trusts the replayer's role.
  dead_letters = {
    auth    = "AWS_IAM"
    callers = var.dead_letter_callers
    azure = var.dead_letters == null ? null : {
      account          = var.dead_letters.account
      container        = var.dead_letters.container
      queue            = var.dead_letters.queue
      poison_queue     = var.dead_letters.poison_queue
      quarantine_queue = var.dead_letters.quarantine_queue
      table            = var.dead_letters.table
      federated        = { tenant = var.tenant_id, client_id = var.dead_letters.client_id }
    }
  }

  ingress = {
    issuers              = ["https://sts.windows.net/${var.tenant_id}/", "${local.login}/v2.0"]
    jwks_url             = "${local.login}/discovery/v2.0/keys"
    audience             = var.audience
    tenant               = var.tenant_id
    reserved_concurrency = var.ingress_concurrency
  }

  protection = {
    point_in_time_recovery = true
    deletion_protection    = var.deletion_protection
    kms_key_arn            = local.kms_key_arn
  }
}

module "operations" {
  source = "../../modules/operations"

  prefix            = var.prefix
  region            = var.region
  alerts_topic_arn  = module.saga.alerts_topic_arn
  watched           = module.saga.watched
  log_groups        = module.saga.log_groups
  metrics_namespace = "SagaBridge${var.prefix == "" ? "" : "/${trimsuffix(var.prefix, "-")}"}"
  thresholds        = var.alarm_thresholds
  runbook_url       = var.runbook_url
}

# Each address gets a mail that it has to confirm.
resource "aws_sns_topic_subscription" "mail" {
  for_each = var.alert_email_addresses

  topic_arn = module.saga.alerts_topic_arn
  protocol  = "email"
  endpoint  = each.value
}
