output "application_insights_id" {
  description = "Application Insights, as the scope of a role."
  value       = azurerm_application_insights.this.id
}

output "application_insights_connection_string" {
  description = "Where the participant logs."
  value       = azurerm_application_insights.this.connection_string
  sensitive   = true
}

output "quiet_until" {
  description = "Until then participant-silent and participant-failing do not fire: an hour after the first apply."
  value       = local.quiet_until
}

output "alerts" {
  description = "The names of all alerts: sections of the runbook."
  value       = sort(concat(keys(local.topic_alerts), keys(local.log_alerts)))
}
