output "api_url" {
  description = "The URL of the HTTP API."
  value       = module.saga_initiator.url
}

output "api_url_id" {
  description = "The first label of the API's host."
  value       = module.saga_initiator.url_id
}

output "ingress_function" {
  description = "The webhook's function, for what is put in front of it."
  value       = { name = module.event_ingress.name, arn = module.event_ingress.arn }
}

output "ingress_url" {
  description = "The webhook's URL, for the Event Grid subscription; null without an open URL."
  value       = module.event_ingress.url
}

output "ingress_url_id" {
  description = "The first label of the webhook's host."
  value       = module.event_ingress.url_id
}

output "dead_letters_url" {
  description = "The URL of the dead letters."
  value       = module.dlq_replayer.url
}

output "dead_letters_url_id" {
  description = "The first label of the dead letters' host."
  value       = module.dlq_replayer.url_id
}

output "names" {
  description = "The names that tools and tests look for."
  value = {
    payments_table   = module.tables.payments.name
    sagas_table      = module.tables.sagas.name
    outbox_table     = module.tables.outbox.name
    bus              = module.bus.bus_name
    events_queue     = module.queues.events.name
    events_dlq       = module.queues.events_dlq.name
    destination_dlq  = module.queues.destination_dlq.name
    quarantine_queue = module.queues.quarantine.name
    alerts_topic     = module.alerts.topic_name
  }
}

output "bus_arn" {
  description = "The bus, for an archive of its events."
  value       = module.bus.bus_arn
}

output "alerts_topic_arn" {
  description = "The topic to subscribe people to."
  value       = module.alerts.topic_arn
}

output "log_groups" {
  description = "The functions' log groups by function, for metric filters and alarms."
  value = merge(
    {
      saga_initiator   = module.saga_initiator.log_group_name
      outbox_poller    = module.outbox_poller.log_group_name
      saga_events      = module.saga_events.log_group_name
      event_ingress    = module.event_ingress.log_group_name
      deadline_sweeper = module.deadline_sweeper.log_group_name
      dlq_replayer     = module.dlq_replayer.log_group_name
    },
    { for name, caller in module.service_caller : "service_caller_${name}" => caller.log_group_name },
  )
}

output "relay_role_arn" {
  description = "The role that Entra is to trust, or null when EventBridge sends."
  value       = one(module.relay[*].role_arn)
}

output "replayer_role_arn" {
  description = "The role of dlq-replayer, which Entra is to trust if it is to see dead letters on Azure."
  value       = module.dlq_replayer.role_arn
}

output "replayer_environment" {
  description = "The settings of dlq-replayer, for reviews and tests."
  value       = module.dlq_replayer.environment
  sensitive   = true
}

output "watched" {
  description = "What module operations looks at: names of functions, queues, rules and the bus."
  value = {
    bus = module.bus.bus_name

    functions = merge(
      {
        saga-initiator   = module.saga_initiator.name
        outbox-poller    = module.outbox_poller.name
        saga-events      = module.saga_events.name
        event-ingress    = module.event_ingress.name
        deadline-sweeper = module.deadline_sweeper.name
        dlq-replayer     = module.dlq_replayer.name
      },
      { for relay in module.relay : "event-relay" => relay.function_name },
      { for name, caller in module.service_caller : "caller-${name}" => caller.function_name },
    )

    # Whoever runs by a schedule is missed when it does not.
    schedules = {
      for name, schedule in {
        saga-initiator   = module.saga_initiator.schedule
        outbox-poller    = module.outbox_poller.schedule
        saga-events      = module.saga_events.schedule
        event-ingress    = module.event_ingress.schedule
        deadline-sweeper = module.deadline_sweeper.schedule
        dlq-replayer     = module.dlq_replayer.schedule
      } : name => schedule if schedule != null
    }

    events_queue = module.queues.events.name

    dead_letter_queues = merge(
      {
        events-dlq      = module.queues.events_dlq.name
        destination-dlq = module.queues.destination_dlq.name
        outbox-failures = module.queues.outbox_failures.name
      },
      { for relay in module.relay : "relay-dlq" => relay.dead_letter_queue.name },
      { for queue in module.bus.dead_letter_queue[*] : "bus-dlq" => queue },
      { for name, caller in module.service_caller : "service-dlq-${name}" => caller.dead_letter_queue.name },
    )

    service_queues = { for name, caller in module.service_caller : name => caller.queue.name }

    quarantine_queue = module.queues.quarantine.name
    rules            = merge(module.bus.rules, { for name, caller in module.service_caller : "service-${name}" => caller.rule })
  }
}

output "connection" {
  description = "The name of the connection that EventBridge signs in with, or null when the relay sends."
  value       = module.bus.connection
}

output "reserved" {
  description = "Concurrency that is taken out of the account's quota, by function."
  value       = { for name, function in { event-ingress = module.event_ingress } : name => function.reserved_concurrency if function.reserved_concurrency != null }
}

output "networks" {
  description = "The subnets that each function works in."
  value = merge(
    {
      saga-initiator   = module.saga_initiator.subnet_ids
      outbox-poller    = module.outbox_poller.subnet_ids
      saga-events      = module.saga_events.subnet_ids
      event-ingress    = module.event_ingress.subnet_ids
      deadline-sweeper = module.deadline_sweeper.subnet_ids
      dlq-replayer     = module.dlq_replayer.subnet_ids
    },
    { for relay in module.relay : "event-relay" => relay.subnet_ids },
    { for name, caller in module.service_caller : "caller-${name}" => caller.subnet_ids },
  )
}

output "service_caller_roles" {
  description = "The callers' roles by service, for services of other accounts that let them in."
  value       = { for name, caller in module.service_caller : name => caller.role_arn }
}

output "service_queues" {
  description = "The queues of requests to services by service: queue and dead_letter_queue, for tools and tests."
  value       = { for name, caller in module.service_caller : name => { queue = caller.queue.name, dead_letter_queue = caller.dead_letter_queue.name } }
}
