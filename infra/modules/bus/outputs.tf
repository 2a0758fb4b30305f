output "bus_name" {
  description = "The bus to put events on."
  value       = aws_cloudwatch_event_bus.this.name
}

output "bus_arn" {
  description = "The bus's ARN, for the permission to put events."
  value       = aws_cloudwatch_event_bus.this.arn
}

output "rules" {
  description = "The names of the two rules, for alarms on failed invocations."
  value = {
    to_azure = aws_cloudwatch_event_rule.to_azure.name
    to_aws   = aws_cloudwatch_event_rule.to_aws.name
  }
}

output "connection" {
  description = "The connection's name, or null when a relay sends."
  value       = one(aws_cloudwatch_event_connection.azure[*].name)
}

output "dead_letter_queue" {
  description = "What the bus could not encrypt or decrypt, or null without dead_letters."
  value       = one(aws_sqs_queue.bus_dlq[*].name)
}
