# An HTTP API in front of the webhook, for those who want calls without a valid token turned away, and floods slowed down,
# before a function runs. The function checks the token again, and the role in it, which an authorizer does not.

resource "aws_apigatewayv2_api" "this" {
  name          = "${var.prefix}saga-webhook"
  description   = "Webhook of the Event Grid subscription"
  protocol_type = "HTTP"
}

resource "aws_apigatewayv2_authorizer" "entra" {
  api_id           = aws_apigatewayv2_api.this.id
  name             = "entra"
  authorizer_type  = "JWT"
  identity_sources = ["$request.header.Authorization"]

  jwt_configuration {
    issuer   = var.issuer
    audience = [var.audience]
  }
}

resource "aws_apigatewayv2_integration" "function" {
  api_id                 = aws_apigatewayv2_api.this.id
  integration_type       = "AWS_PROXY"
  integration_uri        = var.function.arn
  payload_format_version = "2.0"
  # Event Grid waits for 30 seconds.
  timeout_milliseconds = 29000
}

resource "aws_apigatewayv2_route" "delivery" {
  api_id             = aws_apigatewayv2_api.this.id
  route_key          = "POST /"
  target             = "integrations/${aws_apigatewayv2_integration.function.id}"
  authorization_type = "JWT"
  authorizer_id      = aws_apigatewayv2_authorizer.entra.id
}

# Event Grid shakes hands before it has a token; the function looks at its origin.
resource "aws_apigatewayv2_route" "handshake" {
  #checkov:skip=CKV_AWS_309:See above.
  api_id             = aws_apigatewayv2_api.this.id
  route_key          = "OPTIONS /"
  target             = "integrations/${aws_apigatewayv2_integration.function.id}"
  authorization_type = "NONE"
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:stacks/aws gives a key of its own.
  #checkov:skip=CKV_AWS_338:How long logs are kept is a variable.
  name              = "/aws/apigateway/${var.prefix}saga-webhook"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_apigatewayv2_stage" "this" {
  api_id      = aws_apigatewayv2_api.this.id
  name        = "$default"
  auto_deploy = true

  default_route_settings {
    throttling_rate_limit  = var.rate_limit
    throttling_burst_limit = 2 * var.rate_limit
  }

  access_log_settings {
    destination_arn = aws_cloudwatch_log_group.this.arn
    format          = jsonencode({ time = "$context.requestTime", ip = "$context.identity.sourceIp", method = "$context.httpMethod", status = "$context.status", error = "$context.authorizer.error", ms = "$context.responseLatency" })
  }
}

resource "aws_lambda_permission" "this" {
  statement_id  = "WebhookGateway"
  action        = "lambda:InvokeFunction"
  function_name = var.function.name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.this.execution_arn}/*/*/"
}
