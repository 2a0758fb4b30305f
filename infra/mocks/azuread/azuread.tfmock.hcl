# What a mocked azuread answers: identifiers in Entra's own form, because the provider checks the form.

mock_data "azuread_client_config" {
  defaults = {
    tenant_id = "11111111-2222-3333-4444-555555555555"
    object_id = "99999999-0000-0000-0000-000000000001"
  }
}

# Microsoft.EventGrid's own.
mock_data "azuread_service_principal" {
  defaults = { object_id = "99999999-0000-0000-0000-00000000000e" }
}

mock_resource "azuread_application" {
  defaults = {
    id        = "/applications/77777777-0000-0000-0000-000000000001"
    client_id = "66666666-7777-8888-9999-000000000000"
  }
}

mock_resource "azuread_service_principal" {
  defaults = { object_id = "99999999-0000-0000-0000-00000000000c" }
}

mock_resource "azuread_application_password" {
  defaults = {
    value    = "not-a-secret"
    end_date = "2099-01-01T00:00:00Z"
  }
}
