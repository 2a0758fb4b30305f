# What no metric shows, with api-destination: a connection that Entra stops to trust, and a client secret that will expire.

resource "aws_cloudwatch_event_rule" "connection" {
  count = var.connection == null ? 0 : 1

  name        = "${var.prefix}saga-connection"
  description = "EventBridge cannot sign in to Azure. Events for Azure wait; nothing is lost. Check the client secret. Runbook: ${var.runbook_url}#connection"

  # https://docs.aws.amazon.com/eventbridge/latest/userguide/event-reference.html
  event_pattern = jsonencode({
    source      = ["aws.events"]
    detail-type = ["Connection Deauthorized", "Connection Failed Connectivity"]
    detail      = { ConnectionName = [var.connection] }
  })
}

resource "aws_cloudwatch_event_target" "connection" {
  count = var.connection == null ? 0 : 1

  rule      = aws_cloudwatch_event_rule.connection[0].name
  target_id = "alerts"
  arn       = var.alerts_topic_arn

  input_transformer {
    input_paths = {
      state  = "$.detail-type"
      reason = "$.detail.StateReason"
    }
    input_template = "\"<state> (${var.connection}): <reason>. Events for Azure are tried for a day and then become dead letters in saga-destination-dlq; nothing is lost. Check the client secret. Runbook: ${var.runbook_url}#connection\""
  }

  retry_policy {
    maximum_event_age_in_seconds = 24 * 60 * 60
    maximum_retry_attempts       = 185
  }
}

# --- a secret's end --------------------------------------------------------------------------------------

locals {
  warnings = var.connection == null || var.secret_expires == null ? {} : {
    for days in [30, 7] : days => formatdate("YYYY-MM-DD'T'hh:mm:ss", timeadd(var.secret_expires, "-${days * 24}h"))
  }
}

resource "aws_scheduler_schedule" "secret" {
  #checkov:skip=CKV_AWS_297:A date and a sentence for the alerts' topic; encrypted by a key of AWS.
  for_each = local.warnings

  name                         = "${var.prefix}saga-secret-expires-${each.key}"
  description                  = "Warns that the client secret for Azure expires in ${each.key} days"
  schedule_expression          = "at(${each.value})"
  schedule_expression_timezone = "UTC"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = var.alerts_topic_arn
    role_arn = aws_iam_role.scheduler[0].arn
    input    = "The client secret of saga-bridge for Azure expires in ${each.key} days, at ${var.secret_expires}. Afterwards EventBridge cannot sign in, and events for Azure wait; nothing is lost. Rotate the secret before that. Runbook: ${var.runbook_url}#secret-expires"
  }
}

resource "aws_iam_role" "scheduler" {
  count = length(local.warnings) == 0 ? 0 : 1

  name                 = "${var.prefix}saga-scheduler${var.iam.suffix}"
  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "scheduler.amazonaws.com" }
      # The account is the topic's.
      Condition = { StringEquals = { "aws:SourceAccount" = split(":", var.alerts_topic_arn)[4] } }
    }]
  })
}

resource "aws_iam_role_policy" "scheduler" {
  count = length(local.warnings) == 0 ? 0 : 1

  name = "publish-alerts"
  role = aws_iam_role.scheduler[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{ Effect = "Allow", Action = ["sns:Publish"], Resource = [var.alerts_topic_arn] }],
      [for key in var.kms_key_arn[*] : { Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = [key] }],
    )
  })
}
