# The way to Azure without a secret: a function takes events from a queue and publishes them to the Event Grid
# topic with a token that Entra gives for AWS's word on the function's role. It stands in for connection and
# API destination and keeps their promises: a day of retries, then a dead-letter queue.

locals {
  timeout_seconds = 30
  # A message that failed comes back after five minutes, for a day: as long as EventBridge tries.
  visibility_seconds = 5 * 60
  tries              = 24 * 60 / 5
  # What Entra takes as a client's assertion.
  audience = "api://AzureADTokenExchange"
}

resource "aws_sqs_queue" "this" {
  name                       = "${var.prefix}saga-relay"
  visibility_timeout_seconds = local.visibility_seconds
  message_retention_seconds  = 4 * 24 * 60 * 60
  sqs_managed_sse_enabled    = var.kms_key_arn == null ? true : null
  kms_master_key_id          = var.kms_key_arn
}

# Bodies are those of the bus' own dead letters, so a replay treats both alike.
resource "aws_sqs_queue" "dlq" {
  name                      = "${var.prefix}saga-relay-dlq"
  message_retention_seconds = 14 * 24 * 60 * 60
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
}

resource "aws_sqs_queue_redrive_policy" "this" {
  queue_url = aws_sqs_queue.this.id

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dlq.arn
    maxReceiveCount     = local.tries
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "dlq" {
  queue_url = aws_sqs_queue.dlq.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.this.arn]
  })
}

# The relay's own queue gets its policy with the rule that writes to it (module bus).
resource "aws_sqs_queue_policy" "dlq" {
  count = var.tls_only ? 1 : 0

  queue_url = aws_sqs_queue.dlq.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Action    = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"]
      Resource  = aws_sqs_queue.dlq.arn
      Principal = "*"
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

module "function" {
  source = "../function"

  name               = "${var.prefix}event-relay"
  description        = "Publishes saga events to the Event Grid topic, with a federated token"
  zip                = var.zip
  architecture       = var.architecture
  timeout_seconds    = local.timeout_seconds
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.kms_key_arn
  iam                = var.iam
  network            = var.network

  environment = merge(var.environment, {
    EVENTGRID_TOPIC_ENDPOINT = var.topic_endpoint
    AZURE_TENANT_ID          = var.tenant_id
    AZURE_CLIENT_ID          = var.client_id
  })

  # The call knows no resource; its conditions bind the token to Entra's exchange and to five minutes.
  statements = concat(
    [{
      sid       = "Token"
      actions   = ["sts:GetWebIdentityToken"]
      resources = ["*"]
      conditions = [
        { test = "ForAllValues:StringEquals", variable = "sts:IdentityTokenAudience", values = [local.audience] },
        { test = "Null", variable = "sts:IdentityTokenAudience", values = ["false"] },
        { test = "NumericLessThanEquals", variable = "sts:DurationSeconds", values = ["300"] },
      ]
    }],
    var.kms_key_arn == null ? [] : [{
      sid        = "Key"
      actions    = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources  = [var.kms_key_arn]
      conditions = []
    }],
  )

  queue_trigger = {
    arn                 = aws_sqs_queue.this.arn
    maximum_concurrency = var.maximum_concurrency
  }
}
