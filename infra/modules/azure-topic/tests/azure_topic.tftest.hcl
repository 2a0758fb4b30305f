mock_provider "azurerm" {
  source = "../../mocks/azurerm"
}

variables {
  name                = "enterprise-saga-choreography-1a2b3c4d"
  resource_group_name = "saga"
  location            = "westeurope"
  storage_account_id  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data"
  queue = {
    name = "saga-events"
    id   = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data/queueServices/default/queues/saga-events"
  }
  calls_queue = {
    name = "saga-calls"
    id   = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data/queueServices/default/queues/saga-calls"
  }
  dead_letters = {
    name = "deadletters"
    id   = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data/blobServices/default/containers/deadletters"
  }
  senders = { participant = "99999999-0000-0000-0000-00000000000b" }
  webhook = {
    url       = "https://abc.lambda-url.eu-central-1.on.aws/"
    tenant_id = "11111111-2222-3333-4444-555555555555"
    audience  = "66666666-7777-8888-9999-000000000000"
  }
}

run "speaks_cloud_events_everywhere" {
  command = apply

  assert {
    condition = alltrue([
      azurerm_eventgrid_topic.this.input_schema == "CloudEventSchemaV1_0",
      azurerm_eventgrid_event_subscription.to_participant.event_delivery_schema == "CloudEventSchemaV1_0",
      azurerm_eventgrid_event_subscription.to_services.event_delivery_schema == "CloudEventSchemaV1_0",
      azurerm_eventgrid_event_subscription.to_ingress[0].event_delivery_schema == "CloudEventSchemaV1_0",
    ])
    error_message = "In and out, an event is a CloudEvent: any other schema would lose the addressing."
  }

  assert {
    condition     = azurerm_eventgrid_topic.this.name == var.name && !azurerm_eventgrid_topic.this.local_auth_enabled && output.access_key == null
    error_message = "Keys are off unless asked for."
  }
}

run "events_for_azure_go_into_the_queue_and_all_others_to_aws" {
  command = apply

  assert {
    condition     = azurerm_eventgrid_event_subscription.to_participant.advanced_filter[0].string_in[0].key == "sagatarget" && azurerm_eventgrid_event_subscription.to_participant.advanced_filter[0].string_in[0].values == tolist(["azure"])
    error_message = "The queue gets what is for Azure."
  }

  assert {
    condition     = azurerm_eventgrid_event_subscription.to_ingress[0].advanced_filter[0].string_not_in[0].key == "sagatarget" && azurerm_eventgrid_event_subscription.to_ingress[0].advanced_filter[0].string_not_in[0].values == tolist(["azure"])
    error_message = "The webhook gets the rest, also what other teams publish without the attribute."
  }

  assert {
    condition     = azurerm_eventgrid_event_subscription.to_participant.storage_queue_endpoint[0].queue_name == "saga-events" && azurerm_eventgrid_event_subscription.to_participant.delivery_identity[0].type == "SystemAssigned"
    error_message = "Delivered by the topic's identity, because the account has no keys."
  }
}

run "requests_to_services_go_into_their_queue_and_nowhere_else" {
  command = apply

  assert {
    condition     = azurerm_eventgrid_event_subscription.to_services.advanced_filter[0].string_begins_with[0].key == "sagatarget" && azurerm_eventgrid_event_subscription.to_services.advanced_filter[0].string_begins_with[0].values == tolist(["azure."])
    error_message = "azure.<service>, whichever service."
  }

  assert {
    condition     = azurerm_eventgrid_event_subscription.to_ingress[0].advanced_filter[0].string_not_begins_with[0].key == "sagatarget" && azurerm_eventgrid_event_subscription.to_ingress[0].advanced_filter[0].string_not_begins_with[0].values == tolist(["azure."])
    error_message = "AWS does not get them as well."
  }

  assert {
    condition     = azurerm_eventgrid_event_subscription.to_services.storage_queue_endpoint[0].queue_name == "saga-calls" && azurerm_eventgrid_event_subscription.to_services.storage_queue_endpoint[0].queue_message_time_to_live_in_seconds == 1209600 && azurerm_eventgrid_event_subscription.to_services.delivery_identity[0].type == "SystemAssigned"
    error_message = "Into a queue apart, kept for fourteen days."
  }
}

run "the_webhook_is_called_with_a_token" {
  command = apply

  assert {
    condition     = azurerm_eventgrid_event_subscription.to_ingress[0].webhook_endpoint[0].active_directory_tenant_id == var.webhook.tenant_id && azurerm_eventgrid_event_subscription.to_ingress[0].webhook_endpoint[0].active_directory_app_id_or_uri == var.webhook.audience
    error_message = "Without tenant and application the delivery carries no token."
  }
}

run "every_subscription_retries_a_day_and_has_a_dead_letter_store" {
  command = apply

  assert {
    condition = alltrue([
      for subscription in [azurerm_eventgrid_event_subscription.to_participant, azurerm_eventgrid_event_subscription.to_services, azurerm_eventgrid_event_subscription.to_ingress[0]] :
      subscription.retry_policy[0].max_delivery_attempts == 30 && subscription.retry_policy[0].event_time_to_live == 1440
    ])
    error_message = "30 attempts, 24 hours."
  }

  assert {
    condition = alltrue([
      for subscription in [azurerm_eventgrid_event_subscription.to_participant, azurerm_eventgrid_event_subscription.to_services, azurerm_eventgrid_event_subscription.to_ingress[0]] :
      subscription.storage_blob_dead_letter_destination[0].storage_blob_container_name == "deadletters" && subscription.dead_letter_identity[0].type == "SystemAssigned"
    ])
    error_message = "An event that is given up is kept."
  }
}

run "roles_end_at_the_topic_the_queue_and_the_container" {
  command = apply

  assert {
    condition = {
      for name, role in merge(azurerm_role_assignment.sender, { queue = azurerm_role_assignment.into_queue, calls = azurerm_role_assignment.into_calls, dead_letters = azurerm_role_assignment.into_dead_letters }) :
      name => "${role.role_definition_name} on ${basename(role.scope)}"
      } == {
      participant  = "EventGrid Data Sender on mock"
      queue        = "Storage Queue Data Message Sender on saga-events"
      calls        = "Storage Queue Data Message Sender on saga-calls"
      dead_letters = "Storage Blob Data Contributor on deadletters"
    }
    error_message = "The narrowest scope that Azure knows."
  }

  assert {
    condition     = azurerm_role_assignment.sender["participant"].scope == azurerm_eventgrid_topic.this.id
    error_message = "A sender may send to this topic, and to no other of the subscription."
  }
}

run "a_key_when_asked_and_no_webhook_yet" {
  command = apply

  variables {
    access_key = true
    webhook    = null
    senders    = {}
  }

  assert {
    condition     = azurerm_eventgrid_topic.this.local_auth_enabled && length(azurerm_eventgrid_event_subscription.to_ingress) == 0 && length(azurerm_role_assignment.sender) == 0
    error_message = "Before AWS is there, the topic has no way to it."
  }
}

run "refuses_roles_wider_than_a_queue_or_a_container" {
  command = plan

  variables {
    queue        = { name = "saga-events", id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
    calls_queue  = { name = "saga-calls", id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
    dead_letters = { name = "deadletters", id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data" }
  }

  expect_failures = [var.queue, var.calls_queue, var.dead_letters]
}

run "refuses_a_webhook_without_authorisation" {
  command = plan

  variables {
    webhook = { url = "https://abc.lambda-url.eu-central-1.on.aws/", tenant_id = "", audience = "" }
  }

  expect_failures = [var.webhook]
}

run "refuses_plain_http_and_a_bad_name" {
  command = plan

  variables {
    name    = "a topic"
    webhook = { url = "http://example.com/", tenant_id = "11111111-2222-3333-4444-555555555555", audience = "api://saga" }
  }

  expect_failures = [var.name, var.webhook]
}
