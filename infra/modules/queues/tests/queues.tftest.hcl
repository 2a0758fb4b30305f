mock_provider "aws" {
  mock_resource "aws_sqs_queue" {
    defaults = {
      arn = "arn:aws:sqs:eu-central-1:123456789012:mock"
      id  = "https://sqs.eu-central-1.amazonaws.com/123456789012/mock"
    }
  }
}

run "defaults" {
  command = apply

  assert {
    condition = [
      aws_sqs_queue.events.name, aws_sqs_queue.events_dlq.name, aws_sqs_queue.destination_dlq.name,
      aws_sqs_queue.quarantine.name, aws_sqs_queue.outbox_failures.name,
    ] == ["saga-events", "saga-events-dlq", "saga-destination-dlq", "saga-quarantine", "saga-outbox-failures"]
    error_message = "The names operators and tools know."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_policy.events.redrive_policy).maxReceiveCount == 5
    error_message = "Five tries, then the dead-letter queue."
  }

  assert {
    condition = alltrue([
      for queue in [aws_sqs_queue.events_dlq, aws_sqs_queue.destination_dlq, aws_sqs_queue.quarantine, aws_sqs_queue.outbox_failures] :
      queue.message_retention_seconds == 1209600
    ])
    error_message = "What an operator reads is kept 14 days, the longest SQS offers."
  }

  assert {
    condition = alltrue([
      for queue in [aws_sqs_queue.events, aws_sqs_queue.events_dlq, aws_sqs_queue.destination_dlq, aws_sqs_queue.quarantine, aws_sqs_queue.outbox_failures] :
      queue.sqs_managed_sse_enabled
    ])
    error_message = "Every queue is encrypted."
  }
}

run "options" {
  command = apply

  variables {
    prefix                     = "blue-"
    visibility_timeout_seconds = 180
    max_receive_count          = 3
    kms_key_arn                = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = aws_sqs_queue.quarantine.name == "blue-saga-quarantine" && aws_sqs_queue.events.visibility_timeout_seconds == 180
    error_message = "Prefix and visibility timeout are used."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_policy.events.redrive_policy).maxReceiveCount == 3
    error_message = "The number of tries is used."
  }

  assert {
    condition     = aws_sqs_queue.events.kms_master_key_id == var.kms_key_arn
    error_message = "A customer managed key replaces SQS's own."
  }
}

run "refuses_a_timeout_over_twelve_hours" {
  command = plan

  variables {
    visibility_timeout_seconds = 43201
  }

  expect_failures = [var.visibility_timeout_seconds]
}

run "refuses_no_tries" {
  command = plan

  variables {
    max_receive_count = 0
  }

  expect_failures = [var.max_receive_count]
}

run "refuses_a_key_id" {
  command = plan

  variables {
    kms_key_arn = "11111111-2222-3333-4444-555555555555"
  }

  expect_failures = [var.kms_key_arn]
}

run "refuses_a_bad_prefix" {
  command = plan

  variables {
    prefix = "blue/"
  }

  expect_failures = [var.prefix]
}
