# The bus and its two ways out. An event says where it goes (`sagatarget`): to the other cloud through
# an API destination (or the queue of a relay), or to the AWS participants through a queue. Both ways retry
# for a day and then keep the event in a dead-letter queue, because EventBridge drops what has neither.

locals {
  direct         = var.azure.relay_queue == null
  retry_seconds  = 24 * 60 * 60
  retry_attempts = 185
}

resource "aws_cloudwatch_event_bus" "this" {
  name               = "${var.prefix}enterprise-core-bus"
  kms_key_identifier = var.kms_key_arn

  dynamic "dead_letter_config" {
    for_each = aws_sqs_queue.bus_dlq

    content {
      arn = dead_letter_config.value.arn
    }
  }

  lifecycle {
    precondition {
      condition     = var.kms_key_arn == null || var.dead_letters
      error_message = "A bus with a key of its own drops what it cannot encrypt or decrypt: set dead_letters."
    }
  }
}

# --- what the bus itself gives up: events that it cannot encrypt or decrypt -------------------------------

# The one queue without the deployment's key: what lands in it does so because that key cannot be used. An event in it is
# encrypted, with that key, by the bus (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-dlq.html).
resource "aws_sqs_queue" "bus_dlq" {
  count = var.dead_letters ? 1 : 0

  name                      = "${var.prefix}saga-bus-dlq"
  message_retention_seconds = 14 * 24 * 60 * 60
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "bus_dlq" {
  count = length(aws_sqs_queue.bus_dlq)

  queue_url = aws_sqs_queue.bus_dlq[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Effect    = "Allow"
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.bus_dlq[0].arn
        Principal = { Service = "events.amazonaws.com" }
        # The bus, or a rule of it: AWS does not say which of the two it names here.
        Condition = { ArnLike = { "aws:SourceArn" = [aws_cloudwatch_event_bus.this.arn, "${replace(aws_cloudwatch_event_bus.this.arn, ":event-bus/", ":rule/")}/*"] } }
      }],
      [for deny in local.tls_only : merge(deny, { Resource = aws_sqs_queue.bus_dlq[0].arn })],
    )
  })
}

# --- to Azure: the API destination is the Event Grid topic's publish endpoint --------------------------

# EventBridge keeps the secret in Secrets Manager, in a secret it owns.
resource "aws_cloudwatch_event_connection" "azure" {
  count = local.direct ? 1 : 0

  name               = "${var.prefix}saga-to-azure"
  description        = "How EventBridge proves to the Event Grid topic who it is"
  authorization_type = var.azure.oauth == null ? "API_KEY" : "OAUTH_CLIENT_CREDENTIALS"
  kms_key_identifier = var.kms_key_arn

  auth_parameters {
    dynamic "api_key" {
      for_each = var.azure.oauth == null ? ["aeg-sas-key"] : []

      content {
        key   = api_key.value
        value = var.azure_secret
      }
    }

    dynamic "oauth" {
      for_each = var.azure.oauth == null ? [] : [var.azure.oauth]

      content {
        authorization_endpoint = oauth.value.token_endpoint
        http_method            = "POST"

        client_parameters {
          client_id     = oauth.value.client_id
          client_secret = var.azure_secret
        }

        oauth_http_parameters {
          body {
            key             = "grant_type"
            value           = "client_credentials"
            is_value_secret = false
          }

          body {
            key             = "scope"
            value           = oauth.value.scope
            is_value_secret = false
          }
        }
      }
    }
  }

  lifecycle {
    precondition {
      condition     = var.azure_secret != null
      error_message = "azure_secret is missing: an API destination signs in with it. Without a secret, give azure.relay_queue."
    }
  }
}

resource "aws_cloudwatch_event_api_destination" "azure" {
  count = local.direct ? 1 : 0

  name                             = "${var.prefix}saga-to-azure"
  description                      = "Event Grid topic of the other cloud"
  connection_arn                   = aws_cloudwatch_event_connection.azure[0].arn
  invocation_endpoint              = var.azure.topic_endpoint
  invocation_rate_limit_per_second = var.azure.rate_limit
  http_method                      = "POST"
}

resource "aws_iam_role" "to_azure" {
  count = local.direct ? 1 : 0

  name                 = "${var.prefix}saga-bus-to-azure${var.iam.suffix}"
  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "events.amazonaws.com" }
      # Only this rule may use the role, so that no rule of another bus borrows the connection.
      Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.to_azure.arn } }
    }]
  })
}

resource "aws_iam_role_policy" "to_azure" {
  count = local.direct ? 1 : 0

  name = "invoke-api-destination"
  role = aws_iam_role.to_azure[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "events:InvokeApiDestination"
      Resource = aws_cloudwatch_event_api_destination.azure[0].arn
    }]
  })
}

resource "aws_cloudwatch_event_rule" "to_azure" {
  name           = "${var.prefix}saga-to-azure"
  description    = "Saga events for the participants on Azure"
  event_bus_name = aws_cloudwatch_event_bus.this.name
  event_pattern  = jsonencode({ detail = { sagatarget = ["azure"] } })
}

resource "aws_cloudwatch_event_target" "to_azure" {
  rule           = aws_cloudwatch_event_rule.to_azure.name
  event_bus_name = aws_cloudwatch_event_bus.this.name
  target_id      = local.direct ? "event-grid-topic" : "relay-queue"
  arn            = local.direct ? aws_cloudwatch_event_api_destination.azure[0].arn : var.azure.relay_queue.arn
  role_arn       = local.direct ? aws_iam_role.to_azure[0].arn : null

  # The detail is a CloudEvent. Event Grid refuses EventBridge's envelope, and takes a single
  # CloudEvent only under this content type. A relay gets the envelope, as every queue here does, and takes
  # the detail out of it.
  input_path = local.direct ? "$.detail" : null

  dynamic "http_target" {
    for_each = local.direct ? ["2018-01-01"] : []

    content {
      header_parameters = {
        "Content-Type" = "application/cloudevents+json"
      }
      query_string_parameters = {
        "api-version" = http_target.value
      }
    }
  }

  retry_policy {
    maximum_event_age_in_seconds = local.retry_seconds
    maximum_retry_attempts       = local.retry_attempts
  }

  dead_letter_config {
    arn = var.azure.dead_letter_queue.arn
  }
}

# --- to AWS: the events queue --------------------------------------------------------------------------

resource "aws_cloudwatch_event_rule" "to_aws" {
  name           = "${var.prefix}saga-to-aws"
  description    = "Saga events for the participants on AWS"
  event_bus_name = aws_cloudwatch_event_bus.this.name
  event_pattern  = jsonencode({ detail = { sagatarget = ["aws"] } })
}

resource "aws_cloudwatch_event_target" "to_aws" {
  rule           = aws_cloudwatch_event_rule.to_aws.name
  event_bus_name = aws_cloudwatch_event_bus.this.name
  target_id      = "events-queue"
  arn            = var.aws.queue.arn

  retry_policy {
    maximum_event_age_in_seconds = local.retry_seconds
    maximum_retry_attempts       = local.retry_attempts
  }

  dead_letter_config {
    arn = var.aws.dead_letter_queue.arn
  }
}

# --- who may write to the queues: each rule, and nothing else of EventBridge -----------------------------

locals {
  tls_only = !var.tls_only ? [] : [{
    Sid       = "TlsOnly"
    Effect    = "Deny"
    Action    = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"]
    Principal = "*"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }]

  senders = merge(
    {
      events          = { queue = var.aws.queue, rule_arn = aws_cloudwatch_event_rule.to_aws.arn }
      events_dlq      = { queue = var.aws.dead_letter_queue, rule_arn = aws_cloudwatch_event_rule.to_aws.arn }
      destination_dlq = { queue = var.azure.dead_letter_queue, rule_arn = aws_cloudwatch_event_rule.to_azure.arn }
    },
    local.direct ? {} : {
      relay = { queue = var.azure.relay_queue, rule_arn = aws_cloudwatch_event_rule.to_azure.arn }
    },
  )
}

resource "aws_sqs_queue_policy" "from_rule" {
  for_each = local.senders

  queue_url = each.value.queue.url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Effect    = "Allow"
        Action    = "sqs:SendMessage"
        Resource  = each.value.queue.arn
        Principal = { Service = "events.amazonaws.com" }
        Condition = { ArnEquals = { "aws:SourceArn" = each.value.rule_arn } }
      }],
      [for deny in local.tls_only : merge(deny, { Resource = each.value.queue.arn })],
    )
  })
}
