# The packages are the empty ones of the module's tests: a mocked provider uploads nothing.

mock_provider "aws" {
  source = "../../modules/saga-aws/tests/mocks"

  mock_resource "aws_lambda_function_url" {
    defaults = {
      url_id       = "abc"
      function_url = "https://abc.lambda-url.us-east-1.on.aws/"
    }
  }
}

variables {
  endpoint = "http://127.0.0.1:4666"
  zips_dir = "../../modules/saga-aws/tests/packages"
  azure = {
    topic_endpoint = "http://127.0.0.1:4670/api/events"
    oauth = {
      token_endpoint = "http://127.0.0.1:4670/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token"
      client_id      = "66666666-7777-8888-9999-000000000000"
    }
  }
  azure_secret = "not-a-secret"
  ingress = {
    issuers  = ["http://127.0.0.1:4670/11111111-2222-3333-4444-555555555555/v2.0"]
    jwks_url = "http://127.0.0.1:4670/11111111-2222-3333-4444-555555555555/discovery/v2.0/keys"
    audience = "api://saga-ingress"
    tenant   = "11111111-2222-3333-4444-555555555555"
  }
}

run "urls_are_under_the_emulators_address" {
  command = apply

  assert {
    condition     = output.api == "http://127.0.0.1:4666/_aws/lambda-url/abc" && output.ingress == "http://127.0.0.1:4666/_aws/lambda-url/abc"
    error_message = "The host name in a function URL leads to AWS, not to the emulator."
  }
}

run "services_on_this_machine" {
  command = apply

  variables {
    services = {
      ledger = { cloud = "aws", url = "http://127.0.0.1:4690/ledger", auth = "none" }
      bank   = { cloud = "azure", url = "http://127.0.0.1:4690/bank", auth = "signature", secret = "env:BANK" }
    }
  }

  assert {
    condition     = output.service_queues == { ledger = { queue = "saga-calls-ledger", dead_letter_queue = "saga-calls-ledger-dlq" } }
    error_message = "The same callers as in a real stack."
  }
}

run "refuses_an_endpoint_that_is_not_this_machine" {
  command = plan

  variables {
    endpoint = "https://dynamodb.us-east-1.amazonaws.com"
  }

  expect_failures = [var.endpoint]
}

run "refuses_an_unknown_architecture" {
  command = plan

  variables {
    architecture = "riscv64"
  }

  expect_failures = [var.architecture]
}
