# Dead letters of both clouds: dlq-replayer lists, shows, replays and discards them behind a URL, and reports new
# ones every minute.

locals {
  dead_letter_queues = concat(
    [
      module.queues.destination_dlq.arn,
      module.queues.events_dlq.arn,
      module.queues.outbox_failures.arn,
      module.queues.quarantine.arn,
    ],
    values(module.service_caller)[*].dead_letter_queue.arn,
  )

  # What it needs to find the places on Azure. Without it, it shows those of AWS and says so.
  azure_places = var.dead_letters.azure == null ? {} : merge(local.azure_calls, {
    AZURE_STORAGE_ACCOUNT    = var.dead_letters.azure.account
    AZURE_BLOB_ENDPOINT      = coalesce(var.dead_letters.azure.blob_endpoint, "https://${var.dead_letters.azure.account}.blob.core.windows.net")
    AZURE_QUEUE_ENDPOINT     = coalesce(var.dead_letters.azure.queue_endpoint, "https://${var.dead_letters.azure.account}.queue.core.windows.net")
    AZURE_TABLE_ENDPOINT     = coalesce(var.dead_letters.azure.table_endpoint, "https://${var.dead_letters.azure.account}.table.core.windows.net")
    EVENTGRID_TOPIC_ENDPOINT = var.azure.topic_endpoint
    DEAD_LETTER_CONTAINER    = var.dead_letters.azure.container
    SAGA_QUEUE               = var.dead_letters.azure.queue
    POISON_QUEUE             = var.dead_letters.azure.poison_queue
    AZURE_QUARANTINE_QUEUE   = var.dead_letters.azure.quarantine_queue
    SAGA_TABLE               = var.dead_letters.azure.table
  })

  azure_calls = try(var.dead_letters.azure.calls, null) == null ? {} : {
    CALLS_QUEUE        = var.dead_letters.azure.calls.queue
    CALLS_POISON_QUEUE = var.dead_letters.azure.calls.poison_queue
  }

  # Who it is there: an identity that trusts this account's tokens, or, for an emulator, whoever has the keys.
  azure_identity = try(var.dead_letters.azure.federated, null) == null ? {} : {
    AZURE_TENANT_ID = var.dead_letters.azure.federated.tenant
    AZURE_CLIENT_ID = var.dead_letters.azure.federated.client_id
  }

  # The call knows no resource; its conditions bind the token to Entra's exchange and to five minutes.
  identity_statements = length(local.azure_identity) == 0 ? [] : [{
    sid       = "IdentityOnAzure"
    actions   = ["sts:GetWebIdentityToken"]
    resources = ["*"]
    conditions = [
      { test = "ForAllValues:StringEquals", variable = "sts:IdentityTokenAudience", values = ["api://AzureADTokenExchange"] },
      { test = "Null", variable = "sts:IdentityTokenAudience", values = ["false"] },
      { test = "NumericLessThanEquals", variable = "sts:DurationSeconds", values = ["300"] },
    ]
  }]

  azure_keys = try(var.dead_letters.azure.emulator_keys, null) == null ? {} : {
    AZURE_STORAGE_KEY   = var.dead_letters.azure.emulator_keys.account
    EVENTGRID_TOPIC_KEY = var.dead_letters.azure.emulator_keys.topic
  }
}

module "dlq_replayer" {
  source = "../function"

  name               = "${var.prefix}dlq-replayer"
  description        = "Dead letters of both clouds: lists, shows, replays, discards and reports them"
  zip                = "${var.zips_dir}/dlq-replayer.zip"
  architecture       = var.architecture
  memory_mb          = 256
  timeout_seconds    = 60
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.protection.kms_key_arn
  iam                = var.iam
  network            = local.network_with_internet
  schedule           = "rate(1 minute)"
  url                = { auth = var.dead_letters.auth }

  environment = merge(local.environment, local.store_environment, local.azure_places, local.azure_identity, local.azure_keys, {
    EVENT_BUS            = module.bus.bus_name
    EVENTS_QUEUE_URL     = module.queues.events.url
    EVENTS_DLQ_URL       = module.queues.events_dlq.url
    DESTINATION_DLQ_URL  = module.queues.destination_dlq.url
    OUTBOX_FAILURES_URL  = module.queues.outbox_failures.url
    QUARANTINE_QUEUE_URL = module.queues.quarantine.url
    ALERTS_TOPIC_ARN     = module.alerts.topic_arn
    # Where each service's requests become dead letters, and where they go back to.
    SERVICE_DLQS = jsonencode({ for name, caller in module.service_caller : name => { queue_url = caller.queue.url, dlq_url = caller.dead_letter_queue.url } })
  })

  statements = concat(
    [
      {
        sid       = "Timelines"
        actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
        resources = [module.tables.sagas.arn]
      },
      {
        sid       = "DeadRows"
        actions   = ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
        resources = [module.tables.outbox.arn]
      },
      {
        sid       = "DeadLetterQueues"
        actions   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
        resources = local.dead_letter_queues
      },
      {
        sid       = "BackToTheirQueues"
        actions   = ["sqs:SendMessage"]
        resources = concat([module.queues.events.arn], values(module.service_caller)[*].queue.arn)
      },
    ],
    [local.bus_statement, local.alert_statement],
    local.identity_statements,
    local.key_statements,
  )
}
