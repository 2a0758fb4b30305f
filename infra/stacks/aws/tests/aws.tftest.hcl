# The packages are the empty ones of the module's tests: a mocked provider uploads nothing.

mock_provider "aws" {
  source = "../../modules/saga-aws/tests/mocks"

  mock_resource "aws_lambda_function_url" {
    defaults = { function_url = "https://abc.lambda-url.eu-central-1.on.aws/" }
  }

  mock_resource "aws_apigatewayv2_api" {
    defaults = { api_endpoint = "https://abc.execute-api.eu-central-1.amazonaws.com", execution_arn = "arn:aws:execute-api:eu-central-1:123456789012:abc" }
  }

  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555" }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_ssm_parameter" {
    defaults = {
      insecure_value = "{\"environment\":\"prod\",\"transport\":\"api-destination\",\"topic_endpoint\":\"https://stored.westeurope-1.eventgrid.azure.net/api/events\",\"tenant_id\":\"11111111-2222-3333-4444-555555555555\",\"audience\":\"66666666-7777-8888-9999-000000000000\",\"client_id\":\"66666666-7777-8888-9999-000000000000\"}"
      value          = "not-a-secret"
    }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
}

variables {
  packages_dir = "../../modules/saga-aws/tests/packages" # arm64 in it is a link to itself
  environment  = "prod"

  # What is protected against deletion could not be cleaned up, so it is only planned (run "data_is_protected").
  customer_managed_key = false
  deletion_protection  = false
  # A mocked connection is nowhere to be looked at; connection.sh has a test of its own.
  check_connection = false

  azure = {
    environment    = "prod"
    transport      = "federation-relay"
    topic_endpoint = "https://mock.westeurope-1.eventgrid.azure.net/api/events"
    tenant_id      = "11111111-2222-3333-4444-555555555555"
    audience       = "66666666-7777-8888-9999-000000000000"
    client_id      = "66666666-7777-8888-9999-000000000000"
  }
}

run "defaults" {
  command = apply

  assert {
    condition     = output.ingress_url == "https://abc.lambda-url.eu-central-1.on.aws/" && output.names.bus == "prod-enterprise-core-bus"
    error_message = "What the Azure stack and tools need."
  }

  assert {
    condition     = output.relay_role_arn != null && length(terraform_data.connection) == 0 && module.saga.connection == null
    error_message = "Without a secret between the clouds, unless told otherwise."
  }

  assert {
    condition     = length(module.saga.reserved) == 0
    error_message = "A new account may have ten concurrent invocations: nothing is reserved unless told."
  }

  assert {
    condition     = jsondecode(aws_ssm_parameter.aws.value).environment == "prod" && jsondecode(aws_ssm_parameter.aws.value).ingress_url == output.ingress_url && aws_ssm_parameter.aws.name == "/saga-bridge/prod/aws"
    error_message = "The Azure stack finds this side under the environment's name."
  }
}

run "data_is_protected" {
  command = plan

  variables {
    customer_managed_key = true
    deletion_protection  = true
  }

  assert {
    condition     = length(module.encryption) == 1 && terraform_data.keeps_data[0].triggers_replace == ["prod-LocalPayments", "prod-Sagas", "prod-SagaOutbox"]
    error_message = "A key of its own, and a plan that would rename a table is refused."
  }

  # The key's policy knows the bus and the logs by their names only.
  assert {
    condition = { for statement in jsondecode(module.encryption[0].policy).Statement : statement.Sid => statement.Condition if can(statement.Condition) } == {
      Bus  = { StringEquals = { "kms:EncryptionContext:aws:events:event-bus:arn" = "arn:aws:events:eu-central-1:123456789012:event-bus/${output.names.bus}" } }
      Logs = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = ["arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/prod-*", "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/apigateway/prod-saga-webhook"] } }
    } && alltrue([for name in values(module.saga.log_groups) : startswith(name, "/aws/lambda/prod-")])
    error_message = "A bus or a log group by another name could not be encrypted: the apply would fail."
  }

  assert {
    condition     = module.saga.watched.dead_letter_queues["bus-dlq"] == "prod-saga-bus-dlq" && length(module.archive) == 1
    error_message = "What the bus cannot encrypt or decrypt is kept, and people are told."
  }
}

run "reserved_when_asked" {
  command = plan

  variables {
    ingress_concurrency = 50
  }

  assert {
    condition     = module.saga.reserved == { event-ingress = 50 }
    error_message = "The webhook's share, and nobody else's."
  }
}

run "what_azure_left_is_read" {
  command = apply

  variables {
    azure = null
  }

  assert {
    condition     = data.aws_ssm_parameter.azure[0].name == "/saga-bridge/prod/azure" && data.aws_ssm_parameter.azure_secret[0].name == "/saga-bridge/prod/azure-secret"
    error_message = "Of this environment and no other."
  }

  assert {
    condition     = module.saga.connection == "prod-saga-to-azure"
    error_message = "The transport is the one that Azure was told."
  }
}

run "refuses_what_another_environment_handed_over" {
  command = plan

  variables {
    environment = "staging"
  }

  expect_failures = [terraform_data.handover]
}

run "dead_letters_of_azure_when_it_trusts_the_replayer" {
  command = apply

  variables {
    azure = {
      environment    = "prod"
      transport      = "federation-relay"
      topic_endpoint = "https://mock.westeurope-1.eventgrid.azure.net/api/events"
      tenant_id      = "11111111-2222-3333-4444-555555555555"
      audience       = "66666666-7777-8888-9999-000000000000"
      client_id      = "66666666-7777-8888-9999-000000000000"

      dead_letters = {
        client_id        = "66666666-7777-8888-9999-00000000000d"
        account          = "sagaproddata"
        container        = "deadletters"
        queue            = "saga-events"
        poison_queue     = "saga-events-poison"
        quarantine_queue = "saga-quarantine"
        table            = "SagaSteps"
        calls            = { queue = "saga-calls", poison_queue = "saga-calls-poison" }
      }
    }
  }

  assert {
    condition = { for name, value in module.saga.replayer_environment : name => value if can(regex("^AZURE_|^CALLS_|^DEAD_LETTER_CONTAINER$|^SAGA_TABLE$", name)) } == {
      AZURE_BLOB_ENDPOINT    = "https://sagaproddata.blob.core.windows.net"
      AZURE_CLIENT_ID        = "66666666-7777-8888-9999-00000000000d"
      AZURE_QUARANTINE_QUEUE = "saga-quarantine"
      AZURE_QUEUE_ENDPOINT   = "https://sagaproddata.queue.core.windows.net"
      AZURE_STORAGE_ACCOUNT  = "sagaproddata"
      AZURE_TABLE_ENDPOINT   = "https://sagaproddata.table.core.windows.net"
      AZURE_TENANT_ID        = "11111111-2222-3333-4444-555555555555"
      CALLS_POISON_QUEUE     = "saga-calls-poison"
      CALLS_QUEUE            = "saga-calls"
      DEAD_LETTER_CONTAINER  = "deadletters"
      SAGA_TABLE             = "SagaSteps"
    }
    error_message = "The places, and the replayer's own application: no key."
  }

  assert {
    condition     = output.replayer_role_arn != null && output.dead_letters_url == "https://abc.lambda-url.eu-central-1.on.aws/"
    error_message = "Whom Entra is to trust, and where people look."
  }
}

run "dead_letters_of_aws_only_unless_azure_trusts_the_replayer" {
  command = apply

  assert {
    condition     = length([for name in keys(module.saga.replayer_environment) : name if startswith(name, "AZURE_")]) == 0
    error_message = "Without places on Azure it does not look for any."
  }
}

run "the_topic_key_in_place_of_oauth" {
  command = apply

  variables {
    azure_secret = "not-a-secret"

    azure = {
      environment    = "prod"
      transport      = "api-destination"
      topic_endpoint = "https://mock.westeurope-1.eventgrid.azure.net/api/events"
      tenant_id      = "11111111-2222-3333-4444-555555555555"
      audience       = "66666666-7777-8888-9999-000000000000"
    }
  }

  assert {
    condition     = output.relay_role_arn == null && module.saga.connection != null
    error_message = "EventBridge sends, and its connection is looked at."
  }
}

run "the_connection_is_looked_at" {
  command = plan

  variables {
    azure            = null
    check_connection = true
  }

  assert {
    condition     = length(terraform_data.connection) == 1
    error_message = "The provider does not see that Entra refused."
  }
}

run "an_authorizer_in_front_of_the_webhook" {
  command = apply

  variables {
    webhook_gateway = true
  }

  assert {
    condition     = output.ingress_url == "https://abc.execute-api.eu-central-1.amazonaws.com/" && module.saga.ingress_url == null && output.for_azure.ingress_url == output.ingress_url
    error_message = "The open URL is gone, and Azure is told the other one."
  }
}

run "a_network_of_ones_own" {
  command = apply

  variables {
    network = {
      subnet_ids         = ["subnet-1", "subnet-2"]
      security_group_ids = ["sg-functions"]
      endpoints          = { vpc_id = "vpc-1", route_table_ids = ["rtb-1"] }
    }
  }

  assert {
    condition     = join(" ", module.saga.networks["saga-events"]) == "subnet-1 subnet-2" && length(module.saga.networks["event-ingress"]) == 0 && length(module.saga.networks["event-relay"]) == 0
    error_message = "What speaks to Azure stays outside a network without a way there."
  }

  assert {
    condition     = toset(module.network_endpoints[0].services) == toset(["dynamodb", "events", "sns", "sqs"])
    error_message = "What the functions inside call."
  }
}

run "services_have_callers_that_are_watched" {
  command = apply

  variables {
    services = {
      ledger = { cloud = "aws", url = "https://ledger.example.com/saga", auth = "signature", secret = "prod/ledger" }
      bank   = { cloud = "azure", url = "https://bank.example.com/saga", auth = "entra", audience = "api://bank" }
    }
  }

  assert {
    condition     = module.saga.service_queues == { ledger = { queue = "prod-saga-calls-ledger", dead_letter_queue = "prod-saga-calls-ledger-dlq" } } && keys(output.service_caller_roles) == ["ledger"]
    error_message = "One for each service of AWS."
  }

  assert {
    condition     = length(setsubtract(["service-dlq-ledger", "service-queue-age-ledger", "errors-caller-ledger", "throttles-caller-ledger", "rule-failing-service-ledger"], keys(module.operations.alarms))) == 0
    error_message = "Alarms reach people."
  }
}

run "a_service_in_a_network_without_a_way_out" {
  command = apply

  variables {
    services = { ledger = { cloud = "aws", url = "https://ledger.internal/saga", auth = "signature", secret = "prod/ledger", inside = true } }
    network = {
      subnet_ids         = ["subnet-1"]
      security_group_ids = ["sg-functions"]
      endpoints          = { vpc_id = "vpc-1", route_table_ids = ["rtb-1"] }
    }
  }

  assert {
    condition     = join(" ", module.saga.networks["caller-ledger"]) == "subnet-1" && contains(module.network_endpoints[0].services, "secretsmanager")
    error_message = "Its caller reaches it, and the secret."
  }
}

run "a_network_with_a_nat_and_endpoints_that_are_there" {
  command = apply

  variables {
    network = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-functions"], internet = true }
  }

  assert {
    condition     = alltrue([for subnets in values(module.saga.networks) : join(" ", subnets) == "subnet-1"]) && length(module.network_endpoints) == 0
    error_message = "All functions are inside, and nothing is made in the network."
  }
}

run "names_of_before" {
  command = plan

  variables {
    prefix = ""
  }

  assert {
    condition     = output.names.sagas_table == "Sagas" && output.names.bus == "enterprise-core-bus"
    error_message = "A deployment that has data under the names of before keeps them."
  }
}

run "callers_of_other_accounts" {
  command = plan

  variables {
    api_callers         = ["arn:aws:iam::210987654321:role/shop"]
    dead_letter_callers = ["arn:aws:iam::210987654321:role/on-call"]
  }

  assert {
    condition     = module.api_callers.callers == toset(["arn:aws:iam::210987654321:role/shop"]) && module.dead_letter_callers.callers == toset(["arn:aws:iam::210987654321:role/on-call"])
    error_message = "Each may call what it was named for."
  }
}

run "people_are_alerted" {
  command = plan

  variables {
    alert_email_addresses = ["on-call@example.com"]
  }

  assert {
    condition     = aws_sns_topic_subscription.mail["on-call@example.com"].protocol == "email"
    error_message = "Mail goes to who is named."
  }
}

run "refuses_bad_settings" {
  command = plan

  variables {
    environment = "Prod_1"
  }

  expect_failures = [var.environment]
}

run "refuses_a_long_environment" {
  command = plan

  variables {
    environment = "a-seventeen-chars"
  }

  expect_failures = [var.environment]
}
