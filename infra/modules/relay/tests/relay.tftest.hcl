mock_provider "aws" {
  source = "../saga-aws/tests/mocks"

  override_resource {
    target = aws_sqs_queue.dlq
    values = { arn = "arn:aws:sqs:eu-central-1:123456789012:saga-relay-dlq" }
  }
}

variables {
  zip            = "versions.tf" # any file: its content is only hashed
  topic_endpoint = "https://topic.westeurope-1.eventgrid.azure.net/api/events"
  tenant_id      = "11111111-2222-3333-4444-555555555555"
  client_id      = "66666666-7777-8888-9999-000000000000"
}

run "a_token_for_entra_and_nothing_else" {
  command = apply

  assert {
    condition     = [for statement in jsondecode(module.function.policy).Statement : statement.Sid] == ["Log", "ReadQueue", "Token"]
    error_message = "Nothing more than the relay calls."
  }

  assert {
    condition     = jsondecode(module.function.policy).Statement[2].Action == jsondecode(file("../saga-aws/tests/calls.json"))["event-relay"]
    error_message = "The calls that the code makes."
  }

  assert {
    condition     = jsondecode(module.function.policy).Statement[2].Condition["ForAllValues:StringEquals"] == { "sts:IdentityTokenAudience" = ["api://AzureADTokenExchange"] }
    error_message = "The token is good for Entra's exchange only."
  }

  assert {
    condition     = join(" ", sort(keys(module.function.environment))) == "AZURE_CLIENT_ID AZURE_TENANT_ID EVENTGRID_TOPIC_ENDPOINT"
    error_message = "Names and addresses, no secret."
  }
}

run "a_day_of_retries_then_its_own_dead_letter_queue" {
  command = apply

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_policy.this.redrive_policy).deadLetterTargetArn == aws_sqs_queue.dlq.arn && jsondecode(aws_sqs_queue_redrive_policy.this.redrive_policy).maxReceiveCount * aws_sqs_queue.this.visibility_timeout_seconds == 86400
    error_message = "As long as EventBridge would try."
  }

  assert {
    condition     = aws_sqs_queue.dlq.message_retention_seconds == 1209600 && aws_sqs_queue.dlq.name == "saga-relay-dlq"
    error_message = "What an operator reads is kept 14 days."
  }
}

run "options" {
  command = apply

  variables {
    prefix      = "blue-"
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    environment = { RUST_LOG = "debug" }
  }

  assert {
    condition     = output.function_name == "blue-event-relay" && aws_sqs_queue.this.kms_master_key_id == var.kms_key_arn && module.function.environment["RUST_LOG"] == "debug"
    error_message = "Prefix, key and environment are used."
  }
}

run "refuses_bad_settings" {
  command = plan

  variables {
    prefix         = "-"
    topic_endpoint = "http://topic.example.com/api/events"
    tenant_id      = "example.onmicrosoft.com"
    client_id      = "me"
  }

  expect_failures = [var.prefix, var.topic_endpoint, var.tenant_id, var.client_id]
}
