# The packages beside this file are empty: a mocked provider uploads nothing.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  zips_dir = "tests/packages"
  azure = {
    topic_endpoint = "https://topic.westeurope-1.eventgrid.azure.net/api/events"
    oauth = {
      token_endpoint = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token"
      client_id      = "66666666-7777-8888-9999-000000000000"
    }
  }
  azure_secret = "not-a-secret"
  ingress = {
    issuers = [
      "https://sts.windows.net/11111111-2222-3333-4444-555555555555/",
      "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0",
    ]
    jwks_url = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/discovery/v2.0/keys"
    audience = "api://saga-ingress"
    tenant   = "11111111-2222-3333-4444-555555555555"
  }
}

run "names_are_the_ones_tools_look_for" {
  command = apply

  assert {
    condition = output.names == {
      payments_table   = "LocalPayments"
      sagas_table      = "Sagas"
      outbox_table     = "SagaOutbox"
      bus              = "enterprise-core-bus"
      events_queue     = "saga-events"
      events_dlq       = "saga-events-dlq"
      destination_dlq  = "saga-destination-dlq"
      quarantine_queue = "saga-quarantine"
      alerts_topic     = "saga-alerts"
    }
    error_message = "The default names are part of the interface."
  }
}

run "functions_get_the_environment_they_read" {
  command = apply

  assert {
    condition = {
      for name, function in {
        saga_initiator = module.saga_initiator, outbox_poller = module.outbox_poller, saga_events = module.saga_events,
        event_ingress  = module.event_ingress, deadline_sweeper = module.deadline_sweeper, dlq_replayer = module.dlq_replayer,
      } : name => join(" ", sort(keys(function.environment)))
      } == {
      saga_initiator   = "OUTBOX_TABLE PAYMENTS_TABLE RUST_LOG SAGAS_TABLE SERVICES"
      outbox_poller    = "ALERTS_TOPIC_ARN EVENT_BUS OUTBOX_TABLE PAYMENTS_TABLE RUST_LOG SAGAS_TABLE"
      saga_events      = "ALERTS_TOPIC_ARN OUTBOX_TABLE PAYMENTS_TABLE QUARANTINE_QUEUE_URL RUST_LOG SAGAS_TABLE"
      event_ingress    = "ALERTS_TOPIC_ARN EVENT_BUS OIDC_AUDIENCE OIDC_CLIENT_ID OIDC_ISSUERS OIDC_JWKS_URL OIDC_ROLE OIDC_TENANT QUARANTINE_QUEUE_URL RUST_LOG SAGAS_TABLE WEBHOOK_ALLOWED_ORIGIN"
      deadline_sweeper = "ALERTS_TOPIC_ARN NUDGE_AFTER_SECONDS OUTBOX_TABLE PAYMENTS_TABLE RUST_LOG SAGAS_TABLE STUCK_AFTER_SECONDS"
      dlq_replayer     = "ALERTS_TOPIC_ARN DESTINATION_DLQ_URL EVENTS_DLQ_URL EVENTS_QUEUE_URL EVENT_BUS OUTBOX_FAILURES_URL OUTBOX_TABLE PAYMENTS_TABLE QUARANTINE_QUEUE_URL RUST_LOG SAGAS_TABLE SERVICE_DLQS"
    }
    error_message = "A function refuses to start without one of its variables."
  }

  assert {
    condition     = module.event_ingress.environment["OIDC_ISSUERS"] == "https://sts.windows.net/11111111-2222-3333-4444-555555555555/,https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0"
    error_message = "Both issuers of the tenant, comma separated."
  }

  assert {
    condition     = module.event_ingress.environment["OIDC_CLIENT_ID"] == "4962773b-9cdb-44cf-a8bf-237846a00ab7" && module.event_ingress.environment["WEBHOOK_ALLOWED_ORIGIN"] == "eventgrid.azure.net"
    error_message = "Event Grid is the only caller unless told otherwise."
  }

  assert {
    condition     = module.deadline_sweeper.environment["NUDGE_AFTER_SECONDS"] == "60"
    error_message = "A minute by default."
  }
}

run "permissions_are_the_calls_the_code_makes" {
  command = apply

  assert {
    condition = {
      for name, function in {
        saga_initiator = module.saga_initiator, outbox_poller = module.outbox_poller, saga_events = module.saga_events,
        event_ingress  = module.event_ingress, deadline_sweeper = module.deadline_sweeper, dlq_replayer = module.dlq_replayer,
      } : name => join(" ", [for statement in jsondecode(function.policy).Statement : statement.Sid])
      } == {
      saga_initiator   = "Log Transitions Outbox Batches Indexes"
      outbox_poller    = "Log ReadStream ListStreams ReportStreamFailure Outbox Park Publish Alert"
      saga_events      = "Log ReadQueue Transitions Outbox Batches Quarantine Alert"
      event_ingress    = "Log Definitions Publish Quarantine Alert"
      deadline_sweeper = "Log Transitions Outbox Indexes Alert"
      dlq_replayer     = "Log Timelines DeadRows DeadLetterQueues BackToTheirQueues Publish Alert"
    }
    error_message = "Nothing more than each function calls."
  }
}

run "the_webhook_reads_definitions_and_no_saga" {
  command = apply

  assert {
    condition = one([for statement in jsondecode(module.event_ingress.policy).Statement : statement if statement.Sid == "Definitions"]) == {
      Sid      = "Definitions"
      Effect   = "Allow"
      Action   = ["dynamodb:GetItem"]
      Resource = [module.tables.sagas.arn]
      Condition = {
        "ForAllValues:StringLike" = { "dynamodb:LeadingKeys" = ["definition#*"] }
        Null                      = { "dynamodb:LeadingKeys" = ["false"] }
      }
    }
    error_message = "Everybody may call the webhook's URL: what it can read is bound to the definitions' keys."
  }
}

# calls.json is read from the functions' code by infra/iam_calls.py.
run "roles_allow_exactly_the_calls_of_the_code" {
  command = apply

  # Where it reaches Azure as an identity, it makes all its calls.
  variables {
    dead_letters = {
      azure = {
        account          = "sagasteps"
        container        = "deadletters"
        queue            = "saga-events"
        poison_queue     = "saga-events-poison"
        quarantine_queue = "saga-quarantine"
        table            = "SagaSteps"
        federated        = { tenant = "11111111-2222-3333-4444-555555555555", client_id = "66666666-7777-8888-9999-000000000000" }
      }
    }
  }

  assert {
    condition = {
      for name, function in {
        saga-initiator = module.saga_initiator, outbox-poller = module.outbox_poller, saga-events = module.saga_events,
        event-ingress  = module.event_ingress, deadline-sweeper = module.deadline_sweeper, dlq-replayer = module.dlq_replayer,
        } : name => distinct(sort(flatten([
          for statement in jsondecode(function.policy).Statement : statement.Action
          # What a trigger, the log and the key need is not called by the code.
          if !contains(["Log", "ReadQueue", "ReadStream", "ListStreams", "ReportStreamFailure", "Key"], statement.Sid)
      ])))
    } == { for name, calls in jsondecode(file("tests/calls.json")) : name => distinct(calls) if !contains(["event-relay", "service-caller"], name) }
    error_message = "A role allows what its function does not call, or forbids what it calls."
  }
}

run "no_service_by_default" {
  command = apply

  assert {
    condition     = length(module.service_caller) == 0 && module.saga_initiator.environment["SERVICES"] == "{}" && output.replayer_environment["SERVICE_DLQS"] == "{}" && length(output.watched.service_queues) == 0
    error_message = "Nothing is made, and nothing costs, that nobody asked for."
  }
}

run "a_caller_for_each_service_of_aws" {
  command = apply

  variables {
    prefix = "blue-"
    protection = {
      bus_dead_letters = true
      kms_key_arn      = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    }
    services = {
      ledger = { cloud = "aws", url = "https://abcdef1234.execute-api.eu-central-1.amazonaws.com/prod/saga", auth = "sigv4" }
      mail   = { cloud = "aws", lambda = "arn:aws:lambda:eu-central-1:123456789012:function:mail", auth = "lambda", max_concurrency = 1 }
      bank   = { cloud = "azure", url = "https://bank.example.com/saga", auth = "entra" }
    }
  }

  assert {
    condition = output.service_queues == {
      ledger = { queue = "blue-saga-calls-ledger", dead_letter_queue = "blue-saga-calls-ledger-dlq" }
      mail   = { queue = "blue-saga-calls-mail", dead_letter_queue = "blue-saga-calls-mail-dlq" }
    }
    error_message = "Those of Azure are Azure's."
  }

  assert {
    condition     = join(" ", sort(keys(module.service_caller["ledger"].environment))) == "ALERTS_TOPIC_ARN OUTBOX_TABLE PAYMENTS_TABLE QUARANTINE_QUEUE_URL RUST_LOG SAGAS_TABLE SERVICES SERVICE_QUEUE_URL"
    error_message = "What saga-events has, and the service."
  }

  assert {
    condition = alltrue([for function in [module.saga_initiator, module.service_caller["mail"]] : jsondecode(function.environment["SERVICES"]) == {
      ledger = { cloud = "aws", url = "https://abcdef1234.execute-api.eu-central-1.amazonaws.com/prod/saga", auth = "sigv4", max_concurrency = 5 }
      mail   = { cloud = "aws", lambda = "arn:aws:lambda:eu-central-1:123456789012:function:mail", auth = "lambda", max_concurrency = 1 }
      bank   = { cloud = "azure", url = "https://bank.example.com/saga", auth = "entra", max_concurrency = 5 }
    }])
    error_message = "The services of both clouds, as in a services file."
  }

  assert {
    condition = { for name, caller in module.service_caller : name => join(" ", [for statement in jsondecode(caller.policy).Statement : statement.Sid]) } == {
      ledger = "Log ReadQueue Transitions Outbox Batches Quarantine Alert Key PutBack CallApi"
      mail   = "Log ReadQueue Transitions Outbox Batches Quarantine Alert Key PutBack CallFunction"
    }
    error_message = "What saga-events may, and the call to its service."
  }

  assert {
    condition = { for name, pair in jsondecode(output.replayer_environment["SERVICE_DLQS"]) : name => join(" ", sort(keys(pair))) } == { ledger = "dlq_url queue_url", mail = "dlq_url queue_url" } && {
      for statement in jsondecode(module.dlq_replayer.policy).Statement : statement.Sid => length(statement.Resource) if contains(["BackToTheirQueues", "DeadLetterQueues"], statement.Sid)
    } == { BackToTheirQueues = 1 + 2, DeadLetterQueues = 4 + 2 }
    error_message = "Their dead letters are seen and put back."
  }

  assert {
    condition = output.watched.functions["caller-ledger"] == "blue-caller-ledger" && output.watched.dead_letter_queues["service-dlq-mail"] == "blue-saga-calls-mail-dlq" && output.watched.service_queues["mail"] == "blue-saga-calls-mail" && (
      output.watched.rules["service-ledger"] == "blue-saga-calls-ledger" && output.log_groups["service_caller_ledger"] == "/aws/lambda/blue-caller-ledger"
    )
    error_message = "Nobody notices that a caller fails that is not watched."
  }
}

# The call to a service is signed by the code itself, and module service-caller tests what it may be. The code of the caller is not held
# against its role before it is there.
run "a_callers_role_allows_exactly_the_calls_of_the_code" {
  command = apply

  variables {
    services = {
      ledger = { cloud = "aws", url = "https://ledger.example.com/saga", auth = "signature", secret = "prod/ledger" }
      mail   = { cloud = "aws", lambda = "arn:aws:lambda:eu-central-1:123456789012:function:mail", auth = "lambda" }
    }
  }

  assert {
    condition = !contains(keys(jsondecode(file("tests/calls.json"))), "service-caller") || toset(flatten([
      for caller in module.service_caller : [
        for statement in jsondecode(caller.policy).Statement : statement.Action if !contains(["Log", "ReadQueue", "Key"], statement.Sid) && !startswith(statement.Sid, "Call")
      ]
    ])) == toset(try(jsondecode(file("tests/calls.json"))["service-caller"], []))
    error_message = "A role allows what its function does not call, or forbids what it calls."
  }
}

run "ten_services_fit_into_an_environment" {
  command = apply

  variables {
    prefix = "staging-green-01-"
    services = merge(
      { for number in range(10) : "a-service-of-24-symbols${number}" => { cloud = "aws", url = "https://abcdef1234.execute-api.eu-central-1.amazonaws.com/prod/saga", auth = "sigv4" } },
      { for number in range(10) : "b-service-of-24-symbols${number}" => { cloud = "azure", url = "https://bank.internal.example.com/services/saga", auth = "entra", audience = "api://bank" } },
    )
    dead_letters = {
      azure = {
        account          = "staginggreen1a2b3c4ddata"
        container        = "deadletters"
        queue            = "saga-events"
        poison_queue     = "saga-events-poison"
        quarantine_queue = "saga-quarantine"
        table            = "SagaSteps"
        calls            = { queue = "saga-calls", poison_queue = "saga-calls-poison" }
        federated        = { tenant = "11111111-2222-3333-4444-555555555555", client_id = "66666666-7777-8888-9999-000000000000" }
      }
    }
  }

  # A mock's queue has a short name: for each of the two addresses the real one is longer by its name.
  assert {
    condition = sum([for name, value in output.replayer_environment : length(name) + length(value)]) + 10 * (length("staging-green-01-saga-calls-a-service-of-24-symbols0") * 2 + length("-dlq") - 2 * length("mock")) <= 4096 && (
      alltrue([for function in [module.saga_initiator, module.service_caller["a-service-of-24-symbols0"]] : sum([for name, value in function.environment : length(name) + length(value)]) <= 4000])
    )
    error_message = "AWS gives a function's environment 4 KB."
  }
}

run "callers_stay_outside_a_closed_network_unless_their_service_is_inside" {
  command = apply

  variables {
    network = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
    services = {
      ledger = { cloud = "aws", url = "https://ledger.internal/saga", auth = "signature", secret = "prod/ledger", inside = true }
      mail   = { cloud = "aws", lambda = "arn:aws:lambda:eu-central-1:123456789012:function:mail", auth = "lambda" }
    }
  }

  assert {
    condition     = join(" ", output.networks["caller-ledger"]) == "subnet-1" && length(output.networks["caller-mail"]) == 0
    error_message = "A caller works where it reaches its service."
  }
}

run "only_the_webhook_is_open" {
  command = apply

  assert {
    condition = {
      for name, function in {
        saga_initiator = module.saga_initiator, outbox_poller = module.outbox_poller, saga_events = module.saga_events,
        event_ingress  = module.event_ingress, deadline_sweeper = module.deadline_sweeper, dlq_replayer = module.dlq_replayer,
      } : name => function.url_auth if function.url_auth != null
    } == { saga_initiator = "AWS_IAM", event_ingress = "NONE", dlq_replayer = "AWS_IAM" }
    error_message = "Callers of every other URL sign their requests."
  }
}

run "federation_in_place_of_a_secret" {
  command = apply

  variables {
    azure_secret = null
    azure = {
      topic_endpoint = "https://topic.westeurope-1.eventgrid.azure.net/api/events"
      relay          = { tenant_id = "11111111-2222-3333-4444-555555555555", client_id = "66666666-7777-8888-9999-000000000000" }
    }
  }

  assert {
    condition     = output.watched.functions["event-relay"] == "event-relay" && output.watched.dead_letter_queues["relay-dlq"] == "saga-relay-dlq" && output.relay_role_arn != null
    error_message = "The relay is there, and watched."
  }

  assert {
    condition     = output.watched.functions["dlq-replayer"] == "dlq-replayer" && output.log_groups.dlq_replayer == "/aws/lambda/dlq-replayer"
    error_message = "Nobody notices that a function fails that is not watched."
  }

  # Of the whole module: a schedule that is added anywhere in it is missed when it stops.
  assert {
    condition     = output.watched.schedules == { for name in ["deadline-sweeper", "dlq-replayer", "outbox-poller"] : name => "${name}-schedule" } && length(regexall("(?m)^  schedule +=", join("", [for file in fileset(".", "*.tf") : file(file)]))) == length(output.watched.schedules)
    error_message = "Nobody notices that a schedule stops that is not watched."
  }
}

run "options_reach_the_functions" {
  command = apply

  variables {
    prefix              = "blue-"
    architecture        = "x86_64"
    extra_env           = { AWS_ENDPOINT_URL = "http://127.0.0.1:4566" }
    nudge_after_seconds = 5
    api                 = { auth = "NONE" }
    log_retention_days  = 1
    protection = {
      point_in_time_recovery = false
      deletion_protection    = false
      bus_dead_letters       = true
      kms_key_arn            = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    }
  }

  assert {
    condition     = output.names.bus == "blue-enterprise-core-bus" && output.log_groups.saga_initiator == "/aws/lambda/blue-saga-initiator"
    error_message = "The prefix comes before every name."
  }

  assert {
    condition     = module.outbox_poller.environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566" && module.deadline_sweeper.environment["NUDGE_AFTER_SECONDS"] == "5"
    error_message = "Extra variables and the nudge reach the functions."
  }

  assert {
    condition     = endswith(jsonencode([for statement in jsondecode(module.saga_events.policy).Statement : statement.Sid]), "\"Key\"]")
    error_message = "Whoever opens what the key closes may use it."
  }

  assert {
    condition     = output.watched.dead_letter_queues["bus-dlq"] == "blue-saga-bus-dlq"
    error_message = "An encrypted bus has a dead-letter queue, which is watched."
  }
}

run "who_speaks_to_azure_stays_outside_a_closed_network" {
  command = apply

  variables {
    network      = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
    azure_secret = null
    azure = {
      topic_endpoint = "https://topic.westeurope-1.eventgrid.azure.net/api/events"
      relay          = { tenant_id = "11111111-2222-3333-4444-555555555555", client_id = "66666666-7777-8888-9999-000000000000" }
    }
  }

  assert {
    condition     = toset([for name, subnets in output.networks : name if length(subnets) > 0]) == toset(["saga-initiator", "outbox-poller", "saga-events", "deadline-sweeper"])
    error_message = "Without a way to the internet, event-ingress has no keys, and nothing reaches Azure."
  }
}

run "everything_is_inside_a_network_with_a_nat" {
  command = apply

  variables {
    network      = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"], internet = true }
    azure_secret = null
    azure = {
      topic_endpoint = "https://topic.westeurope-1.eventgrid.azure.net/api/events"
      relay          = { tenant_id = "11111111-2222-3333-4444-555555555555", client_id = "66666666-7777-8888-9999-000000000000" }
    }
  }

  assert {
    condition     = length(output.networks) == 7 && alltrue([for subnets in values(output.networks) : join(" ", subnets) == "subnet-1"])
    error_message = "All seven functions."
  }
}

run "refuses_an_ingress_that_checks_nothing" {
  command = plan

  variables {
    ingress = {
      issuers  = ["https://sts.windows.net/11111111-2222-3333-4444-555555555555/"]
      jwks_url = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/discovery/v2.0/keys"
      audience = ""
      tenant   = "11111111-2222-3333-4444-555555555555"
    }
  }

  expect_failures = [var.ingress]
}

run "refuses_keys_over_plain_http" {
  command = plan

  variables {
    ingress = {
      issuers  = ["https://sts.windows.net/11111111-2222-3333-4444-555555555555/"]
      jwks_url = "http://login.example.com/keys"
      audience = "api://saga-ingress"
      tenant   = "11111111-2222-3333-4444-555555555555"
    }
  }

  expect_failures = [var.ingress]
}

run "refuses_no_issuer" {
  command = plan

  variables {
    ingress = {
      issuers  = []
      jwks_url = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/discovery/v2.0/keys"
      audience = "api://saga-ingress"
      tenant   = "11111111-2222-3333-4444-555555555555"
    }
  }

  expect_failures = [var.ingress]
}

run "refuses_a_tenant_by_name" {
  command = plan

  variables {
    ingress = {
      issuers  = ["https://sts.windows.net/11111111-2222-3333-4444-555555555555/"]
      jwks_url = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/discovery/v2.0/keys"
      audience = "api://saga-ingress"
      tenant   = "example.onmicrosoft.com"
    }
  }

  expect_failures = [var.ingress]
}

run "refuses_bad_settings" {
  command = plan

  variables {
    prefix              = "blue!"
    architecture        = "amd64"
    nudge_after_seconds = 0
  }

  expect_failures = [var.prefix, var.architecture, var.nudge_after_seconds]
}

run "dead_letters_of_azure_by_a_federated_identity" {
  command = apply

  variables {
    dead_letters = {
      azure = {
        account          = "sagasteps"
        container        = "deadletters"
        queue            = "saga-events"
        poison_queue     = "saga-events-poison"
        quarantine_queue = "saga-quarantine"
        table            = "SagaSteps"
        calls            = { queue = "saga-calls", poison_queue = "saga-calls-poison" }
        federated        = { tenant = "11111111-2222-3333-4444-555555555555", client_id = "66666666-7777-8888-9999-000000000000" }
      }
    }
  }

  assert {
    condition     = module.dlq_replayer.environment["CALLS_QUEUE"] == "saga-calls" && module.dlq_replayer.environment["CALLS_POISON_QUEUE"] == "saga-calls-poison"
    error_message = "Requests to services there have a poison queue, too."
  }

  assert {
    condition     = module.dlq_replayer.environment["AZURE_BLOB_ENDPOINT"] == "https://sagasteps.blob.core.windows.net" && !contains(keys(module.dlq_replayer.environment), "AZURE_STORAGE_KEY")
    error_message = "Without keys, the endpoints follow from the account."
  }

  assert {
    condition     = one([for statement in jsondecode(module.dlq_replayer.policy).Statement : statement if statement.Sid == "IdentityOnAzure"]).Condition["ForAllValues:StringEquals"] == { "sts:IdentityTokenAudience" = ["api://AzureADTokenExchange"] }
    error_message = "A token is for Entra and nobody else."
  }
}

run "refuses_places_on_azure_without_a_way_in" {
  command = plan

  variables {
    dead_letters = {
      azure = {
        account          = "sagasteps"
        container        = "deadletters"
        queue            = "saga-events"
        poison_queue     = "saga-events-poison"
        quarantine_queue = "saga-quarantine"
        table            = "SagaSteps"
      }
    }
  }

  expect_failures = [var.dead_letters]
}
