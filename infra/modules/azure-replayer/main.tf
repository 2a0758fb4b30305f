# What dlq-replayer on AWS may do here: look at dead letters, put them back and take them away. Where it sends events again,
# the topic, is module azure-topic's.

locals {
  # Showing a message again is an update, which only a contributor of its queue may make. An outbox row is replayed in its
  # table, and poison goes back to the queue that it came from, which is not read.
  roles = {
    dead_letters = { scope = var.dead_letters.id, role = "Storage Blob Data Contributor" }
    poison       = { scope = var.queues.poison.id, role = "Storage Queue Data Contributor" }
    calls_poison = { scope = var.queues.calls_poison.id, role = "Storage Queue Data Contributor" }
    quarantine   = { scope = var.queues.quarantine.id, role = "Storage Queue Data Contributor" }
    participant  = { scope = var.queues.events.id, role = "Storage Queue Data Message Sender" }
    calls        = { scope = var.queues.calls.id, role = "Storage Queue Data Message Sender" }
    table        = { scope = var.table.id, role = "Storage Table Data Contributor" }
  }
}

resource "azurerm_role_assignment" "this" {
  for_each = local.roles

  scope                            = each.value.scope
  role_definition_name             = each.value.role
  principal_id                     = var.principal_id
  principal_type                   = "ServicePrincipal"
  skip_service_principal_aad_check = true
}
