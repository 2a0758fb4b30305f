# Everything that waits on the AWS side waits here. A queue that an operator reads keeps messages as
# long as SQS can, so that a weekend does not lose what a Friday broke.

locals {
  fourteen_days = 14 * 24 * 60 * 60
  calls         = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage"]
}

resource "aws_sqs_queue" "events" {
  name                       = "${var.prefix}saga-events"
  visibility_timeout_seconds = var.visibility_timeout_seconds
  message_retention_seconds  = 4 * 24 * 60 * 60
  sqs_managed_sse_enabled    = var.kms_key_arn == null ? true : null
  kms_master_key_id          = var.kms_key_arn
}

# What the consumer could not process, and what the bus could not put onto the events queue.
resource "aws_sqs_queue" "events_dlq" {
  name                      = "${var.prefix}saga-events-dlq"
  message_retention_seconds = local.fourteen_days
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
}

# What the bus could not deliver to the other cloud within its retries.
resource "aws_sqs_queue" "destination_dlq" {
  name                      = "${var.prefix}saga-destination-dlq"
  message_retention_seconds = local.fourteen_days
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
}

# Events that no retry can help, kept whole with the reason. Written by the functions.
resource "aws_sqs_queue" "quarantine" {
  name                      = "${var.prefix}saga-quarantine"
  message_retention_seconds = local.fourteen_days
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
}

# Positions of stream batches the publisher gave up on. The rows themselves are still in the outbox and
# the schedule publishes them, so a message here is a symptom to look at, not an event to replay.
resource "aws_sqs_queue" "outbox_failures" {
  name                      = "${var.prefix}saga-outbox-failures"
  message_retention_seconds = local.fourteen_days
  sqs_managed_sse_enabled   = var.kms_key_arn == null ? true : null
  kms_master_key_id         = var.kms_key_arn
}

# A resource of its own: the provider waits half a minute for each queue, so they are made side by side
# and joined afterwards.
resource "aws_sqs_queue_redrive_policy" "events" {
  queue_url = aws_sqs_queue.events.id

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.events_dlq.arn
    maxReceiveCount     = var.max_receive_count
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "events_dlq" {
  queue_url = aws_sqs_queue.events_dlq.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.events.arn]
  })
}

# The queues that rules write to get theirs with the rules (module bus): a queue has one policy.
resource "aws_sqs_queue_policy" "tls" {
  for_each = var.tls_only ? { quarantine = aws_sqs_queue.quarantine, outbox_failures = aws_sqs_queue.outbox_failures } : {}

  queue_url = each.value.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Action    = local.calls
      Resource  = each.value.arn
      Principal = "*"
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
