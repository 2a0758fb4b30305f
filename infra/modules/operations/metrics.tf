# Metrics out of log lines: each is a JSON object with `message` and the fields named here. A metric adds up the lines of
# all functions that log them.

locals {
  # Who takes events and requests, commits what was decided, and says so: saga-events, and the callers of services.
  deciders = concat(["saga_events"], [for name in keys(var.log_groups) : name if startswith(name, "service_caller_")])

  metrics = {
    OutboxOldest    = { logs = ["outbox_poller"], pattern = "{ $.message = \"outbox swept\" && $.oldest_ms = * }", value = "$.oldest_ms", unit = "Milliseconds" }
    OutboxLeft      = { logs = ["outbox_poller"], pattern = "{ $.message = \"outbox swept\" && $.left = * }", value = "$.left", unit = "Count" }
    OutboxBuried    = { logs = ["outbox_poller"], pattern = "{ $.message = \"outbox swept\" && $.buried = * }", value = "$.buried", unit = "Count" }
    SagasStuck      = { logs = ["deadline_sweeper"], pattern = "{ $.message = \"saga flagged\" && $.flag = \"stuck\" }", value = "1", unit = "Count" }
    SagasParked     = { logs = concat(["outbox_poller"], local.deciders), pattern = "{ $.message = \"saga flagged\" && $.flag = \"parked\" }", value = "1", unit = "Count" }
    SagasUnreadable = { logs = ["deadline_sweeper"], pattern = "{ $.message = \"sagas swept\" && $.unreadable = * }", value = "$.unreadable", unit = "Count" }
    SagasResent     = { logs = ["deadline_sweeper"], pattern = "{ $.message = \"sagas swept\" && $.sent = * }", value = "$.sent", unit = "Count" }
    SagasStarted    = { logs = ["saga_initiator"], pattern = "{ $.message = \"start\" && $.outcome = \"applied\" }", value = "1", unit = "Count" }
    SagasCompleted  = { logs = local.deciders, pattern = "{ $.message = \"event\" && $.outcome = \"applied\" && $.status = \"COMPLETED\" }", value = "1", unit = "Count" }
    SagasCancelled  = { logs = local.deciders, pattern = "{ $.message = \"event\" && $.outcome = \"applied\" && $.status = \"CANCELLED_VIA_COMPENSATION\" }", value = "1", unit = "Count" }
    SagasEnded      = { logs = local.deciders, pattern = "{ $.message = \"event\" && $.took_ms = * }", value = "1", unit = "Count" }
    SagasLate       = { logs = local.deciders, pattern = "{ $.message = \"event\" && $.took_ms > ${var.objective.seconds * 1000} }", value = "1", unit = "Count" }
    SagaTime        = { logs = local.deciders, pattern = "{ $.message = \"event\" && $.took_ms = * }", value = "$.took_ms", unit = "Milliseconds" }
    Quarantined     = { logs = local.deciders, pattern = "{ $.message = \"event\" && $.outcome = \"quarantined\" }", value = "1", unit = "Count" }
    IngressRefusals = { logs = ["event_ingress"], pattern = "{ ($.message = \"delivery\" || $.message = \"handshake\") && $.outcome = \"refused\" }", value = "1", unit = "Count" }
  }

  # One filter for each metric and log.
  filters = merge([
    for name, metric in local.metrics : { for log in metric.logs : "${name}/${log}" => merge(metric, { name = name, log = log }) }
  ]...)
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.filters

  name           = "${var.prefix}saga-${each.value.name}"
  log_group_name = var.log_groups[each.value.log]
  pattern        = each.value.pattern

  metric_transformation {
    name      = each.value.name
    namespace = var.metrics_namespace
    value     = each.value.value
    unit      = each.value.unit
  }
}
