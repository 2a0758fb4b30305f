# The way from the bus to one outside service: a rule, a queue with its dead letters, and a function that makes the calls. Each service
# has its own, so that one that hangs fills its own queue and holds back no other.

locals {
  timeout_seconds = 90
  name            = "${var.prefix}saga-calls-${var.name}"
  retry_seconds   = 24 * 60 * 60
  retry_attempts  = 185

  # The queue's ARN says partition, region and account of this deployment.
  here = split(":", aws_sqs_queue.this.arn)
}

resource "aws_sqs_queue" "this" {
  name = local.name
  # AWS asks that a message stays hidden for six times the consumer's timeout.
  visibility_timeout_seconds = 6 * local.timeout_seconds
  # A request is put back with a delay until the service has decided. That makes it a new message, also while the service is paused.
  message_retention_seconds = 14 * 24 * 60 * 60
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
}

# Requests on which the caller crashed again and again, and what the bus could not put onto the queue. An attempt without a decision
# counts as a success here.
resource "aws_sqs_queue" "dlq" {
  name                      = "${local.name}-dlq"
  message_retention_seconds = 14 * 24 * 60 * 60
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
}

resource "aws_sqs_queue_redrive_policy" "this" {
  queue_url = aws_sqs_queue.this.id

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dlq.arn
    maxReceiveCount     = 5
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "dlq" {
  queue_url = aws_sqs_queue.dlq.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.this.arn]
  })
}

# --- from the bus ---------------------------------------------------------------------------------------

resource "aws_cloudwatch_event_rule" "this" {
  name           = local.name
  description    = "Requests to the service ${var.name}"
  event_bus_name = var.bus_name
  event_pattern  = jsonencode({ detail = { sagatarget = ["aws.${var.name}"] } })
}

resource "aws_cloudwatch_event_target" "this" {
  rule           = aws_cloudwatch_event_rule.this.name
  event_bus_name = var.bus_name
  target_id      = "calls-queue"
  arn            = aws_sqs_queue.this.arn

  retry_policy {
    maximum_event_age_in_seconds = local.retry_seconds
    maximum_retry_attempts       = local.retry_attempts
  }

  dead_letter_config {
    arn = aws_sqs_queue.dlq.arn
  }
}

locals {
  tls_only = !var.tls_only ? [] : [{
    Sid       = "TlsOnly"
    Effect    = "Deny"
    Action    = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"]
    Principal = "*"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }]
}

# The rule, and nothing else of EventBridge.
resource "aws_sqs_queue_policy" "from_rule" {
  for_each = { this = aws_sqs_queue.this, dlq = aws_sqs_queue.dlq }

  queue_url = each.value.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Effect    = "Allow"
        Action    = "sqs:SendMessage"
        Resource  = each.value.arn
        Principal = { Service = "events.amazonaws.com" }
        Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.this.arn } }
      }],
      [for deny in local.tls_only : merge(deny, { Resource = each.value.arn })],
    )
  })
}

# --- the caller -----------------------------------------------------------------------------------------

locals {
  # An API of API Gateway has its id in its host: POST of any stage and path, because a URL does not tell a stage from a path.
  api = try(regex("^https://([a-z0-9]+)\\.execute-api\\.([a-z0-9-]+)\\.", var.service.url), null)
  # Without a resource, the API is in this account.
  invokable = var.service.resource != null || local.api == null ? var.service.resource : "arn:${local.here[1]}:execute-api:${local.api[1]}:${local.here[4]}:${local.api[0]}"

  # What a signed request to a function URL is asked for, and an invocation past the URL is not
  # (https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html).
  url_statements = var.service.auth != "sigv4" || !strcontains(coalesce(local.invokable, "-"), ":function:") ? [] : [
    {
      sid        = "CallUrl"
      actions    = ["lambda:InvokeFunctionUrl"]
      resources  = [local.invokable]
      conditions = [{ test = "StringEquals", variable = "lambda:FunctionUrlAuthType", values = ["AWS_IAM"] }]
    },
    {
      sid        = "CallThroughUrl"
      actions    = ["lambda:InvokeFunction"]
      resources  = [local.invokable]
      conditions = [{ test = "Bool", variable = "lambda:InvokedViaFunctionUrl", values = ["true"] }]
    },
  ]

  api_statements = var.service.auth != "sigv4" || length(local.url_statements) > 0 ? [] : [{
    sid        = "CallApi"
    actions    = ["execute-api:Invoke"]
    resources  = ["${local.invokable}/*/POST/*"]
    conditions = []
  }]

  lambda_statements = var.service.auth != "lambda" ? [] : [{
    sid        = "CallFunction"
    actions    = ["lambda:InvokeFunction"]
    resources  = [var.service.lambda]
    conditions = []
  }]

  # Secrets Manager adds a hyphen and six characters to a secret's name; an ARN has them.
  secret = var.service.secret == null ? null : (
    startswith(var.service.secret, "env:") ? null :
    startswith(var.service.secret, "arn:") ? var.service.secret : "arn:${local.here[1]}:secretsmanager:${local.here[3]}:${local.here[4]}:secret:${var.service.secret}-??????"
  )

  secret_statements = [for secret in local.secret[*] : {
    sid        = "Secret"
    actions    = ["secretsmanager:GetSecretValue"]
    resources  = [secret]
    conditions = []
  }]
}

module "function" {
  source = "../function"

  name               = "${var.prefix}caller-${var.name}"
  description        = "Calls the service ${var.name} and commits its answers"
  zip                = var.zip
  architecture       = var.architecture
  timeout_seconds    = local.timeout_seconds
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.kms_key_arn
  iam                = var.iam
  network            = var.network

  environment = merge(var.environment, {
    SERVICES          = var.services_json
    SERVICE_QUEUE_URL = aws_sqs_queue.this.id
  })

  statements = concat(
    [for statement in var.statements : merge({ conditions = [] }, statement)],
    # A request without a decision goes back onto the queue that it came from, with a delay.
    [{
      sid        = "PutBack"
      actions    = ["sqs:SendMessage"]
      resources  = [aws_sqs_queue.this.arn]
      conditions = []
    }],
    local.url_statements,
    local.api_statements,
    local.lambda_statements,
    local.secret_statements,
  )

  # One request an invocation: a batch would wait for its slowest call. AWS allows no maximum below two.
  queue_trigger = {
    arn                 = aws_sqs_queue.this.arn
    batch_size          = 1
    maximum_concurrency = max(2, var.service.max_concurrency)
  }
}
