# Metrics out of log lines: each is a JSON object with `message` and the fields named here.

locals {
  metrics = {
    OutboxOldest    = { log = "outbox_poller", pattern = "{ $.message = \"outbox swept\" && $.oldest_ms = * }", value = "$.oldest_ms", unit = "Milliseconds" }
    OutboxLeft      = { log = "outbox_poller", pattern = "{ $.message = \"outbox swept\" && $.left = * }", value = "$.left", unit = "Count" }
    OutboxBuried    = { log = "outbox_poller", pattern = "{ $.message = \"outbox swept\" && $.buried = * }", value = "$.buried", unit = "Count" }
    SagasStuck      = { log = "deadline_sweeper", pattern = "{ $.message = \"saga flagged\" && $.flag = \"stuck\" }", value = "1", unit = "Count" }
    SagasParked     = { log = "deadline_sweeper", pattern = "{ $.message = \"saga flagged\" && $.flag = \"parked\" }", value = "1", unit = "Count" }
    SagasUnreadable = { log = "deadline_sweeper", pattern = "{ $.message = \"sagas swept\" && $.unreadable = * }", value = "$.unreadable", unit = "Count" }
    SagasResent     = { log = "deadline_sweeper", pattern = "{ $.message = \"sagas swept\" && $.sent = * }", value = "$.sent", unit = "Count" }
    SagasStarted    = { log = "saga_initiator", pattern = "{ $.message = \"start\" && $.outcome = \"applied\" }", value = "1", unit = "Count" }
    SagasCompleted  = { log = "saga_events", pattern = "{ $.message = \"event\" && $.outcome = \"applied\" && $.status = \"COMPLETED\" }", value = "1", unit = "Count" }
    SagasCancelled  = { log = "saga_events", pattern = "{ $.message = \"event\" && $.outcome = \"applied\" && $.status = \"CANCELLED_VIA_COMPENSATION\" }", value = "1", unit = "Count" }
    Quarantined     = { log = "saga_events", pattern = "{ $.message = \"event\" && $.outcome = \"quarantined\" }", value = "1", unit = "Count" }
    IngressRefusals = { log = "event_ingress", pattern = "{ ($.message = \"delivery\" || $.message = \"handshake\") && $.outcome = \"refused\" }", value = "1", unit = "Count" }
  }
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = local.metrics

  name           = "${var.prefix}saga-${each.key}"
  log_group_name = var.log_groups[each.value.log]
  pattern        = each.value.pattern

  metric_transformation {
    name      = each.key
    namespace = var.metrics_namespace
    value     = each.value.value
    unit      = each.value.unit
  }
}
