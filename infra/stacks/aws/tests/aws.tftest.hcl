# The packages are the empty ones of the module's tests: a mocked provider uploads nothing.

mock_provider "aws" {
  source = "../../modules/saga-aws/tests/mocks"

  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abc.lambda-url.eu-central-1.on.aws/" }
  }

  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  packages_dir   = "../../modules/saga-aws/tests/packages" # arm64 in it is a link to itself
  topic_endpoint = "https://mock.westeurope-1.eventgrid.azure.net/api/events"
  tenant_id      = "11111111-2222-3333-4444-555555555555"
  audience       = "66666666-7777-8888-9999-000000000000"
  client_id      = "66666666-7777-8888-9999-000000000000"
  azure_secret   = "not-a-secret"
}

run "defaults" {
  command = apply

  assert {
    condition     = output.ingress_url == "https://abc.lambda-url.eu-central-1.on.aws/" && output.relay_role_arn == null && output.names.bus == "enterprise-core-bus"
    error_message = "What the Azure stack and tools need."
  }

  assert {
    condition     = length(module.encryption) == 1
    error_message = "A key of its own unless told otherwise."
  }
}

run "dead_letters_of_azure_when_it_trusts_the_replayer" {
  command = apply

  variables {
    dead_letters = {
      client_id        = "66666666-7777-8888-9999-00000000000d"
      account          = "sagaproddata"
      container        = "deadletters"
      queue            = "saga-events"
      poison_queue     = "saga-events-poison"
      quarantine_queue = "saga-quarantine"
      table            = "SagaSteps"
    }
  }

  assert {
    condition = { for name, value in module.saga.replayer_environment : name => value if can(regex("^AZURE_|^DEAD_LETTER_CONTAINER$|^SAGA_TABLE$", name)) } == {
      AZURE_BLOB_ENDPOINT    = "https://sagaproddata.blob.core.windows.net"
      AZURE_CLIENT_ID        = "66666666-7777-8888-9999-00000000000d"
      AZURE_QUARANTINE_QUEUE = "saga-quarantine"
      AZURE_QUEUE_ENDPOINT   = "https://sagaproddata.queue.core.windows.net"
      AZURE_STORAGE_ACCOUNT  = "sagaproddata"
      AZURE_TABLE_ENDPOINT   = "https://sagaproddata.table.core.windows.net"
      AZURE_TENANT_ID        = "11111111-2222-3333-4444-555555555555"
      DEAD_LETTER_CONTAINER  = "deadletters"
      SAGA_TABLE             = "SagaSteps"
    }
    error_message = "The places, and the replayer's own application: no key."
  }

  assert {
    condition     = output.replayer_role_arn != null && output.dead_letters_url == "https://abc.lambda-url.eu-central-1.on.aws/"
    error_message = "Whom Entra is to trust, and where people look."
  }
}

run "dead_letters_of_aws_only_unless_azure_trusts_the_replayer" {
  command = apply

  assert {
    condition     = length([for name in keys(module.saga.replayer_environment) : name if startswith(name, "AZURE_")]) == 0
    error_message = "Without places on Azure it does not look for any."
  }
}

run "federation_needs_no_secret" {
  command = apply

  variables {
    transport    = "federation-relay"
    azure_secret = null
  }

  assert {
    condition     = output.relay_role_arn != null
    error_message = "The role that Entra is to trust."
  }
}

run "the_topic_key_in_place_of_oauth" {
  command = apply

  variables {
    client_id            = null
    customer_managed_key = false
    prefix               = "blue-"
  }

  assert {
    condition     = output.names.bus == "blue-enterprise-core-bus" && length(module.encryption) == 0
    error_message = "Prefix and keys follow the variables."
  }
}

run "people_are_told" {
  command = plan

  variables {
    alert_email_addresses = ["on-call@example.com"]
  }

  assert {
    condition     = aws_sns_topic_subscription.mail["on-call@example.com"].protocol == "email"
    error_message = "Mail goes to who is named."
  }
}

run "refuses_bad_settings" {
  command = plan

  variables {
    transport      = "ftp"
    topic_endpoint = "https://mock.westeurope-1.eventgrid.azure.net/api/events?api-version=2018-01-01"
    tenant_id      = "example.onmicrosoft.com"
    audience       = ""
  }

  expect_failures = [var.transport, var.topic_endpoint, var.tenant_id, var.audience]
}
