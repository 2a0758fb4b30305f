mock_provider "azurerm" {
  source = "../../mocks/azurerm"
}

variables {
  name                = "saga-test"
  short_name          = "sagatest"
  resource_group_name = "saga"
  location            = "westeurope"
  topic_id            = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.EventGrid/topics/topic"
  storage_account_id  = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/saga/providers/Microsoft.Storage/storageAccounts/data"
  queues              = { events = "saga-events", poison = "saga-events-poison", calls = "saga-calls", calls_poison = "saga-calls-poison", quarantine = "saga-quarantine" }
  function_app_name   = "saga-test-1a2b3c4d"
}

run "every_alert_reaches_people_and_has_a_section_in_the_runbook" {
  command = apply

  variables {
    email_addresses = ["on-call@example.com"]
    webhook_urls    = ["https://pager.example.com/azure"]
    runbook_url     = "https://wiki.example.com/saga"
  }

  assert {
    condition     = alltrue([for alert in output.alerts : strcontains(file("../../RUNBOOK.md"), "\n## ${alert}\n")]) && length(output.alerts) == 9
    error_message = "An alert without a section in RUNBOOK.md leaves its reader alone."
  }

  assert {
    condition = alltrue(concat(
      [for name, alert in azurerm_monitor_metric_alert.topic : endswith(alert.description, "https://wiki.example.com/saga#${name}") && length(alert.action) == 1],
      [for name, alert in azurerm_monitor_scheduled_query_rules_alert_v2.log : endswith(alert.description, "https://wiki.example.com/saga#${name}") && length(alert.action) == 1],
    ))
    error_message = "Every alert links to its section and tells the action group."
  }

  assert {
    condition     = azurerm_monitor_action_group.this.email_receiver[0].email_address == "on-call@example.com" && azurerm_monitor_action_group.this.webhook_receiver[0].service_uri == "https://pager.example.com/azure"
    error_message = "People and pagers are told."
  }
}

run "lost_and_given_up_events_are_seen" {
  command = apply

  assert {
    condition = { for name, alert in azurerm_monitor_metric_alert.topic : name => "${alert.criteria[0].metric_name} ${alert.criteria[0].threshold}" } == {
      dead-lettered    = "DeadLetteredCount 0"
      dropped          = "DroppedEventCount 0"
      delivery-failing = "DeliveryAttemptFailCount 20"
      publish-failing  = "PublishFailCount 5"
    }
    error_message = "One lost or given up event is one too many."
  }

  assert {
    condition     = strcontains(azurerm_monitor_scheduled_query_rules_alert_v2.log["poison"].criteria[0].query, "saga-events-poison") && strcontains(azurerm_monitor_scheduled_query_rules_alert_v2.log["poison"].criteria[0].query, "saga-calls-poison") && one(azurerm_monitor_diagnostic_setting.queues.enabled_log).category == "StorageWrite"
    error_message = "Queue by queue, from the log of writes."
  }

  assert {
    condition     = strcontains(azurerm_monitor_scheduled_query_rules_alert_v2.log["participant-silent"].criteria[0].query, "runs == 0") && azurerm_monitor_scheduled_query_rules_alert_v2.log["participant-silent"].criteria[0].operator == "GreaterThan"
    error_message = "An alert reports silence, too."
  }

  assert {
    condition     = azurerm_application_insights.this.sampling_percentage == 100
    error_message = "Every line is kept."
  }

  assert {
    condition     = azurerm_log_analytics_workspace.this.daily_quota_gb == -1 || strcontains(azurerm_monitor_scheduled_query_rules_alert_v2.log["logs-over-quota"].criteria[0].query, "OverQuota")
    error_message = "An alert reports lines that a quota leaves out."
  }
}

run "nothing_rings_in_the_first_hour" {
  command = apply

  assert {
    condition     = timecmp(output.quiet_until, timeadd(plantimestamp(), "50m")) > 0
    error_message = "Roles and the package need their time."
  }

  assert {
    condition     = alltrue([for name in ["participant-silent", "participant-failing"] : strcontains(azurerm_monitor_scheduled_query_rules_alert_v2.log[name].criteria[0].query, "datetime(${output.quiet_until})")])
    error_message = "While the app is being made, neither silence nor failure raises an alert."
  }
}

run "the_first_hour_is_not_begun_again_by_a_later_apply" {
  command = plan

  # Were it to change, it would be unknown here.
  assert {
    condition     = output.quiet_until == run.nothing_rings_in_the_first_hour.quiet_until
    error_message = "The alert would be quiet for an hour after each apply."
  }
}

run "a_secret_that_expires_is_reported_thirty_days_ahead" {
  command = apply

  variables {
    secret = { expires = "2027-06-30T00:00:00Z" }
  }

  assert {
    condition     = strcontains(azurerm_monitor_scheduled_query_rules_alert_v2.log["secret-expiring"].criteria[0].query, "now() > datetime(2027-05-31T00:00:00Z)")
    error_message = "Thirty days are enough to rotate it."
  }

  assert {
    condition     = strcontains(file("../../RUNBOOK.md"), "\n## secret-expiring\n") && contains(output.alerts, "secret-expiring")
    error_message = "An alert without a section in RUNBOOK.md leaves its reader alone."
  }
}

run "the_workbook_is_what_the_portal_reads" {
  command = apply

  assert {
    condition     = jsondecode(azurerm_application_insights_workbook.this.data_json).version == "Notebook/1.0" && length(jsondecode(azurerm_application_insights_workbook.this.data_json).items) == 7
    error_message = "Seven charts."
  }
}

run "refuses_bad_settings" {
  command = plan

  variables {
    name               = "A"
    short_name         = "saga-test"
    email_addresses    = ["nobody"]
    webhook_urls       = ["http://pager.example.com"]
    log_retention_days = 7
    daily_quota_gb     = 0
  }

  expect_failures = [var.name, var.short_name, var.email_addresses, var.webhook_urls, var.log_retention_days, var.daily_quota_gb]
}
