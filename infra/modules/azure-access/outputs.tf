output "webhook_audience" {
  description = "The application that Event Grid asks for a token, and the audience that the webhook expects. Known once Event Grid has its role."
  value       = azuread_application.webhook.client_id
  depends_on  = [azuread_app_role_assignment.handshake]
}

output "publisher" {
  description = "AWS as a publisher: client_id, and object_id of its service principal. Null with publisher none."
  value = var.publisher == "none" ? null : {
    client_id = azuread_application.publisher[0].client_id
    object_id = azuread_service_principal.publisher[0].object_id
  }
}

output "replayer" {
  description = "AWS as the replayer of dead letters: client_id, and object_id of its service principal. Null without one."
  value = var.replayer == null ? null : {
    client_id = azuread_application.replayer[0].client_id
    object_id = azuread_service_principal.replayer[0].object_id
  }
}

output "publisher_secret" {
  description = "The client secret in use, or null."
  value       = var.publisher == "client-secret" ? azuread_application_password.publisher[tostring(var.secret.rotation)].value : null
  sensitive   = true
}

output "publisher_secret_expires" {
  description = "When the client secret in use expires, or null."
  value       = var.publisher == "client-secret" ? azuread_application_password.publisher[tostring(var.secret.rotation)].end_date : null
}
