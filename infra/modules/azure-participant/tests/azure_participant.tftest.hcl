# Planned only: an apply would call the Azure CLI. What the provider would answer is known in the plan.
mock_provider "azurerm" {
  override_during = plan
  source          = "../../mocks/azurerm"
}

variables {
  name                = "saga-test"
  app_name            = "saga-test-1a2b3c4d"
  host_account_name   = "sagatesthost"
  package             = "versions.tf" # any file
  resource_group_name = "saga"
  location            = "westeurope"
  topic_endpoint      = "https://mock.westeurope-1.eventgrid.azure.net/api/events"

  application_insights = {
    id                = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Insights/components/insights"
    connection_string = "InstrumentationKey=00000000-0000-0000-0000-000000000000"
  }

  data = {
    account = { name = "sagatestdata", table_endpoint = "https://sagatestdata.table.core.windows.net/", queue_endpoint = "https://sagatestdata.queue.core.windows.net/" }
    table   = { name = "SagaSteps", id = "/subscriptions/0/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/sagatestdata/tableServices/default/tables/SagaSteps" }
    queues = {
      events       = { name = "saga-events", id = "/subscriptions/0/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/sagatestdata/queueServices/default/queues/saga-events" }
      poison       = { name = "saga-events-poison", id = "/subscriptions/0/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/sagatestdata/queueServices/default/queues/saga-events-poison" }
      calls        = { name = "saga-calls", id = "/subscriptions/0/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/sagatestdata/queueServices/default/queues/saga-calls" }
      calls_poison = { name = "saga-calls-poison", id = "/subscriptions/0/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/sagatestdata/queueServices/default/queues/saga-calls-poison" }
      quarantine   = { name = "saga-quarantine", id = "/subscriptions/0/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/sagatestdata/queueServices/default/queues/saga-quarantine" }
    }
  }
}

run "a_custom_handler_on_flex_consumption" {
  command = plan

  assert {
    condition     = azurerm_service_plan.this.sku_name == "FC1" && azurerm_service_plan.this.os_type == "Linux" && azurerm_function_app_flex_consumption.this.runtime_name == "custom"
    error_message = "The host starts our executable."
  }

  assert {
    condition     = azurerm_function_app_flex_consumption.this.https_only && !azurerm_function_app_flex_consumption.this.webdeploy_publish_basic_authentication_enabled
    error_message = "No plain HTTP, and no password to deploy with."
  }

  assert {
    condition     = azurerm_function_app_flex_consumption.this.storage_authentication_type == "UserAssignedIdentity" && azurerm_function_app_flex_consumption.this.storage_container_endpoint == "https://mock.blob.core.windows.net/package"
    error_message = "The package is read by the identity."
  }
}

run "the_settings_are_those_that_the_handler_and_its_triggers_read" {
  command = plan

  # The handler's code is read here: a setting that it asks for and nobody sets is seen before a deployment.
  assert {
    condition = length(regexall("required\\(\"", file("../../../functions/azure-participant/src/config.rs"))) > 5 && length(setsubtract(
      flatten(regexall("required\\(\"([A-Z_]+)\"\\)", file("../../../functions/azure-participant/src/config.rs"))),
      keys(azurerm_function_app_flex_consumption.this.app_settings),
    )) == 0
    error_message = "The handler refuses to start without one of its settings."
  }

  assert {
    condition = length(setintersection(
      ["AZURE_STORAGE_KEY", "EVENTGRID_TOPIC_KEY", "AzureWebJobsStorage", "SagaStorage"],
      keys(azurerm_function_app_flex_consumption.this.app_settings),
    )) == 0
    error_message = "With a key or a connection string the identity would not be used."
  }

  assert {
    condition = length(setsubtract(
      setsubtract(keys(azurerm_function_app_flex_consumption.this.app_settings), [
        "AzureWebJobsStorage__accountName", "AzureWebJobsStorage__credential", "AzureWebJobsStorage__clientId",
        "SagaStorage__queueServiceUri", "SagaStorage__credential", "SagaStorage__clientId",
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "SAGA_QUEUE", "RUST_LOG", "INVENTORY_LIMIT", "CALLS_QUEUE", "SERVICES",
      ]),
      flatten(regexall("(?:required|optional)\\(\"([A-Z_]+)\"\\)", file("../../../functions/azure-participant/src/config.rs"))),
    )) == 0
    error_message = "A setting that nobody reads is a mistake."
  }

  assert {
    condition = jsondecode(file("../../../functions/azure-participant/saga-step/function.json")).bindings[0].queueName == "%SAGA_QUEUE%" && contains(
      keys(azurerm_function_app_flex_consumption.this.app_settings),
      "${jsondecode(file("../../../functions/azure-participant/saga-step/function.json")).bindings[0].connection}__queueServiceUri",
    )
    error_message = "The trigger finds its queue by these settings."
  }

  assert {
    condition = jsondecode(file("../../../functions/azure-participant/service-call/function.json")).bindings == [
      merge(jsondecode(file("../../../functions/azure-participant/saga-step/function.json")).bindings[0], { queueName = "%CALLS_QUEUE%" })
    ] && azurerm_function_app_flex_consumption.this.app_settings["CALLS_QUEUE"] == "saga-calls" && azurerm_function_app_flex_consumption.this.app_settings["SERVICES"] == "{}"
    error_message = "Requests to services wake the app as events do, from a queue of their own."
  }

  assert {
    condition     = azurerm_function_app_flex_consumption.this.app_settings["AZURE_CLIENT_ID"] == azurerm_user_assigned_identity.this.client_id
    error_message = "Of several identities, this one."
  }
}

run "no_line_of_a_saga_is_left_out_of_the_log" {
  command = plan

  assert {
    condition     = azurerm_function_app_flex_consumption.this.site_config[0].application_insights_connection_string != "" && !jsondecode(file("../../../functions/azure-participant/host.json")).logging.applicationInsights.samplingSettings.isEnabled
    error_message = "The host samples unless it is told not to: of a busy minute most lines would be missing."
  }
}

run "roles_end_at_a_table_a_queue_and_the_hosts_account" {
  command = plan

  assert {
    condition = { for name, role in azurerm_role_assignment.this : name => "${role.role_definition_name} on ${basename(role.scope)}" } == {
      table        = "Storage Table Data Contributor on SagaSteps"
      events       = "Storage Queue Data Contributor on saga-events"
      poison       = "Storage Queue Data Message Sender on saga-events-poison"
      calls        = "Storage Queue Data Contributor on saga-calls"
      calls_poison = "Storage Queue Data Message Sender on saga-calls-poison"
      quarantine   = "Storage Queue Data Message Sender on saga-quarantine"
      host         = "Storage Blob Data Owner on mock"
      monitoring   = "Monitoring Metrics Publisher on insights"
    }
    error_message = "The narrowest scope that Azure knows for each call."
  }

  assert {
    condition     = azurerm_role_assignment.this["host"].scope == azurerm_storage_account.host.id && azurerm_storage_account.host.name != var.data.account.name
    error_message = "The host's wide role does not reach the sagas."
  }

  assert {
    condition     = !azurerm_storage_account.host.shared_access_key_enabled && azurerm_storage_account.host.min_tls_version == "TLS1_2"
    error_message = "No keys here either."
  }
}

run "services_of_azure_with_exactly_their_secrets" {
  command = plan

  variables {
    services = {
      bank   = { cloud = "azure", url = "https://bank.example.com/saga", auth = "entra", audience = "api://bank" }
      fraud  = { cloud = "azure", url = "https://fraud.example.com", auth = "signature", secret = "https://vault1.vault.azure.net/secrets/fraud", resource = "/subscriptions/0/resourceGroups/keys/providers/Microsoft.KeyVault/vaults/vault1" }
      ledger = { cloud = "aws", url = "https://ledger.example.com", auth = "signature", secret = "prod/ledger" }
    }
  }

  assert {
    condition = { for name, role in azurerm_role_assignment.this : name => [role.role_definition_name, role.scope] if startswith(name, "secret_") } == {
      secret_fraud = ["Key Vault Secrets User", "/subscriptions/0/resourceGroups/keys/providers/Microsoft.KeyVault/vaults/vault1/secrets/fraud"]
    }
    error_message = "On the one secret, and on nothing for a token of Entra."
  }

  assert {
    condition = jsondecode(azurerm_function_app_flex_consumption.this.app_settings["SERVICES"]) == {
      bank   = { cloud = "azure", url = "https://bank.example.com/saga", auth = "entra", audience = "api://bank", max_concurrency = 5 }
      fraud  = { cloud = "azure", url = "https://fraud.example.com", auth = "signature", secret = "https://vault1.vault.azure.net/secrets/fraud", max_concurrency = 5 }
      ledger = { cloud = "aws", url = "https://ledger.example.com", auth = "signature", secret = "prod/ledger", max_concurrency = 5 }
    }
    error_message = "The services of both clouds, as in a services file."
  }
}

run "options" {
  command = plan

  variables {
    memory_mb         = 2048
    maximum_instances = 100
    always_ready      = 1
    inventory_limit   = "2500.50"
    replication       = "ZRS"
  }

  assert {
    condition     = azurerm_function_app_flex_consumption.this.instance_memory_in_mb == 2048 && azurerm_function_app_flex_consumption.this.maximum_instance_count == 100 && azurerm_function_app_flex_consumption.this.always_ready[0].instance_count == 1
    error_message = "Size follows the variables."
  }

}

run "no_network_by_default" {
  command = plan

  assert {
    condition     = azurerm_function_app_flex_consumption.this.public_network_access_enabled && length(azurerm_storage_account.host.network_rules) == 0 && length(azurerm_storage_account.host.customer_managed_key) == 0
    error_message = "Neither a virtual network nor a vault is needed."
  }
}

run "a_network_and_a_key_of_ones_own" {
  command = plan

  variables {
    network = {
      subnet_id   = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/net/subnets/saga"
      allowed_ips = ["203.0.113.7"]
    }

    customer_key = {
      key_id      = "https://vault.vault.azure.net/keys/saga"
      identity_id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/keys/providers/Microsoft.ManagedIdentity/userAssignedIdentities/saga"
    }
  }

  assert {
    condition     = azurerm_storage_account.host.network_rules[0].default_action == "Deny" && azurerm_storage_account.host.network_rules[0].bypass == toset(["AzureServices"]) && azurerm_storage_account.host.network_rules[0].virtual_network_subnet_ids == toset([var.network.subnet_id]) && azurerm_storage_account.host.network_rules[0].ip_rules == toset(["203.0.113.7"])
    error_message = "Nobody else reaches the account; Event Grid does, as a trusted service."
  }

  assert {
    condition     = azurerm_storage_account.host.customer_managed_key[0].key_vault_key_id == var.customer_key.key_id && azurerm_storage_account.host.customer_managed_key[0].user_assigned_identity_id == var.customer_key.identity_id && azurerm_storage_account.host.identity[0].identity_ids == toset([var.customer_key.identity_id])
    error_message = "Encrypted by the key that is given."
  }

  assert {
    condition     = azurerm_function_app_flex_consumption.this.virtual_network_subnet_id == var.network.subnet_id && !azurerm_function_app_flex_consumption.this.public_network_access_enabled
    error_message = "The app works inside the network, and nothing reaches it from outside."
  }
}

run "packages_may_still_come_from_outside" {
  command = plan

  variables {
    network = {
      subnet_id  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/net/subnets/saga"
      public_app = true
    }
  }

  assert {
    condition     = azurerm_function_app_flex_consumption.this.public_network_access_enabled && azurerm_storage_account.host.network_rules[0].default_action == "Deny"
    error_message = "Whoever uploads need not be in the network; the account stays closed."
  }
}

run "without_a_package_the_settings_are_made_right_and_a_warning_is_given" {
  command = plan

  variables {
    package = null
  }

  assert {
    condition     = terraform_data.package.triggers_replace[0] == null && terraform_data.package.triggers_replace[1] == azurerm_function_app_flex_consumption.this.id
    error_message = "deploy.sh runs with every new app: the host does not start with the setting that the provider writes."
  }

  expect_failures = [check.package]
}

run "refuses_a_package_that_is_not_there" {
  command = plan

  variables {
    package = "no-such.zip"
  }

  expect_failures = [terraform_data.package]
}

run "refuses_roles_on_more_than_a_table_or_queue" {
  command = plan

  variables {
    data = {
      account = { name = "sagatestdata", table_endpoint = "https://sagatestdata.table.core.windows.net/", queue_endpoint = "https://sagatestdata.queue.core.windows.net/" }
      table   = { name = "SagaSteps", id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
      queues = {
        events       = { name = "saga-events", id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
        poison       = { name = "saga-events-poison", id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
        calls        = { name = "saga-calls", id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
        calls_poison = { name = "saga-calls-poison", id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
        quarantine   = { name = "saga-quarantine", id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
      }
    }
  }

  expect_failures = [var.data]
}

run "refuses_bad_settings" {
  command = plan

  variables {
    name              = "A"
    app_name          = "saga-of-a-name-that-is-far-too-long"
    host_account_name = "saga-host"
    replication       = "GRS"
    topic_endpoint    = "http://example.com"
    inventory_limit   = "1e4"
    memory_mb         = 1024
    maximum_instances = 0
    always_ready      = -1
    network           = { subnet_id = "default" }
    customer_key      = { key_id = "key", identity_id = "me" }
  }

  expect_failures = [
    var.name, var.app_name, var.host_account_name, var.replication, var.topic_endpoint, var.inventory_limit, var.memory_mb,
    var.maximum_instances, var.always_ready, var.network, var.customer_key,
  ]
}
