# Planned only: what holds data is not destroyed at a test's end. What the provider would answer is known in the plan.
mock_provider "azurerm" {
  override_during = plan
  source          = "../../mocks/azurerm"
}

variables {
  name                = "sagatestdata"
  resource_group_name = "saga"
  location            = "westeurope"
}

run "nobody_has_a_key" {
  command = plan

  assert {
    condition     = !azurerm_storage_account.this.shared_access_key_enabled && azurerm_storage_account.this.min_tls_version == "TLS1_2" && !azurerm_storage_account.this.allow_nested_items_to_be_public
    error_message = "Callers are identities, over TLS 1.2, and nothing is public."
  }

  assert {
    condition     = azurerm_storage_container.dead_letters.container_access_type == "private"
    error_message = "Dead letters are nobody else's business."
  }
}

run "the_table_is_made_through_resource_manager" {
  command = plan

  assert {
    condition     = azurerm_resource_group_template_deployment.table.deployment_mode == "Incremental"
    error_message = "A complete deployment deletes whatever else is in the group."
  }

  assert {
    condition = [for made in jsondecode(azurerm_resource_group_template_deployment.table.template_content).resources : "${made.type} ${made.name}"] == [
      "Microsoft.Storage/storageAccounts/tableServices/tables ${azurerm_storage_account.this.name}/default/${output.table.name}",
    ]
    error_message = "One table, in the account without keys."
  }
}

run "names_are_the_ones_the_host_and_the_local_stack_use" {
  command = plan

  assert {
    condition     = { for key, queue in output.queues : key => queue.name } == { events = "saga-events", poison = "saga-events-poison", calls = "saga-calls", calls_poison = "saga-calls-poison", quarantine = "saga-quarantine" }
    error_message = "The host makes the poison queue's name from the queue's."
  }

  assert {
    condition     = output.table.name == "SagaSteps" && output.dead_letters.name == "deadletters"
    error_message = "Tools look for these names."
  }

  assert {
    condition     = endswith(output.queues.events.id, "/storageAccounts/mock/queueServices/default/queues/saga-events") && endswith(output.table.id, "/tableServices/default/tables/SagaSteps")
    error_message = "Scopes of roles are Resource Manager's identifiers."
  }
}

run "options" {
  command = plan

  variables {
    replication      = "GZRS"
    dead_letter_days = 30
  }

  assert {
    condition     = azurerm_storage_account.this.account_replication_type == "GZRS"
    error_message = "Replication follows the variable."
  }

  assert {
    condition     = azurerm_storage_management_policy.this.rule[0].actions[0].base_blob[0].delete_after_days_since_creation_greater_than == 30
    error_message = "Dead letters are kept as long as asked."
  }
}

run "network_and_key_are_off_by_default" {
  command = plan

  assert {
    condition     = length(azurerm_storage_account.this.network_rules) == 0 && length(azurerm_storage_account.this.customer_managed_key) == 0
    error_message = "Neither a virtual network nor a vault is needed."
  }

  assert {
    condition     = azurerm_storage_account.this.table_encryption_key_type == "Account" && azurerm_storage_account.this.queue_encryption_key_type == "Account"
    error_message = "A key of one's own covers tables and queues only if the account was made so."
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
    condition     = azurerm_storage_account.this.network_rules[0].default_action == "Deny" && azurerm_storage_account.this.network_rules[0].bypass == toset(["AzureServices"]) && azurerm_storage_account.this.network_rules[0].virtual_network_subnet_ids == toset([var.network.subnet_id]) && azurerm_storage_account.this.network_rules[0].ip_rules == toset(["203.0.113.7"])
    error_message = "Nobody else reaches the account; Event Grid does, as a trusted service."
  }

  assert {
    condition     = azurerm_storage_account.this.customer_managed_key[0].key_vault_key_id == var.customer_key.key_id && azurerm_storage_account.this.customer_managed_key[0].user_assigned_identity_id == var.customer_key.identity_id && azurerm_storage_account.this.identity[0].identity_ids == toset([var.customer_key.identity_id])
    error_message = "Encrypted by the key that is given."
  }
}

run "refuses_what_azure_would_refuse" {
  command = plan

  variables {
    name             = "Saga-Data"
    replication      = "RAID5"
    dead_letter_days = 7
    network          = { subnet_id = "default", allowed_ips = ["everywhere"] }
    customer_key     = { key_id = "https://vault.vault.azure.net/keys/saga/0123", identity_id = "me" }
  }

  expect_failures = [var.name, var.replication, var.dead_letter_days, var.network, var.customer_key]
}
