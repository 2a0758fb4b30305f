# Where the Azure side logs, and who is told. Every alert links to its section of the runbook.

resource "azurerm_log_analytics_workspace" "this" {
  name                = "${var.name}-logs"
  resource_group_name = var.resource_group_name
  location            = var.location
  sku                 = "PerGB2018"
  retention_in_days   = var.log_retention_days
  daily_quota_gb      = var.daily_quota_gb
  tags                = var.tags
}

resource "azurerm_application_insights" "this" {
  name                = "${var.name}-insights"
  resource_group_name = var.resource_group_name
  location            = var.location
  application_type    = "other"
  workspace_id        = azurerm_log_analytics_workspace.this.id
  # The participant signs in with its identity.
  local_authentication_enabled = false
  # Every line is kept: a saga is read by its lines. What a loop may cost is bounded by the workspace's quota.
  sampling_percentage = 100
  tags                = var.tags
}

# Writes into the queues: the only way to see a single queue, for the metrics know the account as a whole.
resource "azurerm_monitor_diagnostic_setting" "queues" {
  name                       = "saga-queue-writes"
  target_resource_id         = "${var.storage_account_id}/queueServices/default"
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category = "StorageWrite"
  }
}

resource "azurerm_monitor_action_group" "this" {
  name                = "${var.name}-alerts"
  resource_group_name = var.resource_group_name
  short_name          = var.short_name
  tags                = var.tags

  dynamic "email_receiver" {
    for_each = var.email_addresses

    content {
      name                    = "mail-${substr(sha256(email_receiver.value), 0, 8)}"
      email_address           = email_receiver.value
      use_common_alert_schema = true
    }
  }

  dynamic "webhook_receiver" {
    for_each = var.webhook_urls

    content {
      name                    = "webhook-${substr(sha256(webhook_receiver.value), 0, 8)}"
      service_uri             = webhook_receiver.value
      use_common_alert_schema = true
    }
  }
}

# --- what Event Grid counts -------------------------------------------------------------------------------

locals {
  topic_alerts = {
    dead-lettered = {
      metric    = "DeadLetteredCount"
      threshold = 0
      severity  = 1
      text      = "Event Grid gave up delivering events and wrote them into the dead-letter container. They are kept for 90 days, and their sagas wait. Correct the cause, then replay them."
    }
    dropped = {
      metric    = "DroppedEventCount"
      threshold = 0
      severity  = 0
      text      = "Event Grid could neither deliver events nor write them into the dead-letter container. These events are lost, and retransmission heals their sagas. Check the topic's role on the container."
    }
    delivery-failing = {
      metric    = "DeliveryAttemptFailCount"
      threshold = var.delivery_failures
      severity  = 2
      text      = "Deliveries of events fail and are tried again for a day. Sagas are late; nothing is lost. Find the subscription and the error in the topic's metrics."
    }
    publish-failing = {
      metric    = "PublishFailCount"
      threshold = var.publish_failures
      severity  = 2
      text      = "The topic refuses publishers. Their events wait in the outbox or in EventBridge's retries; nothing is lost. Check the roles and the secret."
    }
  }
}

resource "azurerm_monitor_metric_alert" "topic" {
  for_each = local.topic_alerts

  name                = "${var.name}-${each.key}"
  resource_group_name = var.resource_group_name
  scopes              = [var.topic_id]
  description         = "${each.value.text} Runbook: ${var.runbook_url}#${each.key}"
  severity            = each.value.severity
  frequency           = "PT5M"
  window_size         = "PT15M"
  tags                = var.tags

  criteria {
    metric_namespace = "Microsoft.EventGrid/topics"
    metric_name      = each.value.metric
    aggregation      = "Total"
    operator         = "GreaterThan"
    threshold        = each.value.threshold
  }

  action {
    action_group_id = azurerm_monitor_action_group.this.id
  }
}

# --- what the logs say ------------------------------------------------------------------------------------

# When this was first applied. In the hour after it, roles are not known everywhere and the package is on its way.
resource "terraform_data" "installed" {
  input = plantimestamp()

  lifecycle {
    ignore_changes = [input]
  }
}

locals {
  quiet_until = timeadd(terraform_data.installed.output, "1h")

  log_alerts = merge(local.secret_alerts, {
    poison = {
      query     = "StorageQueueLogs | where OperationName == 'PutMessage' and (ObjectKey has '${var.queues.poison}' or ObjectKey has '${var.queues.calls_poison}')"
      operator  = "GreaterThan"
      threshold = 0
      severity  = 1
      text      = "A message failed five times, or the host could not decode it, and is in a poison queue now. The message is kept, and its saga waits. Correct the cause, then replay it."
    }
    azure-quarantine = {
      query     = "StorageQueueLogs | where OperationName == 'PutMessage' and ObjectKey has '${var.queues.quarantine}'"
      operator  = "GreaterThan"
      threshold = 0
      severity  = 1
      text      = "The participant received an event that it cannot understand. The event is kept in the quarantine, and no other event waits for it. Look at the reason, then replay or discard it."
    }
    participant-failing = {
      query     = "AppRequests | where AppRoleName =~ '${var.function_app_name}' and Success == false and TimeGenerated > datetime(${local.quiet_until})"
      operator  = "GreaterThan"
      threshold = var.participant_failures
      severity  = 2
      text      = "Invocations of the participant fail. Each message is tried five times and then becomes a dead letter; nothing is lost. Read the app's log for the cause."
    }
    participant-silent = {
      # One row when there is nothing to count, so that silence itself is counted, but for the first hour.
      query     = "AppRequests | where AppRoleName =~ '${var.function_app_name}' and Name =~ 'outbox-sweep' | summarize runs = count() | where runs == 0 and now() > datetime(${local.quiet_until})"
      operator  = "GreaterThan"
      threshold = 0
      severity  = 1
      text      = "The participant's timer has not run for a quarter of an hour. Steps and answers may wait; nothing is lost. Check whether the app runs, or apply the stack again."
    }
    logs-over-quota = {
      query     = "_LogOperation | where Category =~ 'Ingestion' and Detail contains 'OverQuota'"
      operator  = "GreaterThan"
      threshold = 0
      severity  = 2
      text      = "The daily quota of logs is used up. Sagas go on, but until tomorrow their log lines are lost and alerts on logs see nothing. Look for a loop, or raise log_daily_quota_gb."
    }
  })

  # Azure Monitor cannot see a secret of Entra. The query knows the date, and the table is only there because a query has one.
  secret_alerts = var.secret == null ? {} : {
    secret-expiring = {
      query     = "AppRequests | summarize requests = count() | where now() > datetime(${timeadd(var.secret.expires, "-720h")})"
      operator  = "GreaterThan"
      threshold = 0
      severity  = 1
      text      = "The secret with which AWS publishes to Azure expires within 30 days. Afterwards events for Azure wait and then become dead letters. Rotate the secret."
    }
  }
}

resource "azurerm_monitor_scheduled_query_rules_alert_v2" "log" {
  for_each = local.log_alerts

  name                    = "${var.name}-${each.key}"
  resource_group_name     = var.resource_group_name
  location                = var.location
  scopes                  = [azurerm_log_analytics_workspace.this.id]
  description             = "${each.value.text} Runbook: ${var.runbook_url}#${each.key}"
  severity                = each.value.severity
  evaluation_frequency    = "PT5M"
  window_duration         = "PT15M"
  auto_mitigation_enabled = true
  # A table is there once something was logged into it.
  skip_query_validation = true
  tags                  = var.tags

  criteria {
    query                   = each.value.query
    time_aggregation_method = "Count"
    operator                = each.value.operator
    threshold               = each.value.threshold
  }

  action {
    action_groups = [azurerm_monitor_action_group.this.id]
  }
}

# --- what people look at ----------------------------------------------------------------------------------

resource "azurerm_application_insights_workbook" "this" {
  name                = uuidv5("url", "saga-bridge/${var.name}")
  resource_group_name = var.resource_group_name
  location            = var.location
  display_name        = "Sagas on Azure (${var.name})"
  source_id           = lower(azurerm_log_analytics_workspace.this.id)
  data_json = jsonencode({
    version             = "Notebook/1.0"
    items               = local.workbook_items
    fallbackResourceIds = [azurerm_log_analytics_workspace.this.id]
  })
  tags = var.tags
}
