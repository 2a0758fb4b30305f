output "roles" {
  description = "Which roles were given, each with its scope, for reviews and tests."
  value       = { for name, role in azurerm_role_assignment.this : name => { role = role.role_definition_name, scope = role.scope } }
}
