# Where the participant on Azure keeps its data, and where events wait for it. Nobody has a key to this
# account: every caller is an identity with a role on the one table, queue or container that it uses.

resource "azurerm_storage_account" "this" {
  #checkov:skip=CKV_AZURE_33:Logs of the queue service go to Log Analytics by a diagnostic setting (module azure-operations); this check looks for the older classic logs.
  #checkov:skip=CKV_AZURE_35:Variable `network` closes it; without a virtual network there are no addresses to allow, and access is by identity and role only.
  #checkov:skip=CKV_AZURE_59:See CKV_AZURE_35: reached over public endpoints, by identities only.
  #checkov:skip=CKV_AZURE_206:Three zones by default; a second region (variable `replication`) lags behind, and sagas are re-sent anyway.
  #checkov:skip=CKV2_AZURE_1:Variable `customer_key` gives it a key of one's own; by default the key is Microsoft's, which needs no vault that has to be up for every saga.
  #checkov:skip=CKV2_AZURE_33:A private endpoint lies in a network that is the user's, and is made there.
  name                             = var.name
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
  # Tables and queues are encrypted by the account's key, whoever's that is: it cannot be changed later.
  queue_encryption_key_type = "Account"
  table_encryption_key_type = "Account"
  tags                      = var.tags

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

  # There are no keys to sign a SAS with; if keys are ever turned on, no SAS lives long.
  sas_policy {
    expiration_period = "00.01:00:00"
    expiration_action = "Log"
  }

  blob_properties {
    delete_retention_policy {
      days = 30
    }

    container_delete_retention_policy {
      days = 30
    }
  }

  # Also where a new name, region or group would replace it. destroy_override.tf.example takes this away.
  lifecycle {
    prevent_destroy = true
  }
}

# The provider's own resource for a table speaks to the data plane and signs with a shared key, which this account refuses.
# A deployment makes the table through Resource Manager. It is incremental: it touches nothing else, and where the table is
# there already, it changes nothing. Deleting the deployment leaves the table (the stack's provider says so); the table goes
# with its account.
resource "azurerm_resource_group_template_deployment" "table" {
  name                = "saga-table"
  resource_group_name = var.resource_group_name
  deployment_mode     = "Incremental"

  template_content = jsonencode({
    "$schema"      = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
    contentVersion = "1.0.0.0"
    resources = [{
      type       = "Microsoft.Storage/storageAccounts/tableServices/tables"
      apiVersion = "2023-05-01"
      name       = "${azurerm_storage_account.this.name}/default/${local.table}"
      properties = {}
    }]
  })

  tags = var.tags

  lifecycle {
    prevent_destroy = true
  }
}

# Earlier versions used the provider's resource. Terraform forgets it and keeps the table, which the deployment then finds.
removed {
  from = azurerm_storage_table.this

  lifecycle {
    destroy = false
  }
}

resource "azurerm_storage_queue" "this" {
  for_each = local.queues

  name               = each.value
  storage_account_id = azurerm_storage_account.this.id

  lifecycle {
    prevent_destroy = true
  }
}

# Written by Event Grid when it gives an event up.
resource "azurerm_storage_container" "dead_letters" {
  #checkov:skip=CKV2_AZURE_21:Written by Event Grid alone, which counts what it dead-letters; read by an operator.
  name                  = "deadletters"
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"

  lifecycle {
    prevent_destroy = true
  }
}

resource "azurerm_storage_management_policy" "this" {
  storage_account_id = azurerm_storage_account.this.id

  rule {
    name    = "old-dead-letters"
    enabled = true

    filters {
      blob_types   = ["blockBlob"]
      prefix_match = ["${azurerm_storage_container.dead_letters.name}/"]
    }

    actions {
      base_blob {
        delete_after_days_since_creation_greater_than = var.dead_letter_days
      }
    }
  }
}

locals {
  table = "SagaSteps"

  # The Functions host adds "-poison" to the name of a queue that it could not work off.
  queues = {
    events       = "saga-events"
    poison       = "saga-events-poison"
    calls        = "saga-calls"
    calls_poison = "saga-calls-poison"
    quarantine   = "saga-quarantine"
  }
}
