mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/mock" }
  }
}

variables {
  region           = "eu-central-1"
  alerts_topic_arn = "arn:aws:sns:eu-central-1:123456789012:saga-alerts"
  runbook_url      = "https://wiki.example.com/saga"

  watched = {
    bus = "enterprise-core-bus"
    functions = {
      saga-initiator = "saga-initiator", outbox-poller = "outbox-poller", saga-events = "saga-events",
      event-ingress  = "event-ingress", deadline-sweeper = "deadline-sweeper", dlq-replayer = "dlq-replayer", event-relay = "event-relay",
    }
    schedules    = { for name in ["outbox-poller", "deadline-sweeper", "dlq-replayer"] : name => "${name}-schedule" }
    events_queue = "saga-events"
    dead_letter_queues = {
      events-dlq = "saga-events-dlq", destination-dlq = "saga-destination-dlq", outbox-failures = "saga-outbox-failures",
      relay-dlq  = "saga-relay-dlq", bus-dlq = "saga-bus-dlq",
    }
    quarantine_queue = "saga-quarantine"
    rules            = { to_azure = "saga-to-azure", to_aws = "saga-to-aws" }
  }

  log_groups = {
    saga_initiator = "/aws/lambda/saga-initiator", outbox_poller = "/aws/lambda/outbox-poller", saga_events = "/aws/lambda/saga-events",
    event_ingress  = "/aws/lambda/event-ingress", deadline_sweeper = "/aws/lambda/deadline-sweeper",
  }
}

run "every_alarm_has_a_section_in_the_runbook_and_tells_the_topic" {
  command = apply

  assert {
    condition     = length(output.alarms) > 20 && alltrue([for section in values(output.alarms) : strcontains(file("../../RUNBOOK.md"), "\n## ${section}\n")])
    error_message = "An alarm without a section in RUNBOOK.md leaves its reader alone."
  }

  assert {
    condition = alltrue([
      for alarm in concat(values(aws_cloudwatch_metric_alarm.this), values(aws_cloudwatch_metric_alarm.errors)) :
      alarm.alarm_actions == toset([var.alerts_topic_arn]) && strcontains(alarm.alarm_description, "https://wiki.example.com/saga#")
    ])
    error_message = "Every alarm tells people, and where to read on."
  }
}

run "what_must_be_watched_is" {
  command = apply

  assert {
    condition = alltrue([
      for name in ["outbox-age", "stuck-sagas", "parked-sagas", "ingress-refusals", "quarantine", "events-dlq", "destination-dlq", "relay-dlq", "bus-dlq", "errors-saga-events", "throttles-event-ingress"] :
      contains(keys(output.alarms), name)
    ])
    error_message = "Backlog, dead letters, quarantine, stuck and parked sagas, errors, throttles, refusals and silence."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["outbox-age"].threshold == 120000 && aws_cloudwatch_metric_alarm.this["outbox-age"].metric_name == "OutboxOldest"
    error_message = "The outbox logs milliseconds."
  }

  assert {
    condition = {
      for name, alarm in aws_cloudwatch_metric_alarm.this : name => merge({ metric = "${alarm.namespace} ${alarm.metric_name}" }, alarm.dimensions) if endswith(name, "-silent")
      } == merge([
        for name, rule in var.watched.schedules : {
          "${name}-silent"          = { metric = "AWS/Lambda Invocations", FunctionName = var.watched.functions[name] }
          "${name}-schedule-silent" = { metric = "AWS/Events Invocations", RuleName = rule }
        }
    ]...)
    error_message = "Each schedule is missed, and each function that has one."
  }

  assert {
    condition = alltrue([
      for name, alarm in aws_cloudwatch_metric_alarm.this :
      alarm.treat_missing_data == "missing" && contains(alarm.insufficient_data_actions, var.alerts_topic_arn) && alarm.comparison_operator == "LessThanThreshold" && alarm.threshold == 1 && alarm.statistic == "Sum" && alarm.period * alarm.evaluation_periods == 600
      if endswith(name, "-silent")
    ])
    error_message = "No data is the alarm, but not before the first."
  }

  # A metric of ours that an alarm names comes out of a log.
  assert {
    condition     = length(setsubtract([for alarm in values(aws_cloudwatch_metric_alarm.this) : alarm.metric_name if alarm.namespace == "SagaBridge"], [for filter in values(aws_cloudwatch_log_metric_filter.this) : filter.metric_transformation[0].name])) == 0
    error_message = "An alarm on a metric that nobody writes never rings."
  }
}

run "metrics_come_out_of_the_lines_that_the_code_logs" {
  command = apply

  # Messages of the code itself, so that a renamed line is seen here.
  assert {
    condition = aws_cloudwatch_log_metric_filter.this["OutboxOldest/outbox_poller"].pattern == "{ $.message = \"outbox swept\" && $.oldest_ms = * }" && (
      strcontains(file("../../../shared/app/src/outbox/report.rs"), "\"outbox swept\"") && strcontains(file("../../../shared/app/src/sweep_sagas.rs"), "\"sagas swept\"") &&
      length(regexall("about!\\([^;]*\"start\"\\s*\\)", file("../../../shared/app/src/start_saga.rs"))) == 1 && strcontains(file("../../../functions/event-ingress/src/webhook.rs"), "outcome = \"refused\", \"delivery\"")
    )
    error_message = "The code logs another message than the filter looks for."
  }

  # Who marks a saga as parked has a use case that does; nobody else is stuck by a clock than the sweeper.
  assert {
    condition = {
      for flag in ["Parked", "Stuck"] : flag => join(" ", sort([for filter in values(aws_cloudwatch_log_metric_filter.this) : filter.log_group_name if filter.metric_transformation[0].name == "Sagas${flag}"]))
      } == {
      Parked = "/aws/lambda/outbox-poller /aws/lambda/saga-events"
      Stuck  = "/aws/lambda/deadline-sweeper"
    }
    error_message = "A flag is counted in the log of every function that sets it."
  }

  assert {
    condition = alltrue([
      for flag, file in { Parked = "park_saga", Stuck = "sweep_sagas" } : alltrue([
        for filter in values(aws_cloudwatch_log_metric_filter.this) : filter.pattern == "{ $.message = \"saga flagged\" && $.flag = \"${lower(flag)}\" }" && length(regexall("flag = \"${lower(flag)}\",[^;]*\"saga flagged\"\\s*\\)", file("../../../shared/app/src/${file}.rs"))) == 1
        if filter.metric_transformation[0].name == "Sagas${flag}"
      ])
    ])
    error_message = "The code logs a flag otherwise than the filter looks for."
  }
}

run "alarms_report_how_fast_the_budget_of_the_objective_is_spent" {
  command = apply

  variables {
    objective = { seconds = 10, percent = 99.5 }
  }

  assert {
    condition     = aws_cloudwatch_log_metric_filter.this["SagasLate/saga_events"].pattern == "{ $.message = \"event\" && $.took_ms > 10000 }" && length(regexall("took_ms = took\\(", file("../../../shared/app/src/handle_event.rs"))) == 1
    error_message = "The code logs how long a saga took, and later than the objective is late."
  }

  assert {
    condition = { for name, alarm in aws_cloudwatch_metric_alarm.burn : name => alarm.threshold } == {
      fast-long = 7.2, fast-short = 7.2, slow-long = 3, slow-short = 3
    } && alltrue([for alarm in aws_cloudwatch_metric_alarm.burn : try(length(alarm.alarm_actions), 0) == 0])
    error_message = "14.4 and 6 times the half percent that may be late; the parts tell nobody."
  }

  assert {
    condition     = aws_cloudwatch_composite_alarm.burn["fast"].alarm_rule == "ALARM(\"saga-late-fast-long\") AND ALARM(\"saga-late-fast-short\")" && aws_cloudwatch_composite_alarm.burn["fast"].alarm_actions == toset([var.alerts_topic_arn])
    error_message = "Both windows, and people are told."
  }

  assert {
    condition     = strcontains(file("../../RUNBOOK.md"), "\n## ${regex("#([a-z-]+)$", aws_cloudwatch_composite_alarm.burn["slow"].alarm_description)[0]}\n")
    error_message = "It links to a section of the runbook."
  }
}

run "the_dashboard_is_json_with_all_charts" {
  command = apply

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets) == 11 && output.dashboard_name == "saga-bridge-${var.region}"
    error_message = "Nine charts and two tables."
  }

  assert {
    condition     = strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "saga-relay-dlq") && strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "SagasCompleted")
    error_message = "Dead letters and sagas by state."
  }
}

run "services_are_watched_one_by_one_and_their_callers_count" {
  command = apply

  variables {
    watched = {
      bus                = "enterprise-core-bus"
      functions          = { outbox-poller = "outbox-poller", caller-ledger = "caller-ledger" }
      schedules          = { outbox-poller = "outbox-poller-schedule" }
      events_queue       = "saga-events"
      dead_letter_queues = { service-dlq-ledger = "saga-calls-ledger-dlq" }
      service_queues     = { ledger = "saga-calls-ledger", mail = "saga-calls-mail" }
      quarantine_queue   = "saga-quarantine"
      rules              = { service-ledger = "saga-calls-ledger" }
    }
    log_groups = {
      saga_initiator = "/aws/lambda/saga-initiator", outbox_poller = "/aws/lambda/outbox-poller", saga_events = "/aws/lambda/saga-events",
      event_ingress  = "/aws/lambda/event-ingress", deadline_sweeper = "/aws/lambda/deadline-sweeper", service_caller_ledger = "/aws/lambda/caller-ledger",
    }
  }

  assert {
    condition = { for name, section in output.alarms : name => section if strcontains(name, "ledger") || strcontains(name, "mail") } == {
      service-queue-age-ledger = "service-queue-age", service-queue-age-mail = "service-queue-age", service-dlq-ledger = "service-dlq",
      errors-caller-ledger     = "errors", throttles-caller-ledger = "throttles", rule-failing-service-ledger = "rule-failing",
    } && alltrue([for section in values(output.alarms) : strcontains(file("../../RUNBOOK.md"), "\n## ${section}\n")])
    error_message = "Age, dead letters, errors, throttles and the rule of each, with one section for all services."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["service-queue-age-mail"].threshold == 1800 && aws_cloudwatch_metric_alarm.this["service-queue-age-mail"].dimensions == tomap({ QueueName = "saga-calls-mail" })
    error_message = "Longer than the longest delay of a request that is put back."
  }

  assert {
    condition = length(setsubtract(
      [for name in ["Completed", "Cancelled", "Ended", "Late", "Parked"] : "Sagas${name}/service_caller_ledger"],
      keys(aws_cloudwatch_log_metric_filter.this),
    )) == 0 && strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "SOURCE '/aws/lambda/caller-ledger'") && strcontains(aws_cloudwatch_dashboard.this.dashboard_body, "saga-calls-mail")
    error_message = "A saga may end with a service's answer."
  }
}

run "options" {
  command = apply

  variables {
    prefix            = "blue-"
    metrics_namespace = "BlueSagas"
    thresholds        = { outbox_age_seconds = 30 }
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["outbox-age"].threshold == 30000 && aws_cloudwatch_metric_alarm.this["outbox-age"].namespace == "BlueSagas" && aws_cloudwatch_metric_alarm.this["outbox-age"].alarm_name == "blue-saga-outbox-age"
    error_message = "Thresholds, namespace and prefix are used."
  }
}

run "a_connection_that_is_refused_and_a_secret_that_expires_are_reported" {
  command = apply

  variables {
    prefix         = "blue-"
    connection     = "blue-saga-to-azure"
    secret_expires = "2028-03-01T12:00:00Z"
    iam            = { path = "/platform/", permissions_boundary = "arn:aws:iam::123456789012:policy/boundary", suffix = "-eu-central-1" }
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.connection[0].event_pattern) == {
      source      = ["aws.events"]
      detail-type = ["Connection Deauthorized", "Connection Failed Connectivity"]
      detail      = { ConnectionName = ["blue-saga-to-azure"] }
    } && aws_cloudwatch_event_rule.connection[0].name == "blue-saga-connection" && aws_cloudwatch_event_target.connection[0].arn == var.alerts_topic_arn
    error_message = "This connection's states, to the topic whose policy names this rule."
  }

  assert {
    condition     = toset([for schedule in aws_scheduler_schedule.secret : schedule.schedule_expression]) == toset(["at(2028-01-31T12:00:00)", "at(2028-02-23T12:00:00)"])
    error_message = "30 and 7 days ahead."
  }

  assert {
    condition     = aws_iam_role.scheduler[0].name == "blue-saga-scheduler-eu-central-1" && aws_iam_role.scheduler[0].path == "/platform/" && aws_iam_role.scheduler[0].permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "The role is named and bounded like all."
  }

  assert {
    condition = alltrue([
      for text in concat([aws_cloudwatch_event_target.connection[0].input_transformer[0].input_template], [for schedule in aws_scheduler_schedule.secret : schedule.target[0].input]) :
      strcontains(file("../../RUNBOOK.md"), "\n## ${regex("#([a-z-]+)", text)[0]}\n")
    ])
    error_message = "Both link to a section of the runbook."
  }
}

run "nothing_of_a_secret_where_there_is_none" {
  command = plan

  assert {
    condition     = length(aws_cloudwatch_event_rule.connection) + length(aws_scheduler_schedule.secret) + length(aws_iam_role.scheduler) == 0
    error_message = "The relay has no connection and no secret."
  }
}

run "refuses_a_schedule_of_a_function_that_is_not_there" {
  command = plan

  variables {
    watched = {
      bus                = "enterprise-core-bus"
      functions          = { outbox-poller = "outbox-poller" }
      schedules          = { deadline-sweeper = "deadline-sweeper-schedule" }
      events_queue       = "saga-events"
      dead_letter_queues = {}
      quarantine_queue   = "saga-quarantine"
      rules              = {}
    }
  }

  expect_failures = [var.watched]
}

run "refuses_bad_settings" {
  command = plan

  variables {
    prefix            = "-"
    metrics_namespace = "AWS/Lambda"
    thresholds        = { error_percent = 101 }
    log_groups        = {}
  }

  expect_failures = [var.prefix, var.metrics_namespace, var.thresholds, var.log_groups]
}
