# The AWS side, whole. Applied after the Azure stack, whose outputs it is given.

provider "aws" {
  region              = var.region
  allowed_account_ids = var.account_id[*]

  default_tags {
    tags = merge(var.tags, { application = "saga-bridge", environment = var.environment })
  }
}

# What the Azure stack left, unless it is given by hand.
data "aws_ssm_parameter" "azure" {
  count = var.azure == null ? 1 : 0

  name = "/saga-bridge/${var.environment}/azure"
}

data "aws_ssm_parameter" "azure_secret" {
  count = local.relayed || var.azure_secret != null ? 0 : 1

  name = "/saga-bridge/${var.environment}/azure-secret"
}

locals {
  prefix = var.prefix == null ? "${var.environment}-" : var.prefix
  # Text on both sides, because an object of JSON and a variable's object are of two types.
  azure   = jsondecode(var.azure == null ? data.aws_ssm_parameter.azure[0].insecure_value : jsonencode(var.azure))
  relayed = local.azure.transport == "federation-relay"
  secret  = local.relayed ? null : var.azure_secret != null ? var.azure_secret : data.aws_ssm_parameter.azure_secret[0].value
  client  = try(local.azure.client_id, null)
  login   = "https://login.microsoftonline.com/${local.azure.tenant_id}"

  dead_letters = try(local.azure.dead_letters, null)
  kms_key_arn  = var.customer_managed_key ? module.encryption[0].key_arn : null
}

# A deployment that listens to another one's topic would complete its sagas: refused before anything is made.
resource "terraform_data" "handover" {
  input = local.azure.environment

  lifecycle {
    precondition {
      condition     = local.azure.environment == var.environment
      error_message = "What was handed over is of the Azure stack of ${local.azure.environment}, and this is ${var.environment}. Nothing was changed. Give this environment's output for_aws."
    }

    precondition {
      condition     = contains(["api-destination", "federation-relay"], local.azure.transport)
      error_message = "transport is api-destination or federation-relay, not ${local.azure.transport}. Nothing was changed."
    }
  }
}

module "encryption" {
  source = "../../modules/encryption"
  count  = var.customer_managed_key ? 1 : 0

  prefix = local.prefix
  region = var.region
}

module "saga" {
  source = "../../modules/saga-aws"

  prefix              = local.prefix
  iam                 = { path = var.iam_path, permissions_boundary = var.permissions_boundary, suffix = "-${var.region}" }
  zips_dir            = "${var.packages_dir}/${var.architecture}"
  architecture        = var.architecture
  azure_secret        = local.secret
  log_retention_days  = var.log_retention_days
  nudge_after_seconds = var.nudge_after_seconds
  network             = var.network
  services            = var.services

  azure = {
    topic_endpoint = local.azure.topic_endpoint
    rate_limit     = var.rate_limit
    oauth          = local.relayed || local.client == null ? null : { token_endpoint = "${local.login}/oauth2/v2.0/token", client_id = local.client }
    relay          = local.relayed ? { tenant_id = local.azure.tenant_id, client_id = local.client } : null
  }

  # Callers sign their requests; there is no variable to open the API.
  api = { auth = "AWS_IAM" }

  # Those of Azure are seen once the Azure stack trusts the replayer's role.
  dead_letters = {
    auth = "AWS_IAM"
    azure = local.dead_letters == null ? null : {
      account          = local.dead_letters.account
      container        = local.dead_letters.container
      queue            = local.dead_letters.queue
      poison_queue     = local.dead_letters.poison_queue
      quarantine_queue = local.dead_letters.quarantine_queue
      table            = local.dead_letters.table
      calls            = try(local.dead_letters.calls, null)
      federated        = { tenant = local.azure.tenant_id, client_id = local.dead_letters.client_id }
    }
  }

  ingress = {
    issuers              = ["https://sts.windows.net/${local.azure.tenant_id}/", "${local.login}/v2.0"]
    jwks_url             = "${local.login}/discovery/v2.0/keys"
    audience             = local.azure.audience
    tenant               = local.azure.tenant_id
    reserved_concurrency = var.ingress_concurrency
    open_url             = !var.webhook_gateway
  }

  protection = {
    point_in_time_recovery = true
    deletion_protection    = var.deletion_protection
    kms_key_arn            = local.kms_key_arn
    bus_dead_letters       = var.customer_managed_key
  }
}

module "network_endpoints" {
  source = "../../modules/network-endpoints"
  count  = try(var.network.endpoints, null) == null ? 0 : 1

  prefix                    = local.prefix
  region                    = var.region
  vpc_id                    = var.network.endpoints.vpc_id
  route_table_ids           = var.network.endpoints.route_table_ids
  subnet_ids                = var.network.subnet_ids
  client_security_group_ids = var.network.security_group_ids
  # Those that sign in to Azure are inside only if the network reaches it; a caller with a secret may be, without a way to the internet.
  services = concat(
    ["events", "sns", "sqs"],
    var.network.internet ? ["sts"] : [],
    !var.network.internet && anytrue([for service in var.services : service.inside && service.secret != null]) ? ["secretsmanager"] : [],
  )
}

module "archive" {
  source = "../../modules/archive"
  count  = var.archive_days == null ? 0 : 1

  name        = module.saga.names.bus
  bus_arn     = module.saga.bus_arn
  days        = var.archive_days
  kms_key_arn = local.kms_key_arn
}

moved {
  from = module.saga.module.bus.aws_cloudwatch_event_archive.this[0]
  to   = module.archive[0].aws_cloudwatch_event_archive.this
}

module "webhook_gateway" {
  source = "../../modules/webhook-gateway"
  count  = var.webhook_gateway ? 1 : 0

  prefix             = local.prefix
  function           = module.saga.ingress_function
  issuer             = "${local.login}/v2.0"
  audience           = local.azure.audience
  log_retention_days = var.log_retention_days
  kms_key_arn        = local.kms_key_arn
}

module "api_callers" {
  source = "../../modules/url-callers"

  function_name = module.saga.watched.functions["saga-initiator"]
  callers       = var.api_callers
}

module "dead_letter_callers" {
  source = "../../modules/url-callers"

  function_name = module.saga.watched.functions["dlq-replayer"]
  callers       = var.dead_letter_callers
}

# Whatever replaces a table (a rename, another prefix, a destroy) replaces this first, and is refused while it is planned.
# DynamoDB's own deletion protection would refuse it, too, but half way through an apply. README, "Destroy".
resource "terraform_data" "keeps_data" {
  count = var.deletion_protection ? 1 : 0

  triggers_replace = [module.saga.names.payments_table, module.saga.names.sagas_table, module.saga.names.outbox_table]

  lifecycle {
    prevent_destroy = true
  }
}

module "operations" {
  source = "../../modules/operations"

  prefix            = local.prefix
  region            = var.region
  iam               = { path = var.iam_path, permissions_boundary = var.permissions_boundary, suffix = "-${var.region}" }
  alerts_topic_arn  = module.saga.alerts_topic_arn
  watched           = module.saga.watched
  log_groups        = module.saga.log_groups
  connection        = module.saga.connection
  kms_key_arn       = local.kms_key_arn
  secret_expires    = local.relayed ? null : try(local.azure.secret_expires, null)
  metrics_namespace = "SagaBridge${local.prefix == "" ? "" : "/${trimsuffix(local.prefix, "-")}"}"
  thresholds        = var.alarm_thresholds
  objective         = var.objective
  runbook_url       = var.runbook_url
}

# The provider calls a connection created that Entra refused. Runs again when its settings change.
resource "terraform_data" "connection" {
  count = local.relayed || !var.check_connection ? 0 : 1

  triggers_replace = [module.saga.connection, sha256(nonsensitive(sha256(local.secret)))]

  provisioner "local-exec" {
    command = "sh '${path.module}/connection.sh'"

    environment = {
      CONNECTION = module.saga.connection
      REGION     = var.region
    }
  }
}

# For the Azure stack, and for whoever asks later.
resource "aws_ssm_parameter" "aws" {
  #checkov:skip=CKV2_AWS_34:Addresses and names of roles; nothing in it is secret.
  name        = "/saga-bridge/${var.environment}/aws"
  description = "The AWS side of saga-bridge, for the Azure stack"
  type        = "String"
  value       = jsonencode(local.for_azure)
}

locals {
  for_azure = {
    environment       = var.environment
    ingress_url       = var.webhook_gateway ? module.webhook_gateway[0].url : module.saga.ingress_url
    relay_role_arn    = module.saga.relay_role_arn
    replayer_role_arn = module.saga.replayer_role_arn
    api_url           = module.saga.api_url
    dead_letters_url  = module.saga.dead_letters_url
  }
}

# Each address gets a mail that it has to confirm.
resource "aws_sns_topic_subscription" "mail" {
  for_each = var.alert_email_addresses

  topic_arn = module.saga.alerts_topic_arn
  protocol  = "email"
  endpoint  = each.value
}

# Its filter is the tag that everything here has; activate it once as a cost allocation tag in the account's billing settings.
resource "aws_budgets_budget" "this" {
  count = var.monthly_budget_usd == null ? 0 : 1

  name         = "${local.prefix}saga-bridge-${var.region}"
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:environment$%s", var.environment)]
  }

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }

    content {
      comparison_operator        = "GREATER_THAN"
      notification_type          = notification.key
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.alert_email_addresses
    }
  }

  lifecycle {
    precondition {
      condition     = length(var.alert_email_addresses) > 0
      error_message = "monthly_budget_usd needs alert_email_addresses: a budget that tells nobody is none."
    }
  }
}
