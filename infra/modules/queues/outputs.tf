output "events" {
  description = "Events for the AWS participants."
  value = {
    name = aws_sqs_queue.events.name
    arn  = aws_sqs_queue.events.arn
    url  = aws_sqs_queue.events.id
  }
}

output "events_dlq" {
  description = "Events the AWS consumer could not process."
  value = {
    name = aws_sqs_queue.events_dlq.name
    arn  = aws_sqs_queue.events_dlq.arn
    url  = aws_sqs_queue.events_dlq.id
  }
}

output "destination_dlq" {
  description = "Events the bus could not deliver to the other cloud."
  value = {
    name = aws_sqs_queue.destination_dlq.name
    arn  = aws_sqs_queue.destination_dlq.arn
    url  = aws_sqs_queue.destination_dlq.id
  }
}

output "quarantine" {
  description = "Events that no retry can help."
  value = {
    name = aws_sqs_queue.quarantine.name
    arn  = aws_sqs_queue.quarantine.arn
    url  = aws_sqs_queue.quarantine.id
  }
}

output "outbox_failures" {
  description = "Stream batches the outbox publisher gave up on."
  value = {
    name = aws_sqs_queue.outbox_failures.name
    arn  = aws_sqs_queue.outbox_failures.arn
    url  = aws_sqs_queue.outbox_failures.id
  }
}
