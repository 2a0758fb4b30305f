output "id" {
  description = "The topic's id."
  value       = azurerm_eventgrid_topic.this.id
}

output "name" {
  description = "The topic's name."
  value       = azurerm_eventgrid_topic.this.name
}

output "endpoint" {
  description = "Where events are published."
  value       = azurerm_eventgrid_topic.this.endpoint
}

output "senders" {
  description = "Object ids of who may publish, under the names given."
  value       = { for name, role in azurerm_role_assignment.sender : name => role.principal_id }
}

output "access_key" {
  description = "The topic's key, or null when keys are off."
  value       = var.access_key ? azurerm_eventgrid_topic.this.primary_access_key : null
  sensitive   = true
}
