# The Event Grid topic and its three ways out. An event says where it goes (`sagatarget`): to the
# participant's queue, to the queue of requests to outside services, or to the webhook on the other cloud. All retry for a day; what nobody took by then,
# or what was refused, lies in the dead-letter container.

resource "azurerm_eventgrid_topic" "this" {
  #checkov:skip=CKV_AZURE_193:The other cloud publishes from addresses that are not known; who may publish is decided by roles on this topic.
  #checkov:skip=CKV_AZURE_192:Local authentication is off unless a topic key is asked for (variable `access_key`), which is what this check cannot see.
  name                = var.name
  resource_group_name = var.resource_group_name
  location            = var.location
  input_schema        = "CloudEventSchemaV1_0"
  local_auth_enabled  = var.access_key
  tags                = var.tags

  # Delivers into the queue and writes dead letters.
  identity {
    type = "SystemAssigned"
  }
}

# --- who may publish: named identities, on this topic only -----------------------------------------------

resource "azurerm_role_assignment" "sender" {
  for_each = var.senders

  scope                            = azurerm_eventgrid_topic.this.id
  role_definition_name             = "EventGrid Data Sender"
  principal_id                     = each.value
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}

# --- what the topic itself may do -------------------------------------------------------------------------

resource "azurerm_role_assignment" "into_queue" {
  scope                = var.queue.id
  role_definition_name = "Storage Queue Data Message Sender"
  principal_id         = azurerm_eventgrid_topic.this.identity[0].principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "into_calls" {
  scope                = var.calls_queue.id
  role_definition_name = "Storage Queue Data Message Sender"
  principal_id         = azurerm_eventgrid_topic.this.identity[0].principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "into_dead_letters" {
  scope                = var.dead_letters.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = azurerm_eventgrid_topic.this.identity[0].principal_id
  principal_type       = "ServicePrincipal"
}

# --- to the participant: a storage queue ------------------------------------------------------------------

resource "azurerm_eventgrid_event_subscription" "to_participant" {
  name                  = "to-azure-participant"
  scope                 = azurerm_eventgrid_topic.this.id
  event_delivery_schema = "CloudEventSchemaV1_0"

  storage_queue_endpoint {
    storage_account_id                    = var.storage_account_id
    queue_name                            = var.queue.name
    queue_message_time_to_live_in_seconds = local.queue_seconds
  }

  advanced_filter {
    string_in {
      key    = "sagatarget"
      values = ["azure"]
    }
  }

  delivery_identity {
    type = "SystemAssigned"
  }

  dead_letter_identity {
    type = "SystemAssigned"
  }

  retry_policy {
    max_delivery_attempts = local.attempts
    event_time_to_live    = local.minutes
  }

  storage_blob_dead_letter_destination {
    storage_account_id          = var.storage_account_id
    storage_blob_container_name = var.dead_letters.name
  }

  depends_on = [azurerm_role_assignment.into_queue, azurerm_role_assignment.into_dead_letters]
}

# --- to outside services: a storage queue for the requests to all of them ---------------------------------

resource "azurerm_eventgrid_event_subscription" "to_services" {
  name                  = "to-azure-services"
  scope                 = azurerm_eventgrid_topic.this.id
  event_delivery_schema = "CloudEventSchemaV1_0"

  storage_queue_endpoint {
    storage_account_id                    = var.storage_account_id
    queue_name                            = var.calls_queue.name
    queue_message_time_to_live_in_seconds = local.queue_seconds
  }

  advanced_filter {
    string_begins_with {
      key    = "sagatarget"
      values = [local.services]
    }
  }

  delivery_identity {
    type = "SystemAssigned"
  }

  dead_letter_identity {
    type = "SystemAssigned"
  }

  retry_policy {
    max_delivery_attempts = local.attempts
    event_time_to_live    = local.minutes
  }

  storage_blob_dead_letter_destination {
    storage_account_id          = var.storage_account_id
    storage_blob_container_name = var.dead_letters.name
  }

  depends_on = [azurerm_role_assignment.into_calls, azurerm_role_assignment.into_dead_letters]
}

# --- to the other cloud: its webhook, with a token of this tenant -----------------------------------------

# Everything that is neither for the participant nor for a service here: other teams' events carry no `sagatarget`.
resource "azurerm_eventgrid_event_subscription" "to_ingress" {
  count = var.webhook == null ? 0 : 1

  name                  = "to-aws-ingress"
  scope                 = azurerm_eventgrid_topic.this.id
  event_delivery_schema = "CloudEventSchemaV1_0"

  webhook_endpoint {
    url                               = var.webhook.url
    active_directory_tenant_id        = var.webhook.tenant_id
    active_directory_app_id_or_uri    = var.webhook.audience
    max_events_per_batch              = 1
    preferred_batch_size_in_kilobytes = 64
  }

  advanced_filter {
    string_not_in {
      key    = "sagatarget"
      values = ["azure"]
    }

    string_not_begins_with {
      key    = "sagatarget"
      values = [local.services]
    }
  }

  dead_letter_identity {
    type = "SystemAssigned"
  }

  retry_policy {
    max_delivery_attempts = local.attempts
    event_time_to_live    = local.minutes
  }

  storage_blob_dead_letter_destination {
    storage_account_id          = var.storage_account_id
    storage_blob_container_name = var.dead_letters.name
  }

  depends_on = [azurerm_role_assignment.into_dead_letters]
}

locals {
  # What `sagatarget` of a request to a service begins with; the service's name follows.
  services = "azure."
  # Event Grid's most (https://learn.microsoft.com/azure/event-grid/delivery-and-retry).
  attempts = 30
  minutes  = 24 * 60
  # As long as AWS keeps a message; a message that expires unread is lost.
  queue_seconds = 14 * 24 * 60 * 60
}
