mock_provider "azurerm" {
  source = "../../mocks/azurerm"
}

variables {
  principal_id = "99999999-0000-0000-0000-00000000000d"
  table        = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data/tableServices/default/tables/SagaSteps" }
  dead_letters = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data/blobServices/default/containers/deadletters" }
  queues = {
    events       = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data/queueServices/default/queues/saga-events" }
    poison       = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data/queueServices/default/queues/saga-events-poison" }
    calls        = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data/queueServices/default/queues/saga-calls" }
    calls_poison = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data/queueServices/default/queues/saga-calls-poison" }
    quarantine   = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data/queueServices/default/queues/saga-quarantine" }
  }
}

run "roles_end_at_a_container_a_queue_or_a_table" {
  command = apply

  assert {
    condition = { for name, given in output.roles : name => "${given.role} on ${basename(given.scope)}" } == {
      dead_letters = "Storage Blob Data Contributor on deadletters"
      poison       = "Storage Queue Data Contributor on saga-events-poison"
      quarantine   = "Storage Queue Data Contributor on saga-quarantine"
      calls_poison = "Storage Queue Data Contributor on saga-calls-poison"
      participant  = "Storage Queue Data Message Sender on saga-events"
      calls        = "Storage Queue Data Message Sender on saga-calls"
      table        = "Storage Table Data Contributor on SagaSteps"
    }
    error_message = "The narrowest scope that Azure knows for each call."
  }

  assert {
    condition     = alltrue([for role in azurerm_role_assignment.this : role.principal_id == "99999999-0000-0000-0000-00000000000d" && role.principal_type == "ServicePrincipal"])
    error_message = "Given to the replayer."
  }
}

run "refuses_roles_on_more_than_a_container_a_queue_or_a_table" {
  command = plan

  variables {
    table        = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data" }
    dead_letters = { id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga" }
    queues = {
      events       = { id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
      poison       = { id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
      calls        = { id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
      calls_poison = { id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
      quarantine   = { id = "/subscriptions/00000000-0000-0000-0000-000000000000" }
    }
  }

  expect_failures = [var.table, var.dead_letters, var.queues]
}
