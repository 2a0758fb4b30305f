mock_provider "aws" {
  mock_resource "aws_apigatewayv2_api" {
    defaults = {
      id            = "abc"
      api_endpoint  = "https://abc.execute-api.eu-central-1.amazonaws.com"
      execution_arn = "arn:aws:execute-api:eu-central-1:123456789012:abc"
    }
  }

  mock_resource "aws_apigatewayv2_authorizer" {
    defaults = { id = "entra" }
  }

  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:mock" }
  }
}

variables {
  prefix   = "prod-"
  function = { name = "prod-event-ingress", arn = "arn:aws:lambda:eu-central-1:123456789012:function:prod-event-ingress" }
  issuer   = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0"
  audience = "66666666-7777-8888-9999-000000000000"
}

run "a_delivery_needs_a_token_and_a_handshake_does_not" {
  command = apply

  assert {
    condition = { for route in [aws_apigatewayv2_route.delivery, aws_apigatewayv2_route.handshake] : route.route_key => "${route.authorization_type} ${route.authorizer_id == null ? "" : route.authorizer_id}" } == {
      "POST /"    = "JWT entra"
      "OPTIONS /" = "NONE "
    }
    error_message = "Only the handshake is open, and nothing else is routed."
  }

  assert {
    condition     = aws_apigatewayv2_authorizer.entra.jwt_configuration[0].issuer == var.issuer && aws_apigatewayv2_authorizer.entra.jwt_configuration[0].audience == toset([var.audience])
    error_message = "Tokens of the tenant, for the webhook."
  }

  assert {
    condition     = aws_apigatewayv2_stage.this.default_route_settings[0].throttling_rate_limit == 100 && aws_lambda_permission.this.source_arn == "arn:aws:execute-api:eu-central-1:123456789012:abc/*/*/"
    error_message = "A flood is slowed down, and only this API invokes the function."
  }

  assert {
    condition     = output.url == "https://abc.execute-api.eu-central-1.amazonaws.com/"
    error_message = "What Event Grid is given."
  }
}

run "the_access_log_has_the_deployments_key" {
  command = apply

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn && aws_cloudwatch_log_group.this.name == "/aws/apigateway/prod-saga-webhook"
    error_message = "Under the name that the key's policy allows (module encryption)."
  }
}

run "refuses_bad_settings" {
  command = plan

  variables {
    issuer     = "http://login.example"
    rate_limit = 0
  }

  expect_failures = [var.issuer, var.rate_limit]
}
