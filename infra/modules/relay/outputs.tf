output "queue" {
  description = "The queue that the bus feeds."
  value = {
    name = aws_sqs_queue.this.name
    arn  = aws_sqs_queue.this.arn
    url  = aws_sqs_queue.this.id
  }
}

output "dead_letter_queue" {
  description = "Events that the topic did not take for a day."
  value = {
    name = aws_sqs_queue.dlq.name
    arn  = aws_sqs_queue.dlq.arn
    url  = aws_sqs_queue.dlq.id
  }
}

output "function_name" {
  description = "The function's name."
  value       = module.function.name
}

output "role_arn" {
  description = "The function's role, which Entra is to trust."
  value       = module.function.role_arn
}

output "log_group_name" {
  description = "The function's log group."
  value       = module.function.log_group_name
}

output "subnet_ids" {
  description = "The subnets that the function works in; none without a network."
  value       = module.function.subnet_ids
}
