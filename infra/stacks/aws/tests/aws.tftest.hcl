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
