# The Function App that runs the participant: a custom handler on Flex Consumption, under an identity of its
# own. The Functions host keeps its locks and the package in an account apart, so that the wide role that the
# host asks for there reaches no saga.

resource "azurerm_user_assigned_identity" "this" {
  name                = "${var.name}-participant"
  resource_group_name = var.resource_group_name
  location            = var.location
  tags                = var.tags
}

# --- which services it calls ------------------------------------------------------------------------------

module "services" {
  source = "../services"

  services = var.services
}

# --- what the identity may do -----------------------------------------------------------------------------

locals {
  # The trigger shows a message again after a failure, which is an update: only a contributor of the queue may do that. The
  # two roles that the trigger's documentation names (reader, message processor) leave the message hidden until its lease ends.
  # The host puts what failed five times into the poison queue, the handler what it cannot understand into the quarantine.
  roles = {
    table        = { scope = var.data.table.id, role = "Storage Table Data Contributor" }
    events       = { scope = var.data.queues.events.id, role = "Storage Queue Data Contributor" }
    poison       = { scope = var.data.queues.poison.id, role = "Storage Queue Data Message Sender" }
    calls        = { scope = var.data.queues.calls.id, role = "Storage Queue Data Contributor" }
    calls_poison = { scope = var.data.queues.calls_poison.id, role = "Storage Queue Data Message Sender" }
    quarantine   = { scope = var.data.queues.quarantine.id, role = "Storage Queue Data Message Sender" }
    host         = { scope = azurerm_storage_account.host.id, role = "Storage Blob Data Owner" }
    monitoring   = { scope = var.application_insights.id, role = "Monitoring Metrics Publisher" }
  }
}

locals {
  # On the one secret that a service's requests are signed with, in its vault.
  secret_roles = {
    for name, service in module.services.of["azure"] : "secret_${name}" => { scope = "${service.resource}/secrets/${regex("/secrets/([^/]+)$", service.secret)[0]}", role = "Key Vault Secrets User" }
    if service.auth == "signature" && !startswith(coalesce(service.secret, "env:"), "env:")
  }
}

resource "azurerm_role_assignment" "this" {
  for_each = merge(local.roles, local.secret_roles)

  scope                = each.value.scope
  role_definition_name = each.value.role
  principal_id         = azurerm_user_assigned_identity.this.principal_id
  principal_type       = "ServicePrincipal"
}

# --- what the host keeps ----------------------------------------------------------------------------------

resource "azurerm_storage_account" "host" {
  #checkov:skip=CKV_AZURE_33:The host uses no queue of this account.
  #checkov:skip=CKV_AZURE_35:Variable `network` closes it; without a virtual network there are no addresses to allow, and access is by identity and role only.
  #checkov:skip=CKV_AZURE_59:See CKV_AZURE_35.
  #checkov:skip=CKV_AZURE_206:Locks and a package that can be uploaded again: nothing to keep in a second region.
  #checkov:skip=CKV2_AZURE_1:Holds no data of sagas; variable `customer_key` gives it a key of one's own.
  #checkov:skip=CKV2_AZURE_33:A private endpoint lies in a network that is the user's, and is made there.
  #checkov:skip=CKV2_AZURE_38:Locks and a package that can be uploaded again: nothing to bring back.
  name                             = var.host_account_name
  resource_group_name              = var.resource_group_name
  location                         = var.location
  account_tier                     = "Standard"
  account_replication_type         = var.replication
  min_tls_version                  = "TLS1_2"
  https_traffic_only_enabled       = true
  shared_access_key_enabled        = false
  default_to_oauth_authentication  = true
  allow_nested_items_to_be_public  = false
  cross_tenant_replication_enabled = false
  local_user_enabled               = false
  tags                             = var.tags

  dynamic "identity" {
    for_each = var.customer_key == null ? [] : [var.customer_key]

    content {
      type         = "UserAssigned"
      identity_ids = [identity.value.identity_id]
    }
  }

  dynamic "customer_managed_key" {
    for_each = var.customer_key == null ? [] : [var.customer_key]

    content {
      key_vault_key_id          = customer_managed_key.value.key_id
      user_assigned_identity_id = customer_managed_key.value.identity_id
    }
  }

  # Event Grid and the platform come as trusted services of Microsoft, with their identities.
  dynamic "network_rules" {
    for_each = var.network == null ? [] : [var.network]

    content {
      default_action             = "Deny"
      bypass                     = ["AzureServices"]
      virtual_network_subnet_ids = [network_rules.value.subnet_id]
      ip_rules                   = network_rules.value.allowed_ips
    }
  }

  sas_policy {
    expiration_period = "00.01:00:00"
    expiration_action = "Log"
  }
}

resource "azurerm_storage_container" "package" {
  #checkov:skip=CKV2_AZURE_21:Read by the platform when an instance starts; deployments are in the activity log.
  name                  = "package"
  storage_account_id    = azurerm_storage_account.host.id
  container_access_type = "private"
}

# --- the Function App -------------------------------------------------------------------------------------

resource "azurerm_service_plan" "this" {
  #checkov:skip=CKV_AZURE_211:Flex Consumption scales by itself; a number of workers is not set.
  #checkov:skip=CKV_AZURE_212:See CKV_AZURE_211.
  #checkov:skip=CKV_AZURE_225:Zone redundancy of Flex Consumption needs always-ready instances, which cost while nothing runs; a queue waits for the next instance.
  name                = "${var.name}-plan"
  resource_group_name = var.resource_group_name
  location            = var.location
  os_type             = "Linux"
  sku_name            = "FC1"
  tags                = var.tags
}

resource "azurerm_function_app_flex_consumption" "this" {
  name                = var.app_name
  resource_group_name = var.resource_group_name
  location            = var.location
  service_plan_id     = azurerm_service_plan.this.id

  # A custom handler; the version is that of the contract between host and handler.
  runtime_name    = "custom"
  runtime_version = "1.0"

  storage_container_type            = "blobContainer"
  storage_container_endpoint        = "${azurerm_storage_account.host.primary_blob_endpoint}${azurerm_storage_container.package.name}"
  storage_authentication_type       = "UserAssignedIdentity"
  storage_user_assigned_identity_id = azurerm_user_assigned_identity.this.id

  instance_memory_in_mb  = var.memory_mb
  maximum_instance_count = var.maximum_instances

  virtual_network_subnet_id     = try(var.network.subnet_id, null)
  public_network_access_enabled = var.network == null ? true : var.network.public_app

  https_only                                     = true
  webdeploy_publish_basic_authentication_enabled = false
  app_settings                                   = local.app_settings
  tags                                           = var.tags

  dynamic "always_ready" {
    for_each = var.always_ready == 0 ? {} : { "function:saga-step" = var.always_ready }

    content {
      name           = always_ready.key
      instance_count = always_ready.value
    }
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.this.id]
  }

  site_config {
    minimum_tls_version                    = "1.2"
    scm_minimum_tls_version                = "1.2"
    http2_enabled                          = true
    application_insights_connection_string = var.application_insights.connection_string
  }

  # Azure itself links the app to Application Insights by a tag.
  lifecycle {
    ignore_changes = [tags["hidden-link: /app-insights-resource-id"]]
  }

  depends_on = [azurerm_role_assignment.this]
}

locals {
  client_id = azurerm_user_assigned_identity.this.client_id

  app_settings = {
    # The host's own storage, and the trigger's (`connection` in function.json): by identity, no key.
    AzureWebJobsStorage__accountName = azurerm_storage_account.host.name
    AzureWebJobsStorage__credential  = "managedidentity"
    AzureWebJobsStorage__clientId    = local.client_id
    SagaStorage__queueServiceUri     = var.data.account.queue_endpoint
    SagaStorage__credential          = "managedidentity"
    SagaStorage__clientId            = local.client_id

    APPLICATIONINSIGHTS_AUTHENTICATION_STRING = "ClientId=${local.client_id};Authorization=AAD"

    # What the handler reads.
    AZURE_CLIENT_ID          = local.client_id
    AZURE_STORAGE_ACCOUNT    = var.data.account.name
    AZURE_TABLE_ENDPOINT     = var.data.account.table_endpoint
    AZURE_QUEUE_ENDPOINT     = var.data.account.queue_endpoint
    SAGA_TABLE               = var.data.table.name
    SAGA_QUEUE               = var.data.queues.events.name
    CALLS_QUEUE              = var.data.queues.calls.name
    QUARANTINE_QUEUE         = var.data.queues.quarantine.name
    SERVICES                 = jsonencode(module.services.seen)
    EVENTGRID_TOPIC_ENDPOINT = var.topic_endpoint
    INVENTORY_LIMIT          = var.inventory_limit
    RUST_LOG                 = "info"
  }
}

# --- the package ------------------------------------------------------------------------------------------

# Uploaded when it or the app has changed. The app has no password to upload with, so this goes through the
# CLI with the identity of who applies. Without a package the app's settings are still made right: the provider writes one
# with which the host does not start (deploy.sh says which).
resource "terraform_data" "package" {
  triggers_replace = [try(filesha256(var.package), null), azurerm_function_app_flex_consumption.this.id]

  lifecycle {
    replace_triggered_by = [azurerm_function_app_flex_consumption.this]

    precondition {
      condition     = var.package == null ? true : fileexists(var.package)
      error_message = "There is no package ${coalesce(var.package, "-")}: build it first, or set package = null to upload it later."
    }
  }

  provisioner "local-exec" {
    command = "sh '${path.module}/deploy.sh'"

    environment = {
      SUBSCRIPTION   = split("/", azurerm_function_app_flex_consumption.this.id)[2]
      RESOURCE_GROUP = var.resource_group_name
      FUNCTION_APP   = azurerm_function_app_flex_consumption.this.name
      PACKAGE        = var.package == null ? "" : var.package
    }
  }
}

check "package" {
  assert {
    condition     = var.package != null
    error_message = "The Function App gets no package (package = null): it takes no events until somebody uploads one, and alert participant-silent fires an hour after the first apply. The output `upload` shows the command."
  }
}
