# Alarms into one topic. Every alarm is named after its section of the runbook and links to it. Metrics that
# AWS does not have come out of the functions' log lines (metrics.tf).

locals {
  # name → what it looks at. `silence` says what no data means. Most of these metrics exist only when something happens. A
  # schedule that stops leaves no data, too, but so does one that has just been made: `missing` keeps such an alarm in
  # INSUFFICIENT_DATA, where every alarm begins, and people are alerted when it goes back into it.
  alarms = merge(
    {
      outbox-age = {
        text      = "Committed events are not published: the oldest has waited in the outbox for more than ${var.thresholds.outbox_age_seconds} seconds. Nothing is lost, but sagas stand still. Check outbox-poller and the bus."
        namespace = var.metrics_namespace, metric = "OutboxOldest", dimensions = {}, statistic = "Maximum"
        threshold = var.thresholds.outbox_age_seconds * 1000, period = 60, periods = 3, silence = "notBreaching"
      }
      outbox-buried = {
        text      = "The bus refused an event for good, and its outbox row is a dead letter now. Its saga stands still; nothing is lost. Correct the cause, then replay the dead letter."
        namespace = var.metrics_namespace, metric = "OutboxBuried", dimensions = {}, statistic = "Sum"
        threshold = 0, period = 300, periods = 1, silence = "notBreaching"
      }
      stuck-sagas = {
        text      = "A saga is stuck: its event was sent again and again without an answer. One cloud may have acted and the other not; nothing is lost. Find out which cloud does not answer."
        namespace = var.metrics_namespace, metric = "SagasStuck", dimensions = {}, statistic = "Sum"
        threshold = 0, period = 300, periods = 1, silence = "notBreaching"
      }
      parked-sagas = {
        text      = "A saga is parked: a message of it failed at every attempt and is a dead letter. The message is kept. Correct the cause, then replay it."
        namespace = var.metrics_namespace, metric = "SagasParked", dimensions = {}, statistic = "Sum"
        threshold = 0, period = 300, periods = 1, silence = "notBreaching"
      }
      unreadable-sagas = {
        text      = "A stored saga cannot be read, so it gets no retransmission and no deadline. The item is left as it is. Deploy the version that wrote it, or restore the item."
        namespace = var.metrics_namespace, metric = "SagasUnreadable", dimensions = {}, statistic = "Maximum"
        threshold = 0, period = 300, periods = 1, silence = "notBreaching"
      }
      ingress-refusals = {
        text      = "The webhook refused more than ${var.thresholds.ingress_refusals} calls in five minutes because of their tokens. Nothing was read from them; if Event Grid is refused, its events become dead letters. Check the tokens and the audience."
        namespace = var.metrics_namespace, metric = "IngressRefusals", dimensions = {}, statistic = "Sum"
        threshold = var.thresholds.ingress_refusals, period = 300, periods = 1, silence = "notBreaching"
      }
      events-queue-age = {
        text      = "Events for AWS wait in their queue for more than ${var.thresholds.events_queue_age_seconds} seconds. Sagas are late; nothing is lost. Check saga-events and the throttling of DynamoDB."
        namespace = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", dimensions = { QueueName = var.watched.events_queue }, statistic = "Maximum"
        threshold = var.thresholds.events_queue_age_seconds, period = 60, periods = 3, silence = "notBreaching"
      }
      quarantine = {
        text      = "The quarantine holds events that nobody understands. They are kept whole, and no other event waits for them. Look at the reasons, then replay or discard them."
        namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = var.watched.quarantine_queue }, statistic = "Maximum"
        threshold = 0, period = 300, periods = 1, silence = "notBreaching"
      }
      stream-age = {
        text      = "The outbox' stream is not read. Events are still published by the schedule, up to a minute late. Check outbox-poller."
        namespace = "AWS/Lambda", metric = "IteratorAge", dimensions = { FunctionName = var.watched.functions["outbox-poller"] }, statistic = "Maximum"
        threshold = 60000, period = 60, periods = 5, silence = "notBreaching"
      }
    },
    {
      for name, queue in var.watched.dead_letter_queues : name => {
        text      = "${queue} holds dead letters. They are kept for 14 days, and their sagas may wait. Correct the cause, then replay them."
        namespace = "AWS/SQS", metric = "ApproximateNumberOfMessagesVisible", dimensions = { QueueName = queue }, statistic = "Maximum"
        threshold = 0, period = 300, periods = 1, silence = "notBreaching"
      }
    },
    # A request that waits for its service's decision is put back at most every quarter of an hour, as a new message.
    {
      for name, queue in var.watched.service_queues : "service-queue-age-${name}" => {
        text      = "Requests to the service ${name} wait in their queue for more than ${var.thresholds.service_queue_age_seconds} seconds. Sagas that need it are late; nothing is lost, and no other service waits. Check the service and its caller."
        namespace = "AWS/SQS", metric = "ApproximateAgeOfOldestMessage", dimensions = { QueueName = queue }, statistic = "Maximum"
        threshold = var.thresholds.service_queue_age_seconds, period = 60, periods = 3, silence = "notBreaching"
      }
    },
    {
      for name in keys(var.watched.schedules) : "${name}-silent" => {
        text      = "${name} has not run for a quarter of an hour. Nothing is lost, but its work is not done. Check its schedule and its concurrency, or apply the stack again."
        namespace = "AWS/Lambda", metric = "Invocations", dimensions = { FunctionName = var.watched.functions[name] }, statistic = "Sum"
        threshold = 1, period = 300, periods = 2, silence = "missing"
      }
    },
    # A function that is called by others, too, hides that its schedule has stopped.
    {
      for name, rule in var.watched.schedules : "${name}-schedule-silent" => {
        text      = "The schedule has not started ${name} for a quarter of an hour. Nothing is lost, but its work is late. Check the rule, or apply the stack again."
        namespace = "AWS/Events", metric = "Invocations", dimensions = { RuleName = rule }, statistic = "Sum"
        threshold = 1, period = 300, periods = 2, silence = "missing"
      }
    },
    {
      for name, function in var.watched.functions : "throttles-${name}" => {
        text      = "${name} is throttled. Its work is late; nothing is lost. Raise the account's concurrency or the function's limit."
        namespace = "AWS/Lambda", metric = "Throttles", dimensions = { FunctionName = function }, statistic = "Sum"
        threshold = var.thresholds.throttles, period = 300, periods = 1, silence = "notBreaching"
      }
    },
    {
      for name, rule in var.watched.rules : "rule-failing-${replace(name, "_", "-")}" => {
        text      = "The rule ${rule} could neither deliver events nor put them into its dead-letter queue. These events are lost, and retransmission heals their sagas. Check the policies of queue and key, or apply the stack again."
        namespace = "AWS/Events", metric = "FailedInvocations", dimensions = { EventBusName = var.watched.bus, RuleName = rule }, statistic = "Sum"
        threshold = 0, period = 300, periods = 1, silence = "notBreaching"
      }
    },
  )

  # Several alarms of one kind share a section.
  sections = {
    for name in concat(keys(local.alarms), [for function in keys(var.watched.functions) : "errors-${function}"]) : name => (
      startswith(name, "throttles-") ? "throttles" : startswith(name, "errors-") ? "errors" : startswith(name, "rule-failing-") ? "rule-failing" :
      startswith(name, "service-dlq-") ? "service-dlq" : startswith(name, "service-queue-age-") ? "service-queue-age" :
      endswith(name, "-silent") ? "function-silent" : name
    )
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.prefix}saga-${each.key}"
  alarm_description   = "${each.value.text} Runbook: ${var.runbook_url}#${local.sections[each.key]}"
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = each.value.period
  evaluation_periods  = each.value.periods
  threshold           = each.value.threshold
  comparison_operator = each.value.silence == "missing" ? "LessThanThreshold" : "GreaterThanThreshold"
  treat_missing_data  = each.value.silence
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]

  insufficient_data_actions = each.value.silence == "missing" ? [var.alerts_topic_arn] : []
}

# A share, not a number: one failure among a thousand is a retry, one of one is an outage.
resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each = var.watched.functions

  alarm_name          = "${var.prefix}saga-errors-${each.key}"
  alarm_description   = "More than ${var.thresholds.error_percent} % of the invocations of ${each.key} fail. Messages are tried again and then become dead letters; nothing is lost. Read the function's log for the cause. Runbook: ${var.runbook_url}#errors"
  evaluation_periods  = 2
  threshold           = var.thresholds.error_percent
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [var.alerts_topic_arn]
  ok_actions          = [var.alerts_topic_arn]

  metric_query {
    id          = "share"
    expression  = "100 * errors / invocations"
    label       = "failed, %"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { errors = "Errors", invocations = "Invocations" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/Lambda"
        metric_name = metric_query.value
        dimensions  = { FunctionName = each.value }
        stat        = "Sum"
        period      = 300
      }
    }
  }
}
