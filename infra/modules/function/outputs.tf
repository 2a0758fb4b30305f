output "name" {
  description = "The function's name."
  value       = aws_lambda_function.this.function_name
}

output "arn" {
  description = "The function's ARN."
  value       = aws_lambda_function.this.arn
}

output "role_name" {
  description = "The role's name, for a stack that attaches more to it."
  value       = aws_iam_role.this.name
}

output "role_arn" {
  description = "The role's ARN, for whoever is to trust it."
  value       = aws_iam_role.this.arn
}

output "log_group_name" {
  description = "The log group's name, for metric filters."
  value       = aws_cloudwatch_log_group.this.name
}

output "url" {
  description = "The function's URL, or null."
  value       = one(aws_lambda_function_url.this[*].function_url)
}

output "url_id" {
  description = "The first label of the URL's host, or null."
  value       = one(aws_lambda_function_url.this[*].url_id)
}

output "environment" {
  description = "The environment variables."
  value       = var.environment
}

output "policy" {
  description = "What the role allows, as JSON, for reviews and tests."
  value       = aws_iam_role_policy.this.policy
}

output "schedule" {
  description = "The name of the rule that wakes it, or null."
  value       = one(aws_cloudwatch_event_rule.schedule[*].name)
}

output "url_auth" {
  description = "Who may call the URL: AWS_IAM or NONE; null without one."
  value       = one(aws_lambda_function_url.this[*].authorization_type)
}

output "reserved_concurrency" {
  description = "The most invocations at a time, or null."
  value       = var.reserved_concurrency
}

output "subnet_ids" {
  description = "The subnets that it works in; none without a network."
  value       = try(var.network.subnet_ids, [])
}
