output "deployer_role" {
  description = "The custom role of who applies."
  value       = azurerm_role_definition.deployer.name
}

output "planner_role" {
  description = "The custom role of who plans."
  value       = azurerm_role_definition.planner.name
}

output "graph_permissions" {
  description = "Application permissions of Microsoft Graph: of who applies, and of who plans."
  value = {
    deployer = distinct(concat(local.graph_reads, local.graph_writes))
    planner  = local.graph_reads
  }
}
