# The AWS side of the bridge, whole: tables, bus, queues, alerts and functions, wired together. The local
# stack and a real one apply this same module and differ in variables only.

locals {
  # AWS asks that a message stays hidden for six times the consumer's timeout.
  consumer_timeout_seconds = 10
}

module "tables" {
  source = "../tables"

  prefix                 = var.prefix
  point_in_time_recovery = var.protection.point_in_time_recovery
  deletion_protection    = var.protection.deletion_protection
  kms_key_arn            = var.protection.kms_key_arn
}

module "queues" {
  source = "../queues"

  prefix                     = var.prefix
  visibility_timeout_seconds = 6 * local.consumer_timeout_seconds
  kms_key_arn                = var.protection.kms_key_arn
  tls_only                   = var.protection.tls_only
}

module "alerts" {
  source = "../alerts"

  prefix      = var.prefix
  kms_key_arn = var.protection.kms_key_arn
  tls_only    = var.protection.tls_only
}

module "bus" {
  source = "../bus"

  prefix       = var.prefix
  azure_secret = var.azure_secret
  kms_key_arn  = var.protection.kms_key_arn
  dead_letters = var.protection.bus_dead_letters
  iam          = var.iam
  tls_only     = var.protection.tls_only

  azure = {
    topic_endpoint    = var.azure.topic_endpoint
    oauth             = var.azure.oauth
    rate_limit        = var.azure.rate_limit
    dead_letter_queue = module.queues.destination_dlq
    relay_queue       = one(module.relay[*].queue)
  }

  aws = {
    queue             = module.queues.events
    dead_letter_queue = module.queues.events_dlq
  }
}

# --- what the functions share --------------------------------------------------------------------------

locals {
  environment = merge({ RUST_LOG = "info" }, var.extra_env)

  store_environment = {
    SAGAS_TABLE    = module.tables.sagas.name
    PAYMENTS_TABLE = module.tables.payments.name
    OUTBOX_TABLE   = module.tables.outbox.name
  }

  # event-ingress asks Entra for its keys, event-relay and dlq-replayer speak to Azure: without a way to the internet they stay
  # outside, or sagas would stand still.
  network_with_internet = try(var.network.internet, false) ? var.network : null

  # A transition is one transaction over all three tables. IAM knows a transaction by the actions of its
  # items; whoever makes transitions writes outbox rows and never reads them.
  store_statements = [
    {
      sid       = "Transitions"
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
      resources = [module.tables.sagas.arn, module.tables.payments.arn]
    },
    {
      sid       = "Outbox"
      actions   = ["dynamodb:PutItem"]
      resources = [module.tables.outbox.arn]
    },
  ]

  # Entities of a step, sagas of a page.
  batch_statement = {
    sid       = "Batches"
    actions   = ["dynamodb:BatchGetItem"]
    resources = [module.tables.sagas.arn, module.tables.payments.arn]
  }

  index_statement = {
    sid       = "Indexes"
    actions   = ["dynamodb:Query"]
    resources = [module.tables.sagas.due_index_arn, module.tables.sagas.list_index_arn]
  }

  # Definitions lie beside the sagas under keys of their own, and the webhook reads those and no saga.
  definitions_statement = {
    sid       = "Definitions"
    actions   = ["dynamodb:GetItem"]
    resources = [module.tables.sagas.arn]
    conditions = [
      { test = "ForAllValues:StringLike", variable = "dynamodb:LeadingKeys", values = ["definition#*"] },
      { test = "Null", variable = "dynamodb:LeadingKeys", values = ["false"] },
    ]
  }

  bus_statement = {
    sid       = "Publish"
    actions   = ["events:PutEvents"]
    resources = [module.bus.bus_arn]
  }

  quarantine_statement = {
    sid       = "Quarantine"
    actions   = ["sqs:SendMessage"]
    resources = [module.queues.quarantine.arn]
  }

  alert_statement = {
    sid       = "Alert"
    actions   = ["sns:Publish"]
    resources = [module.alerts.topic_arn]
  }

  # Whoever takes events and decides about sagas.
  event_statements = concat(local.store_statements, [local.batch_statement, local.quarantine_statement, local.alert_statement])

  # Queues, the topic and the tables are opened with the key; DynamoDB and SQS call KMS as the caller. The bus and the logs are
  # not: EventBridge and CloudWatch Logs use the key on their own behalf.
  key_statements = var.protection.kms_key_arn == null ? [] : [{
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.protection.kms_key_arn]
  }]
}

# --- the functions -------------------------------------------------------------------------------------

module "saga_initiator" {
  source = "../function"

  name               = "${var.prefix}saga-initiator"
  description        = "HTTP API: starts, shows, cancels and resolves sagas"
  zip                = "${var.zips_dir}/saga-initiator.zip"
  architecture       = var.architecture
  memory_mb          = 256
  environment        = merge(local.environment, local.store_environment, { SERVICES = local.services_json })
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.protection.kms_key_arn
  iam                = var.iam
  network            = var.network
  statements         = concat(local.store_statements, [local.batch_statement, local.index_statement], local.key_statements)
  url                = var.api
}

module "outbox_poller" {
  source = "../function"

  name               = "${var.prefix}outbox-poller"
  description        = "Publishes committed events from the outbox to the bus"
  zip                = "${var.zips_dir}/outbox-poller.zip"
  architecture       = var.architecture
  timeout_seconds    = 55
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.protection.kms_key_arn
  iam                = var.iam
  network            = var.network
  schedule           = "rate(1 minute)"

  environment = merge(local.environment, local.store_environment, {
    EVENT_BUS        = module.bus.bus_name
    ALERTS_TOPIC_ARN = module.alerts.topic_arn
  })

  # It empties shards under their leases, moves rows that nobody takes to the dead ones, and marks their sagas.
  statements = concat(
    [
      {
        sid = "Outbox"
        actions = [
          "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem",
          "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem",
        ]
        resources = [module.tables.outbox.arn]
      },
      {
        sid       = "Park"
        actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
        resources = [module.tables.sagas.arn]
      },
    ],
    [local.bus_statement, local.alert_statement],
    local.key_statements,
  )

  stream_trigger = {
    arn               = module.tables.outbox.stream_arn
    failure_queue_arn = module.queues.outbox_failures.arn

    # Leases and dead rows are in the same table and no business of the stream.
    pattern = jsonencode({
      eventName = ["INSERT"]
      dynamodb  = { Keys = { Shard = { S = [{ anything-but = ["dead", "discarded", "watched"] }] }, EventId = { S = [{ anything-but = ["!lease"] }] } } }
    })
  }
}

module "saga_events" {
  source = "../function"

  name               = "${var.prefix}saga-events"
  description        = "Applies the events that the other cloud's participants answered with"
  zip                = "${var.zips_dir}/saga-events.zip"
  architecture       = var.architecture
  timeout_seconds    = local.consumer_timeout_seconds
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.protection.kms_key_arn
  iam                = var.iam
  network            = var.network

  environment = merge(local.environment, local.store_environment, {
    QUARANTINE_QUEUE_URL = module.queues.quarantine.url
    ALERTS_TOPIC_ARN     = module.alerts.topic_arn
  })

  statements = concat(local.event_statements, local.key_statements)

  queue_trigger = {
    arn = module.queues.events.arn
  }
}

module "event_ingress" {
  source = "../function"

  name               = "${var.prefix}event-ingress"
  description        = "Webhook of the Event Grid subscription: checks the token, puts the event on the bus"
  zip                = "${var.zips_dir}/event-ingress.zip"
  architecture       = var.architecture
  memory_mb          = 256
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.protection.kms_key_arn
  iam                = var.iam
  network            = local.network_with_internet
  # The URL is open: a flood of refused calls must not take the other functions' share.
  reserved_concurrency = var.ingress.reserved_concurrency

  environment = merge(local.environment, {
    EVENT_BUS              = module.bus.bus_name
    SAGAS_TABLE            = module.tables.sagas.name
    QUARANTINE_QUEUE_URL   = module.queues.quarantine.url
    ALERTS_TOPIC_ARN       = module.alerts.topic_arn
    OIDC_ISSUERS           = join(",", var.ingress.issuers)
    OIDC_JWKS_URL          = var.ingress.jwks_url
    OIDC_AUDIENCE          = var.ingress.audience
    OIDC_TENANT            = var.ingress.tenant
    OIDC_CLIENT_ID         = var.ingress.client_id
    OIDC_ROLE              = var.ingress.role
    WEBHOOK_ALLOWED_ORIGIN = var.ingress.allowed_origin
  })

  statements = concat(
    [local.definitions_statement, local.bus_statement, local.quarantine_statement, local.alert_statement],
    local.key_statements,
  )

  # Event Grid signs no AWS request: the function checks its Entra token.
  url = var.ingress.open_url ? { auth = "NONE" } : null
}

module "deadline_sweeper" {
  source = "../function"

  name               = "${var.prefix}deadline-sweeper"
  description        = "Re-sends what may be lost and cancels sagas past their deadline"
  zip                = "${var.zips_dir}/deadline-sweeper.zip"
  architecture       = var.architecture
  timeout_seconds    = 55
  log_retention_days = var.log_retention_days
  kms_key_arn        = var.protection.kms_key_arn
  iam                = var.iam
  network            = var.network
  schedule           = "rate(1 minute)"

  environment = merge(local.environment, local.store_environment, {
    NUDGE_AFTER_SECONDS = tostring(var.nudge_after_seconds)
    STUCK_AFTER_SECONDS = tostring(var.stuck_after_seconds)
    ALERTS_TOPIC_ARN    = module.alerts.topic_arn
  })

  statements = concat(
    local.store_statements,
    [local.index_statement, local.alert_statement],
    local.key_statements,
  )
}
