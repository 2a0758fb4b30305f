# The Azure side, whole. Applied first; then AWS; then again with AWS's ingress_url.

provider "azurerm" {
  features {
    # The group is this stack's own, and Azure puts things of Application Insights into it by itself (an alert rule, an
    # action group), which would stop a destroy at its last step.
    resource_group {
      prevent_deletion_if_contains_resources = false
    }

    # The table's deployment may go (Azure itself drops old ones); the table stays until its account goes.
    template_deployment {
      delete_nested_items_during_deletion = false
    }
  }

  subscription_id = var.subscription_id
  # The accounts have no keys, so the provider must not use any.
  storage_use_azuread = true
  # Only what this stack uses: who applies needs no right to register others.
  resource_provider_registrations = "none"
  resource_providers_to_register = [
    "Microsoft.EventGrid", "Microsoft.Insights", "Microsoft.ManagedIdentity", "Microsoft.OperationalInsights",
    "Microsoft.Storage", "Microsoft.Web",
  ]
}

provider "azuread" {
  tenant_id = var.tenant_id
}

locals {
  tags = merge(var.tags, { application = "saga-bridge", environment = var.environment })

  # Two environments, and two regions of one environment, lie side by side in one subscription. What has to be unique in all
  # of Azure, in a region or in the tenant ends in the suffix, which no other subscription has either.
  name    = "saga-${var.environment}-${var.location}"
  suffix  = substr(sha256("${lower(var.subscription_id)}/${var.environment}/${var.location}"), 0, 8)
  account = "${substr(replace(var.environment, "-", ""), 0, 12)}${local.suffix}"
  app     = "saga-${var.environment}-${local.suffix}"

  # How AWS signs in follows from how it sends.
  publisher = var.transport == "federation-relay" ? "federation" : var.topic_key ? "none" : "client-secret"
}

resource "azurerm_resource_group" "this" {
  name     = local.name
  location = var.location
  tags     = local.tags

  # It takes the data with it. destroy_override.tf.example takes this away.
  lifecycle {
    prevent_destroy = true
  }
}

module "storage" {
  source = "../../modules/azure-storage"

  name                = "${local.account}data"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  replication         = var.replication
  network             = var.network
  customer_key        = var.customer_key
  tags                = local.tags
}

module "access" {
  source = "../../modules/azure-access"

  name                 = "${local.name}-${local.suffix}"
  owners               = var.owners
  subscription_writers = var.subscription_writers
  publisher            = local.publisher
  secret               = var.client_secret
  federation           = try(var.federation.role_arn, null) == null ? null : { issuer = var.federation.issuer, role_arn = var.federation.role_arn }
  replayer             = var.federation == null ? null : { issuer = var.federation.issuer, role_arn = var.federation.replayer_role_arn }
}

module "topic" {
  source = "../../modules/azure-topic"

  name                = "enterprise-saga-choreography-${local.suffix}"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  access_key          = local.publisher == "none"
  storage_account_id  = module.storage.account.id
  queue               = module.storage.queues.events
  calls_queue         = module.storage.queues.calls
  dead_letters        = module.storage.dead_letters
  tags                = local.tags

  senders = merge(
    { participant = module.participant.principal_id },
    local.publisher == "none" ? {} : { aws = module.access.publisher.object_id },
    var.federation == null ? {} : { replayer = module.access.replayer.object_id },
  )

  webhook = var.ingress_url == null ? null : {
    url       = var.ingress_url
    tenant_id = var.tenant_id
    audience  = module.access.webhook_audience
  }
}

# Dead letters here are looked at and replayed from AWS.
module "replayer" {
  source = "../../modules/azure-replayer"
  count  = var.federation == null ? 0 : 1

  principal_id = module.access.replayer.object_id
  table        = module.storage.table
  queues       = module.storage.queues
  dead_letters = module.storage.dead_letters
}

module "participant" {
  source = "../../modules/azure-participant"

  name                 = local.name
  app_name             = local.app
  host_account_name    = "${local.account}host"
  resource_group_name  = azurerm_resource_group.this.name
  location             = azurerm_resource_group.this.location
  data                 = { account = module.storage.account, table = module.storage.table, queues = module.storage.queues }
  topic_endpoint       = module.topic.endpoint
  application_insights = { id = module.operations.application_insights_id, connection_string = module.operations.application_insights_connection_string }
  services             = var.services
  inventory_limit      = var.inventory_limit
  memory_mb            = var.memory_mb
  maximum_instances    = var.maximum_instances
  always_ready         = var.always_ready
  package              = var.package
  network              = var.network
  customer_key         = var.customer_key
  tags                 = local.tags
}

module "operations" {
  source = "../../modules/azure-operations"

  name                = local.name
  short_name          = "${substr(replace(var.environment, "-", ""), 0, 4)}${local.suffix}"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  topic_id            = module.topic.id
  storage_account_id  = module.storage.account.id
  queues              = { for key, queue in module.storage.queues : key => queue.name }
  function_app_name   = local.app
  secret              = local.publisher == "client-secret" ? { expires = module.access.publisher_secret_expires } : null
  email_addresses     = var.alert_email_addresses
  webhook_urls        = var.alert_webhook_urls
  runbook_url         = var.runbook_url
  log_retention_days  = var.log_retention_days
  daily_quota_gb      = var.log_daily_quota_gb
  tags                = local.tags
}

# Keeps people from deleting the data in the portal or with the CLI. It also keeps everybody from deleting
# anything inside the account, role assignments included, so it is made last and taken away first.
resource "azurerm_management_lock" "data" {
  count = var.deletion_protection ? 1 : 0

  name       = "saga-data"
  scope      = module.storage.account.id
  lock_level = "CanNotDelete"
  notes      = "Holds the state of running sagas."

  depends_on = [module.storage, module.topic, module.replayer, module.participant, module.operations]
}
