output "account" {
  description = "The account: id, name and endpoints."
  value = {
    id             = azurerm_storage_account.this.id
    name           = azurerm_storage_account.this.name
    table_endpoint = azurerm_storage_account.this.primary_table_endpoint
    queue_endpoint = azurerm_storage_account.this.primary_queue_endpoint
  }
}

# Role assignments want the identifiers of Resource Manager; they are written out, because what the
# resources call their id differs between versions of the provider.
output "table" {
  description = "The table of steps, entities and outbox: name and id."
  value = {
    name = local.table
    id   = "${azurerm_storage_account.this.id}/tableServices/default/tables/${local.table}"
  }
  depends_on = [azurerm_resource_group_template_deployment.table]
}

output "queues" {
  description = "The queues events, poison, calls, calls_poison and quarantine: name and id each."
  value = {
    for key, queue in azurerm_storage_queue.this : key => {
      name = queue.name
      id   = "${azurerm_storage_account.this.id}/queueServices/default/queues/${queue.name}"
    }
  }
}

output "dead_letters" {
  description = "The container of dead-lettered events: name and id."
  value = {
    name = azurerm_storage_container.dead_letters.name
    id   = "${azurerm_storage_account.this.id}/blobServices/default/containers/${azurerm_storage_container.dead_letters.name}"
  }
}

output "closed" {
  description = "Whether the storage account refuses whoever is not in the network, and is encrypted by a key of your own."
  value       = length(azurerm_storage_account.this.network_rules) > 0 && length(azurerm_storage_account.this.customer_managed_key) > 0
}
