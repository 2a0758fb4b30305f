output "alarms" {
  description = "Every alarm, and its section of the runbook."
  value       = local.sections
}

output "dashboard_name" {
  description = "The dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
