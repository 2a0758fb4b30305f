output "principal_id" {
  description = "The identity's object id, for its role on the topic."
  value       = azurerm_user_assigned_identity.this.principal_id
}

output "upload" {
  description = "The command that uploads a package without Terraform."
  value       = "az functionapp deployment source config-zip --subscription ${split("/", azurerm_function_app_flex_consumption.this.id)[2]} --resource-group ${var.resource_group_name} --name ${azurerm_function_app_flex_consumption.this.name} --src azure-participant.zip"
}

output "function_app" {
  description = "The app: id and name."
  value = {
    id   = azurerm_function_app_flex_consumption.this.id
    name = azurerm_function_app_flex_consumption.this.name
  }
}

output "closed" {
  description = "Whether the storage account refuses whoever is not in the network, and is encrypted by a key of your own."
  value       = length(azurerm_storage_account.host.network_rules) > 0 && length(azurerm_storage_account.host.customer_managed_key) > 0
}

output "services" {
  description = "What the app reads of the services that it calls, as JSON, for reviews and tests."
  value       = local.app_settings.SERVICES
}
