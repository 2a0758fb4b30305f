# Planned only: an apply would call the Azure CLI, and what holds data is not destroyed at a test's end. What the providers
# would answer is known in the plan.
mock_provider "azurerm" {
  override_during = plan
  source          = "../../mocks/azurerm"
}

mock_provider "azuread" {
  override_during = plan
  source          = "../../mocks/azuread"
}

variables {
  subscription_id = "00000000-0000-0000-0000-000000000000"
  tenant_id       = "11111111-2222-3333-4444-555555555555"
  environment     = "test"

  federation = {
    issuer            = "https://abc.tokens.sts.global.api.aws"
    role_arn          = "arn:aws:iam::123456789012:role/test-event-relay-eu-central-1"
    replayer_role_arn = "arn:aws:iam::123456789012:role/test-dlq-replayer-eu-central-1"
  }
  package = "versions.tf" # any file: only planned
}

run "first_apply_knows_no_aws" {
  command = plan

  assert {
    condition = { for name, value in output.for_aws : name => value if name != "dead_letters" } == {
      environment    = "test"
      transport      = "federation-relay"
      secret_expires = null
      topic_endpoint = "https://mock.westeurope-1.eventgrid.azure.net/api/events"
      tenant_id      = "11111111-2222-3333-4444-555555555555"
      audience       = "66666666-7777-8888-9999-000000000000"
      client_id      = "66666666-7777-8888-9999-000000000000"
    }
    error_message = "What crosses to AWS, by the names of its variables."
  }

  assert {
    condition     = output.azure_secret == null
    error_message = "No secret crosses unless asked for."
  }

  assert {
    condition     = output.names.storage_account == "test0f759073data" && output.names.azure_poison_queue == "saga-events-poison" && output.names.azure_table == "SagaSteps"
    error_message = "The names that tools look for."
  }
}

run "an_api_destination_signs_in_with_a_secret" {
  command = plan

  variables {
    transport  = "api-destination"
    federation = null
  }

  assert {
    condition     = output.azure_secret == "not-a-secret" && output.for_aws.transport == "api-destination"
    error_message = "EventBridge signs in with a client secret."
  }

  assert {
    condition     = output.for_aws.dead_letters == null && length(module.replayer) == 0
    error_message = "Nobody is trusted unless told."
  }
}

run "data_is_locked_unless_asked_otherwise" {
  command = plan

  assert {
    condition     = azurerm_management_lock.data[0].lock_level == "CanNotDelete" && azurerm_management_lock.data[0].scope == module.storage.account.id
    error_message = "Running sagas are not deleted by accident."
  }
}

run "no_lock_when_asked" {
  command = plan

  variables {
    deletion_protection = false
  }

  assert {
    condition     = length(azurerm_management_lock.data) == 0
    error_message = "The lock follows the variable."
  }
}

run "second_apply_subscribes_the_webhook" {
  command = plan

  variables {
    ingress_url = "https://abc.lambda-url.eu-central-1.on.aws/"
  }

  assert {
    condition     = output.for_aws.audience == "66666666-7777-8888-9999-000000000000"
    error_message = "Nothing that AWS was given changes."
  }
}

run "federation_has_no_secret" {
  command = plan

  assert {
    condition     = output.azure_secret == null && output.for_aws.client_id != null
    error_message = "No secret crosses."
  }

  assert {
    condition = output.for_aws.dead_letters == {
      client_id        = module.access.replayer.client_id
      account          = "test0f759073data"
      container        = "deadletters"
      queue            = "saga-events"
      poison_queue     = "saga-events-poison"
      quarantine_queue = "saga-quarantine"
      table            = "SagaSteps"
      calls            = { queue = "saga-calls", poison_queue = "saga-calls-poison" }
    }
    error_message = "Where dead letters lie, and who AWS is when it looks at them."
  }

  assert {
    condition     = contains(keys(module.topic.senders), "replayer") && length(module.replayer[0].roles) == 7
    error_message = "The replayer reads the places, and sends to queue and topic."
  }
}

run "dead_letters_are_seen_with_any_transport" {
  command = plan

  variables {
    transport = "api-destination"
    federation = {
      issuer            = "https://abc.tokens.sts.global.api.aws"
      replayer_role_arn = "arn:aws:iam::123456789012:role/dlq-replayer"
    }
  }

  assert {
    condition     = output.for_aws.dead_letters != null && output.azure_secret != null && length(module.replayer) == 1
    error_message = "EventBridge's secret and the replayer's trust are two things."
  }
}

run "the_topic_key_when_asked" {
  command = plan

  variables {
    transport = "api-destination"
    topic_key = true
  }

  assert {
    condition     = output.for_aws.client_id == null && output.azure_secret != null
    error_message = "The key in place of an application."
  }
}

run "services_reach_the_participant" {
  command = plan

  variables {
    services = {
      ledger = { cloud = "aws", url = "https://ledger.example.com/saga", auth = "signature", secret = "prod/ledger" }
      bank   = { cloud = "azure", url = "https://bank.example.com/saga", auth = "entra", audience = "api://bank" }
    }
  }

  assert {
    condition     = keys(jsondecode(module.participant.services)) == ["bank", "ledger"] && output.names.azure_calls_queue == "saga-calls" && output.names.azure_calls_poison_queue == "saga-calls-poison"
    error_message = "The services, and the queues that tools look for."
  }
}

run "network_and_key_reach_both_accounts" {
  command = plan

  variables {
    network = {
      subnet_id   = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/net/subnets/saga"
      allowed_ips = ["203.0.113.7"]
    }

    customer_key = {
      key_id      = "https://vault.vault.azure.net/keys/saga"
      identity_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/keys/providers/Microsoft.ManagedIdentity/userAssignedIdentities/saga"
    }
  }

  assert {
    condition     = module.storage.closed && module.participant.closed
    error_message = "An account that is left open is open."
  }
}

run "refuses_bad_settings" {
  command = plan

  variables {
    subscription_id = "mine"
    tenant_id       = "example.onmicrosoft.com"
    environment     = "Prod"
    location        = "West Europe"
    transport       = "carrier-pigeon"
    ingress_url     = "http://abc.example.com/"
  }

  expect_failures = [var.subscription_id, var.tenant_id, var.environment, var.location, var.transport, var.ingress_url]
}
