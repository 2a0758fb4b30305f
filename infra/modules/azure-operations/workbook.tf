# The workbook's charts: one query each. The participant's log lines are JSON (message "event": saga_id, step,
# verb, outcome), which the host passes on as the text of a trace.

locals {
  events = "AppTraces | extend line = parse_json(Message) | where tostring(line.message) == 'event' and isnotempty(line.saga_id)"

  charts = [
    {
      title = "What became of events"
      view  = "timechart"
      query = "${local.events} | summarize count() by bin(TimeGenerated, 5m), outcome = tostring(line.outcome)"
    },
    {
      title = "Steps by verb and outcome"
      view  = "table"
      query = "${local.events} | summarize events = count(), sagas = dcount(tostring(line.saga_id)) by verb = tostring(line.verb), outcome = tostring(line.outcome) | order by events desc"
    },
    {
      title = "How long the participant takes (ms)"
      view  = "timechart"
      query = "AppRequests | where AppRoleName =~ '${var.function_app_name}' and Name =~ 'saga-step' | summarize p50 = percentile(DurationMs, 50), p99 = percentile(DurationMs, 99) by bin(TimeGenerated, 5m)"
    },
    {
      title = "The participant's queue: put, worked off, and what is left of each five minutes"
      view  = "timechart"
      query = "StorageQueueLogs | where OperationName in ('PutMessage', 'DeleteMessage') and ObjectKey has '${var.queues.events}' | summarize put = countif(OperationName == 'PutMessage'), done = countif(OperationName == 'DeleteMessage') by bin(TimeGenerated, 5m) | extend backlog = put - done"
    },
    {
      title = "Requests to services: put, also again because nothing was decided, and worked off"
      view  = "timechart"
      query = "StorageQueueLogs | where OperationName in ('PutMessage', 'DeleteMessage') and ObjectKey has '${var.queues.calls}' and not(ObjectKey has '${var.queues.calls_poison}') | summarize put = countif(OperationName == 'PutMessage'), done = countif(OperationName == 'DeleteMessage') by bin(TimeGenerated, 5m)"
    },
    {
      title = "Quarantined and poisoned"
      view  = "table"
      query = "StorageQueueLogs | where OperationName == 'PutMessage' and (ObjectKey has '${var.queues.poison}' or ObjectKey has '${var.queues.calls_poison}' or ObjectKey has '${var.queues.quarantine}') | summarize messages = count(), last = max(TimeGenerated) by ObjectKey"
    },
    {
      title = "Latest failures"
      view  = "table"
      query = "AppTraces | extend line = parse_json(Message) | where tostring(line.level) in ('ERROR', 'WARN') | project TimeGenerated, level = line.level, message = line.message, saga = line.saga_id, error = line.error | order by TimeGenerated desc | take 50"
    },
  ]

  workbook_items = [
    for chart in local.charts : {
      type = 3
      name = chart.title
      content = {
        version       = "KqlItem/1.0"
        query         = chart.query
        size          = 0
        title         = chart.title
        timeContext   = { durationMs = 86400000 }
        queryType     = 0
        resourceType  = "microsoft.operationalinsights/workspaces"
        visualization = chart.view
      }
    }
  ]
}
