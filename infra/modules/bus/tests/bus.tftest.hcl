mock_provider "aws" {
  mock_resource "aws_cloudwatch_event_bus" {
    defaults = { arn = "arn:aws:events:eu-central-1:123456789012:event-bus/enterprise-core-bus" }
  }

  mock_resource "aws_cloudwatch_event_connection" {
    defaults = { arn = "arn:aws:events:eu-central-1:123456789012:connection/saga-to-azure/1" }
  }

  mock_resource "aws_cloudwatch_event_api_destination" {
    defaults = { arn = "arn:aws:events:eu-central-1:123456789012:api-destination/saga-to-azure/1" }
  }

  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:123456789012:blue-saga-bus-dlq", id = "https://sqs.eu-central-1.amazonaws.com/123456789012/blue-saga-bus-dlq" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/saga-bus-to-azure" }
  }

  # Told apart, so that a queue policy that names the wrong rule is seen.
  override_resource {
    target = aws_cloudwatch_event_rule.to_azure
    values = { arn = "arn:aws:events:eu-central-1:123456789012:rule/enterprise-core-bus/saga-to-azure" }
  }

  override_resource {
    target = aws_cloudwatch_event_rule.to_aws
    values = { arn = "arn:aws:events:eu-central-1:123456789012:rule/enterprise-core-bus/saga-to-aws" }
  }
}

variables {
  azure = {
    topic_endpoint = "https://topic.westeurope-1.eventgrid.azure.net/api/events"
    oauth = {
      token_endpoint = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token"
      client_id      = "66666666-7777-8888-9999-000000000000"
    }
    dead_letter_queue = {
      arn = "arn:aws:sqs:eu-central-1:123456789012:saga-destination-dlq"
      url = "https://sqs.eu-central-1.amazonaws.com/123456789012/saga-destination-dlq"
    }
  }
  azure_secret = "not-a-secret"
  aws = {
    queue = {
      arn = "arn:aws:sqs:eu-central-1:123456789012:saga-events"
      url = "https://sqs.eu-central-1.amazonaws.com/123456789012/saga-events"
    }
    dead_letter_queue = {
      arn = "arn:aws:sqs:eu-central-1:123456789012:saga-events-dlq"
      url = "https://sqs.eu-central-1.amazonaws.com/123456789012/saga-events-dlq"
    }
  }
}

run "the_role_is_named_and_bounded" {
  command = apply

  variables {
    iam = { path = "/platform/", permissions_boundary = "arn:aws:iam::123456789012:policy/boundary", suffix = "-eu-central-1" }
  }

  assert {
    condition     = aws_iam_role.to_azure[0].name == "saga-bus-to-azure-eu-central-1" && aws_iam_role.to_azure[0].path == "/platform/" && aws_iam_role.to_azure[0].permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "Path, boundary and suffix are used."
  }
}

run "sends_the_bare_cloud_event" {
  command = apply

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.to_azure.event_pattern) == { detail = { sagatarget = ["azure"] } }
    error_message = "Only events for Azure go to Azure."
  }

  assert {
    condition     = aws_cloudwatch_event_target.to_azure.input_path == "$.detail"
    error_message = "Event Grid refuses EventBridge's envelope."
  }

  assert {
    condition     = aws_cloudwatch_event_target.to_azure.http_target[0].header_parameters["Content-Type"] == "application/cloudevents+json"
    error_message = "Event Grid takes a CloudEvent only under its own content type."
  }

  assert {
    condition     = aws_cloudwatch_event_target.to_azure.http_target[0].query_string_parameters["api-version"] == "2018-01-01"
    error_message = "Event Grid's publish call has a version."
  }

  assert {
    condition     = aws_cloudwatch_event_api_destination.azure[0].invocation_rate_limit_per_second == 300
    error_message = "The highest rate is the default: a low one lets the backlog outlive the retries."
  }
}

run "signs_in_with_client_credentials" {
  command = apply

  assert {
    condition     = aws_cloudwatch_event_connection.azure[0].authorization_type == "OAUTH_CLIENT_CREDENTIALS"
    error_message = "With oauth the connection fetches tokens."
  }

  assert {
    condition = {
      for parameter in aws_cloudwatch_event_connection.azure[0].auth_parameters[0].oauth[0].oauth_http_parameters[0].body : parameter.key => parameter.value
    } == { grant_type = "client_credentials", scope = "https://eventgrid.azure.net/.default" }
    error_message = "Entra wants the grant type and the scope of Event Grid."
  }
}

run "every_target_retries_a_day_and_has_a_dead_letter_queue" {
  command = apply

  assert {
    condition = alltrue([
      for target in [aws_cloudwatch_event_target.to_azure, aws_cloudwatch_event_target.to_aws] :
      target.retry_policy[0].maximum_event_age_in_seconds == 86400 && target.retry_policy[0].maximum_retry_attempts == 185
    ])
    error_message = "24 hours, 185 attempts."
  }

  assert {
    condition     = aws_cloudwatch_event_target.to_azure.dead_letter_config[0].arn == var.azure.dead_letter_queue.arn
    error_message = "What Azure did not take is kept."
  }

  assert {
    condition     = aws_cloudwatch_event_target.to_aws.dead_letter_config[0].arn == var.aws.dead_letter_queue.arn
    error_message = "What the queue did not take is kept."
  }
}

run "queues_take_events_from_their_rule_only" {
  command = apply

  assert {
    condition = {
      for name, policy in aws_sqs_queue_policy.from_rule :
      name => basename(jsondecode(policy.policy).Statement[0].Condition.ArnEquals["aws:SourceArn"])
    } == { events = "saga-to-aws", events_dlq = "saga-to-aws", destination_dlq = "saga-to-azure" }
    error_message = "One rule for each queue."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.to_aws.event_pattern) == { detail = { sagatarget = ["aws"] } }
    error_message = "Only events for AWS go to the events queue."
  }
}

run "the_topic_key_instead_of_oauth" {
  command = apply

  variables {
    azure = {
      topic_endpoint    = "https://topic.westeurope-1.eventgrid.azure.net/api/events"
      rate_limit        = 50
      dead_letter_queue = { arn = "arn:aws:sqs:eu-central-1:123456789012:dlq", url = "https://sqs.eu-central-1.amazonaws.com/123456789012/dlq" }
    }
  }

  assert {
    condition     = aws_cloudwatch_event_connection.azure[0].authorization_type == "API_KEY" && aws_cloudwatch_event_connection.azure[0].auth_parameters[0].api_key[0].key == "aeg-sas-key"
    error_message = "Without oauth the topic's key travels in Event Grid's own header."
  }

  assert {
    condition     = aws_cloudwatch_event_api_destination.azure[0].invocation_rate_limit_per_second == 50
    error_message = "The rate limit is used."
  }
}

run "a_relay_in_place_of_the_api_destination" {
  command = apply

  variables {
    azure_secret = null
    azure = {
      topic_endpoint    = "https://topic.westeurope-1.eventgrid.azure.net/api/events"
      dead_letter_queue = { arn = "arn:aws:sqs:eu-central-1:123456789012:saga-destination-dlq", url = "https://sqs.eu-central-1.amazonaws.com/123456789012/saga-destination-dlq" }
      relay_queue       = { arn = "arn:aws:sqs:eu-central-1:123456789012:saga-relay", url = "https://sqs.eu-central-1.amazonaws.com/123456789012/saga-relay" }
    }
  }

  assert {
    condition     = length(aws_cloudwatch_event_connection.azure) + length(aws_cloudwatch_event_api_destination.azure) + length(aws_iam_role.to_azure) == 0
    error_message = "No connection, so no secret in Secrets Manager."
  }

  assert {
    condition     = aws_cloudwatch_event_target.to_azure.arn == var.azure.relay_queue.arn && aws_cloudwatch_event_target.to_azure.input_path == null && length(aws_cloudwatch_event_target.to_azure.http_target) == 0
    error_message = "The relay gets the same events, in the envelope that every queue gets."
  }

  assert {
    condition     = aws_cloudwatch_event_target.to_azure.retry_policy[0].maximum_event_age_in_seconds == 86400 && aws_cloudwatch_event_target.to_azure.dead_letter_config[0].arn == var.azure.dead_letter_queue.arn
    error_message = "Same guarantees: a day of retries, then the dead-letter queue."
  }

  assert {
    condition     = basename(jsondecode(aws_sqs_queue_policy.from_rule["relay"].policy).Statement[0].Condition.ArnEquals["aws:SourceArn"]) == "saga-to-azure"
    error_message = "The rule, and only it, may write to the relay's queue."
  }
}

run "refuses_no_secret_without_a_relay" {
  command = plan

  variables {
    azure_secret = null
  }

  expect_failures = [aws_cloudwatch_event_connection.azure]
}

run "the_deployments_key_encrypts_what_the_bus_holds" {
  command = apply

  variables {
    prefix       = "blue-"
    dead_letters = true
    kms_key_arn  = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = aws_cloudwatch_event_bus.this.kms_key_identifier == var.kms_key_arn && aws_cloudwatch_event_connection.azure[0].kms_key_identifier == var.kms_key_arn && aws_cloudwatch_event_bus.this.name == "blue-enterprise-core-bus"
    error_message = "Bus, rules and the connection's secret."
  }

  assert {
    condition     = aws_cloudwatch_event_bus.this.dead_letter_config[0].arn == aws_sqs_queue.bus_dlq[0].arn && aws_sqs_queue.bus_dlq[0].kms_master_key_id == null && aws_sqs_queue.bus_dlq[0].sqs_managed_sse_enabled && output.dead_letter_queue == "blue-saga-bus-dlq"
    error_message = "What cannot be encrypted or decrypted is kept where that key is not needed."
  }

  assert {
    condition = [for statement in jsondecode(aws_sqs_queue_policy.bus_dlq[0].policy).Statement : statement.Condition] == [
      { ArnLike = { "aws:SourceArn" = ["arn:aws:events:eu-central-1:123456789012:event-bus/enterprise-core-bus", "arn:aws:events:eu-central-1:123456789012:rule/enterprise-core-bus/*"] } },
      { Bool = { "aws:SecureTransport" = "false" } },
    ]
    error_message = "This bus writes there, over TLS, and nobody else."
  }
}

run "refuses_a_key_without_a_place_for_what_it_does_not_open" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  expect_failures = [aws_cloudwatch_event_bus.this]
}

run "a_key_of_aws_unless_asked" {
  command = plan

  assert {
    condition     = aws_cloudwatch_event_bus.this.kms_key_identifier == null && length(aws_sqs_queue.bus_dlq) == 0 && aws_cloudwatch_event_bus.this.name == "enterprise-core-bus"
    error_message = "The bus has its plain name, and no queue that nothing can come into."
  }
}

run "refuses_plain_http_off_loopback" {
  command = plan

  variables {
    azure = {
      topic_endpoint    = "http://topic.example.com/api/events"
      dead_letter_queue = { arn = "arn:aws:sqs:eu-central-1:123456789012:dlq", url = "https://sqs.eu-central-1.amazonaws.com/123456789012/dlq" }
    }
  }

  expect_failures = [var.azure]
}

run "refuses_a_query_in_the_endpoint" {
  command = plan

  variables {
    azure = {
      topic_endpoint    = "https://topic.example.com/api/events?api-version=2018-01-01"
      dead_letter_queue = { arn = "arn:aws:sqs:eu-central-1:123456789012:dlq", url = "https://sqs.eu-central-1.amazonaws.com/123456789012/dlq" }
    }
  }

  expect_failures = [var.azure]
}

run "refuses_a_token_endpoint_over_plain_http" {
  command = plan

  variables {
    azure = {
      topic_endpoint    = "https://topic.example.com/api/events"
      oauth             = { token_endpoint = "http://login.example.com/token", client_id = "x" }
      dead_letter_queue = { arn = "arn:aws:sqs:eu-central-1:123456789012:dlq", url = "https://sqs.eu-central-1.amazonaws.com/123456789012/dlq" }
    }
  }

  expect_failures = [var.azure]
}

run "refuses_a_rate_eventbridge_cannot_do" {
  command = plan

  variables {
    azure = {
      topic_endpoint    = "https://topic.example.com/api/events"
      rate_limit        = 301
      dead_letter_queue = { arn = "arn:aws:sqs:eu-central-1:123456789012:dlq", url = "https://sqs.eu-central-1.amazonaws.com/123456789012/dlq" }
    }
  }

  expect_failures = [var.azure]
}

run "refuses_an_empty_secret" {
  command = plan

  variables {
    azure_secret = ""
  }

  expect_failures = [var.azure_secret]
}

run "refuses_a_bad_prefix" {
  command = plan

  variables {
    prefix = "blue "
  }

  expect_failures = [var.prefix]
}
