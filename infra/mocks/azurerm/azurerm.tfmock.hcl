# What a mocked azurerm answers: identifiers in Azure's own form, because the provider checks the form.

mock_data "azurerm_client_config" {
  defaults = {
    tenant_id       = "11111111-2222-3333-4444-555555555555"
    subscription_id = "00000000-0000-0000-0000-000000000000"
    object_id       = "99999999-0000-0000-0000-000000000001"
  }
}

mock_resource "azurerm_resource_group" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga" }
}

mock_resource "azurerm_storage_account" {
  defaults = {
    id                     = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/mock"
    primary_blob_endpoint  = "https://mock.blob.core.windows.net/"
    primary_queue_endpoint = "https://mock.queue.core.windows.net/"
    primary_table_endpoint = "https://mock.table.core.windows.net/"
  }
}

mock_resource "azurerm_eventgrid_topic" {
  defaults = {
    id       = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.EventGrid/topics/mock"
    endpoint = "https://mock.westeurope-1.eventgrid.azure.net/api/events"
    identity = {
      principal_id = "99999999-0000-0000-0000-00000000000a"
      tenant_id    = "11111111-2222-3333-4444-555555555555"
    }
  }
}

mock_resource "azurerm_user_assigned_identity" {
  defaults = {
    id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.ManagedIdentity/userAssignedIdentities/mock"
    principal_id = "99999999-0000-0000-0000-00000000000b"
    client_id    = "88888888-0000-0000-0000-00000000000b"
  }
}

mock_resource "azurerm_service_plan" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Web/serverFarms/mock" }
}

mock_resource "azurerm_function_app_flex_consumption" {
  defaults = {
    id               = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Web/sites/mock"
    default_hostname = "mock.azurewebsites.net"
  }
}

mock_resource "azurerm_log_analytics_workspace" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.OperationalInsights/workspaces/mock" }
}

mock_resource "azurerm_application_insights" {
  defaults = {
    id                = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Insights/components/mock"
    connection_string = "InstrumentationKey=00000000-0000-0000-0000-000000000000"
  }
}

mock_resource "azurerm_monitor_action_group" {
  defaults = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Insights/actionGroups/mock" }
}
