# The packages are the empty ones of the module's tests: a mocked provider uploads nothing.

mock_provider "aws" {
  source = "../../modules/saga-aws/tests/mocks"

  mock_resource "aws_lambda_function_url" {
    defaults = {
      url_id       = "abc"
      function_url = "http://abc.lambda-url.us-east-1.127.0.0.1:4666/"
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

run "urls_that_no_name_server_knows_become_paths" {
  command = apply

  assert {
    condition     = output.api == "http://127.0.0.1:4666/_aws/lambda-url/abc"
    error_message = "LocalStack without Docker answers under the path that localstack_plugin adds."
  }
}
