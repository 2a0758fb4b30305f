# What people look at: sagas by state, how long they take, what waits, what lies dead.

locals {
  sources = join(" | ", [for name in concat(["saga_initiator"], local.deciders) : "SOURCE '${var.log_groups[name]}'"])

  # From the first line of a saga to its last.
  latency_query = join("", [
    local.sources, " | filter ispresent(saga_id) and (message = 'start' or message = 'event') and outcome = 'applied'",
    " | fields toMillis(@timestamp) as at",
    " | stats min(at) as began, max(at) as ended, count(*) as lines by saga_id",
    " | filter lines > 1",
    " | stats pct(ended - began, 50) as p50_ms, pct(ended - began, 99) as p99_ms, max(ended - began) as max_ms, count(*) as sagas",
  ])

  outcomes_query = join("", [
    local.sources, " | SOURCE '${var.log_groups["event_ingress"]}'",
    " | filter ispresent(saga_id) | stats count(*) as lines by message, outcome, status | sort lines desc",
  ])

  # One without a metric would be refused: a deployment may have no services.
  charts = [for chart in local.every_chart : chart if length(chart.metrics) > 0]

  every_chart = [
    {
      title   = "Sagas: started and ended"
      metrics = [for name in ["SagasStarted", "SagasCompleted", "SagasCancelled"] : [var.metrics_namespace, name, { stat = "Sum" }]]
    },
    {
      title   = "Sagas: re-sent, stuck, parked, unreadable"
      metrics = [for name in ["SagasResent", "SagasStuck", "SagasParked", "SagasUnreadable"] : [var.metrics_namespace, name, { stat = "Sum" }]]
    },
    {
      title   = "Outbox: left behind, oldest (ms)"
      metrics = [[var.metrics_namespace, "OutboxLeft", { stat = "Maximum" }], [var.metrics_namespace, "OutboxOldest", { stat = "Maximum", yAxis = "right" }]]
    },
    {
      title   = "Events for AWS: waiting, oldest (s)"
      metrics = [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", var.watched.events_queue, { stat = "Maximum" }], ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", var.watched.events_queue, { stat = "Maximum", yAxis = "right" }]]
    },
    {
      title   = "Requests to services: waiting"
      metrics = [for queue in values(var.watched.service_queues) : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue, { stat = "Maximum" }]]
    },
    {
      title   = "Dead letters and quarantine"
      metrics = [for queue in concat(values(var.watched.dead_letter_queues), [var.watched.quarantine_queue]) : ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue, { stat = "Maximum" }]]
    },
    {
      title   = "Rules: invoked, failed"
      metrics = flatten([for rule in values(var.watched.rules) : [for name in ["Invocations", "FailedInvocations"] : { row = ["AWS/Events", name, "EventBusName", var.watched.bus, "RuleName", rule, { stat = "Sum" }] }]])[*].row
    },
    {
      title   = "Functions: errors"
      metrics = [for function in values(var.watched.functions) : ["AWS/Lambda", "Errors", "FunctionName", function, { stat = "Sum" }]]
    },
    {
      title   = "Functions: duration p99 (ms)"
      metrics = [for function in values(var.watched.functions) : ["AWS/Lambda", "Duration", "FunctionName", function, { stat = "p99" }]]
    },
    {
      title   = "Webhook: refused"
      metrics = [[var.metrics_namespace, "IngressRefusals", { stat = "Sum" }]]
    },
  ]

  tables = [
    { title = "From start to end, of the sagas in the time shown", query = local.latency_query },
    { title = "What became of starts and events", query = local.outcomes_query },
  ]

  widgets = concat(
    [
      for index, chart in local.charts : {
        type       = "metric", x = index % 3 * 8, y = floor(index / 3) * 6, width = 8, height = 6
        properties = { title = chart.title, metrics = chart.metrics, region = var.region, view = "timeSeries", period = 60 }
      }
    ],
    [
      for index, table in local.tables : {
        type       = "log", x = index * 12, y = ceil(length(local.charts) / 3) * 6, width = 12, height = 6
        properties = { title = table.title, query = table.query, region = var.region, view = "table" }
      }
    ],
  )
}

resource "aws_cloudwatch_dashboard" "this" {
  # An account's dashboards are in no region.
  dashboard_name = "${var.prefix}saga-bridge-${var.region}"
  dashboard_body = jsonencode({ widgets = local.widgets })
}
