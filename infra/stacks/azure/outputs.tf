# What the AWS stack is given: `for_aws` is its variable `azure`, and the SSM parameter /saga-bridge/<environment>/azure.

output "for_aws" {
  description = "The AWS stack's variable `azure`: into the SSM parameter /saga-bridge/<environment>/azure, or into a file that is named with -var-file (terraform output -json for_aws | jq '{azure: .}')."
  value = {
    environment    = var.environment
    transport      = var.transport
    topic_endpoint = module.topic.endpoint
    tenant_id      = var.tenant_id
    audience       = module.access.webhook_audience
    client_id      = try(module.access.publisher.client_id, null)
    secret_expires = module.access.publisher_secret_expires

    dead_letters = var.federation == null ? null : {
      client_id        = module.access.replayer.client_id
      account          = module.storage.account.name
      container        = module.storage.dead_letters.name
      queue            = module.storage.queues.events.name
      poison_queue     = module.storage.queues.poison.name
      quarantine_queue = module.storage.queues.quarantine.name
      table            = module.storage.table.name
      calls            = { queue = module.storage.queues.calls.name, poison_queue = module.storage.queues.calls_poison.name }
    }
  }
}

output "azure_secret" {
  description = "The secret of the AWS stack: client secret or topic key; null with federation-relay."
  value       = local.publisher == "none" ? module.topic.access_key : module.access.publisher_secret
  sensitive   = true
}

output "function_app" {
  description = "The Function App and its resource group, for the Azure CLI."
  value = {
    name           = module.participant.function_app.name
    resource_group = azurerm_resource_group.this.name
    upload         = module.participant.upload
  }
}

output "names" {
  description = "The names that tools look for."
  value = {
    storage_account          = module.storage.account.name
    azure_table              = module.storage.table.name
    azure_queue              = module.storage.queues.events.name
    azure_poison_queue       = module.storage.queues.poison.name
    azure_quarantine_queue   = module.storage.queues.quarantine.name
    azure_calls_queue        = module.storage.queues.calls.name
    azure_calls_poison_queue = module.storage.queues.calls_poison.name
    dead_letter_container    = module.storage.dead_letters.name
    topic                    = module.topic.name
  }
}
