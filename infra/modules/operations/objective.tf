# The objective: so many of all sagas end within so many seconds, over 30 days. What may be late is a budget, and people are told
# when it is spent so fast that it will not last: 14.4 times as fast (two days) within an hour, or six times (five days)
# within six hours. Each is looked at over a twelfth of that time, too, so that it stops to ring soon after the cause is gone
# (https://sre.google/workbook/alerting-on-slos/).

locals {
  late_percent = 100 - var.objective.percent

  burns = {
    fast = { times = 14.4, long = 3600, short = 300 }
    slow = { times = 6, long = 21600, short = 1800 }
  }

  burn_windows = merge([
    for name, burn in local.burns : { for window in ["long", "short"] : "${name}-${window}" => { times = burn.times, seconds = burn[window] } }
  ]...)
}

# Parts of the two alarms below; they tell nobody themselves.
resource "aws_cloudwatch_metric_alarm" "burn" {
  #checkov:skip=CKV_AWS_319:Tells nobody itself.
  for_each = local.burn_windows

  alarm_name          = "${var.prefix}saga-late-${each.key}"
  alarm_description   = "More than ${each.value.times * local.late_percent} % of the sagas of ${each.value.seconds / 60} minutes took longer than ${var.objective.seconds} seconds. A part of ${var.prefix}saga-late-${split("-", each.key)[0]}."
  evaluation_periods  = 1
  threshold           = min(each.value.times * local.late_percent, 99)
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "share"
    expression  = "100 * FILL(late, 0) / ended"
    label       = "late, %"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { late = "SagasLate", ended = "SagasEnded" }

    content {
      id = metric_query.key

      metric {
        namespace   = var.metrics_namespace
        metric_name = metric_query.value
        stat        = "Sum"
        period      = each.value.seconds
      }
    }
  }
}

resource "aws_cloudwatch_composite_alarm" "burn" {
  for_each = local.burns

  alarm_name        = "${var.prefix}saga-late-${each.key}"
  alarm_description = "${each.value.times} times as many sagas end late as the objective allows (${var.objective.percent} % within ${var.objective.seconds} seconds). Nothing is lost. Find out where sagas wait. Runbook: ${var.runbook_url}#late-sagas"
  alarm_rule        = join(" AND ", [for window in ["long", "short"] : "ALARM(\"${aws_cloudwatch_metric_alarm.burn["${each.key}-${window}"].alarm_name}\")"])
  alarm_actions     = [var.alerts_topic_arn]
  ok_actions        = [var.alerts_topic_arn]
}
