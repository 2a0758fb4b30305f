output "queue" {
  description = "Requests that wait for the service: name, arn and url."
  value = {
    name = aws_sqs_queue.this.name
    arn  = aws_sqs_queue.this.arn
    url  = aws_sqs_queue.this.id
  }
}

output "dead_letter_queue" {
  description = "Requests that were given up: name, arn and url."
  value = {
    name = aws_sqs_queue.dlq.name
    arn  = aws_sqs_queue.dlq.arn
    url  = aws_sqs_queue.dlq.id
  }
}

output "rule" {
  description = "The rule's name, for an alarm on failed invocations."
  value       = aws_cloudwatch_event_rule.this.name
}

output "function_name" {
  description = "The function's name."
  value       = module.function.name
}

output "role_arn" {
  description = "The caller's role, for a service of another account that lets it in."
  value       = module.function.role_arn
}

output "log_group_name" {
  description = "The function's log group, for metric filters."
  value       = module.function.log_group_name
}

output "environment" {
  description = "The environment variables."
  value       = module.function.environment
}

output "policy" {
  description = "What the role allows, as JSON, for reviews and tests."
  value       = module.function.policy
}

output "subnet_ids" {
  description = "The subnets that it works in; none without a network."
  value       = module.function.subnet_ids
}
