mock_provider "aws" {
  source = "../saga-aws/tests/mocks"

  override_resource {
    target = aws_sqs_queue.this
    values = {
      arn = "arn:aws:sqs:eu-central-1:123456789012:saga-calls-ledger"
      id  = "https://sqs.eu-central-1.amazonaws.com/123456789012/saga-calls-ledger"
    }
  }

  override_resource {
    target = aws_sqs_queue.dlq
    values = {
      arn = "arn:aws:sqs:eu-central-1:123456789012:saga-calls-ledger-dlq"
      id  = "https://sqs.eu-central-1.amazonaws.com/123456789012/saga-calls-ledger-dlq"
    }
  }
}

variables {
  name          = "ledger"
  service       = { url = "https://abcdef1234.execute-api.eu-west-1.amazonaws.com/prod/saga", auth = "sigv4", max_concurrency = 5 }
  services_json = "{}"
  zip           = "versions.tf" # any file: its content is only hashed
  bus_name      = "enterprise-core-bus"
  environment   = { SAGAS_TABLE = "Sagas" }
  statements    = [{ sid = "Transitions", actions = ["dynamodb:PutItem"], resources = ["arn:aws:dynamodb:eu-central-1:123456789012:table/Sagas"] }]
}

run "requests_for_this_service_and_no_other_come_into_its_queue" {
  command = apply

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.this.event_pattern) == { detail = { sagatarget = ["aws.ledger"] } } && aws_cloudwatch_event_target.this.arn == aws_sqs_queue.this.arn && aws_cloudwatch_event_target.this.event_bus_name == "enterprise-core-bus"
    error_message = "By the service's name, onto its queue."
  }

  assert {
    condition     = one(aws_cloudwatch_event_target.this.retry_policy).maximum_event_age_in_seconds == 86400 && one(aws_cloudwatch_event_target.this.dead_letter_config).arn == aws_sqs_queue.dlq.arn
    error_message = "The bus tries for a day and then keeps the request."
  }

  assert {
    condition = { for name, policy in aws_sqs_queue_policy.from_rule : name => [for statement in jsondecode(policy.policy).Statement : [statement.Effect, statement.Resource, try(statement.Condition.ArnEquals["aws:SourceArn"], null)]] } == {
      for name, queue in { this = aws_sqs_queue.this, dlq = aws_sqs_queue.dlq } : name => [["Allow", queue.arn, aws_cloudwatch_event_rule.this.arn], ["Deny", queue.arn, null]]
    }
    error_message = "This rule may write, and nobody without TLS."
  }
}

run "a_request_is_hidden_while_it_is_worked_on_and_kept_two_weeks" {
  command = apply

  assert {
    condition     = aws_sqs_queue.this.visibility_timeout_seconds == 540 && aws_sqs_queue.this.message_retention_seconds == 1209600 && aws_sqs_queue.dlq.message_retention_seconds == 1209600
    error_message = "Six times the 90 seconds of an invocation; fourteen days."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_policy.this.redrive_policy) == { deadLetterTargetArn = aws_sqs_queue.dlq.arn, maxReceiveCount = 5 } && output.dead_letter_queue.name == "saga-calls-ledger-dlq"
    error_message = "Five crashes, then the dead-letter queue."
  }
}

run "it_commits_puts_back_and_calls_its_api" {
  command = apply

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : statement.Sid] == ["Log", "ReadQueue", "Transitions", "PutBack", "CallApi"]
    error_message = "Nothing more."
  }

  assert {
    condition     = one([for statement in jsondecode(output.policy).Statement : statement.Resource if statement.Sid == "CallApi"]) == ["arn:aws:execute-api:eu-west-1:123456789012:abcdef1234/*/POST/*"]
    error_message = "POST of this API, in the region that its host names."
  }

  assert {
    condition     = one([for statement in jsondecode(output.policy).Statement : statement.Resource if statement.Sid == "PutBack"]) == [aws_sqs_queue.this.arn]
    error_message = "Its own queue."
  }

  assert {
    condition = output.environment == tomap({
      SAGAS_TABLE = "Sagas", SERVICES = "{}", SERVICE_QUEUE_URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/saga-calls-ledger"
    })
    error_message = "What committing takes, the services, and its own queue."
  }
}

run "a_function_url_is_called_as_a_url" {
  command = apply

  variables {
    service = { url = "https://abc.lambda-url.eu-central-1.on.aws", auth = "sigv4", max_concurrency = 5, resource = "arn:aws:lambda:eu-central-1:123456789012:function:ledger" }
  }

  assert {
    condition = [for statement in jsondecode(output.policy).Statement : [statement.Action, statement.Resource, statement.Condition] if startswith(statement.Sid, "Call")] == [
      [["lambda:InvokeFunctionUrl"], ["arn:aws:lambda:eu-central-1:123456789012:function:ledger"], { StringEquals = { "lambda:FunctionUrlAuthType" = ["AWS_IAM"] } }],
      [["lambda:InvokeFunction"], ["arn:aws:lambda:eu-central-1:123456789012:function:ledger"], { Bool = { "lambda:InvokedViaFunctionUrl" = ["true"] } }],
    ]
    error_message = "Both actions, on this function, and no invocation past its URL."
  }
}

run "an_api_behind_a_domain_of_its_own" {
  command = apply

  variables {
    service = { url = "https://ledger.example.com/saga", auth = "sigv4", max_concurrency = 5, resource = "arn:aws:execute-api:eu-central-1:210987654321:abcdef1234" }
  }

  assert {
    condition     = one([for statement in jsondecode(output.policy).Statement : statement.Resource if statement.Sid == "CallApi"]) == ["arn:aws:execute-api:eu-central-1:210987654321:abcdef1234/*/POST/*"]
    error_message = "The API that was named."
  }
}

run "a_function_that_is_invoked" {
  command = apply

  variables {
    service = { lambda = "arn:aws:lambda:eu-central-1:123456789012:function:ledger:live", auth = "lambda", max_concurrency = 5 }
  }

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : [statement.Action, statement.Resource] if !contains(["Log", "ReadQueue", "Transitions", "PutBack"], statement.Sid)] == [[["lambda:InvokeFunction"], ["arn:aws:lambda:eu-central-1:123456789012:function:ledger:live"]]]
    error_message = "Exactly this alias."
  }
}

run "a_signature_takes_exactly_its_secret" {
  command = apply

  variables {
    service = { url = "https://ledger.example.com/saga", auth = "signature", max_concurrency = 5, secret = "prod/ledger" }
  }

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : [statement.Action, statement.Resource] if !contains(["Log", "ReadQueue", "Transitions", "PutBack"], statement.Sid)] == [[["secretsmanager:GetSecretValue"], ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:prod/ledger-??????"]]]
    error_message = "This secret, with the six characters that Secrets Manager adds."
  }
}

run "a_secret_by_its_arn" {
  command = apply

  variables {
    service = { url = "https://ledger.example.com/saga", auth = "signature", max_concurrency = 5, secret = "arn:aws:secretsmanager:eu-central-1:210987654321:secret:ledger-AbCdEf" }
  }

  assert {
    condition     = one([for statement in jsondecode(output.policy).Statement : statement.Resource if statement.Sid == "Secret"]) == ["arn:aws:secretsmanager:eu-central-1:210987654321:secret:ledger-AbCdEf"]
    error_message = "As it was named."
  }
}

run "on_this_machine_the_role_gives_nothing" {
  command = apply

  variables {
    service  = { url = "http://127.0.0.1:4590/ledger", auth = "signature", max_concurrency = 5, secret = "env:LEDGER" }
    tls_only = false
  }

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : statement.Sid] == ["Log", "ReadQueue", "Transitions", "PutBack"] && alltrue([for policy in aws_sqs_queue_policy.from_rule : length(jsondecode(policy.policy).Statement) == 1])
    error_message = "The secret is in the environment."
  }
}

run "options" {
  command = apply

  variables {
    prefix      = "blue-"
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    network     = { subnet_ids = ["subnet-1"], security_group_ids = ["sg-1"] }
    iam         = { suffix = "-eu-central-1" }
  }

  assert {
    condition     = output.function_name == "blue-caller-ledger" && output.queue.name == "blue-saga-calls-ledger" && output.rule == "blue-saga-calls-ledger" && aws_sqs_queue.this.kms_master_key_id == var.kms_key_arn && aws_sqs_queue.dlq.kms_master_key_id == var.kms_key_arn && output.subnet_ids == tolist(["subnet-1"])
    error_message = "Prefix, key and network are used."
  }
}

run "refuses_bad_names" {
  command = plan

  variables {
    name   = "Ledger"
    prefix = "-"
  }

  expect_failures = [var.name, var.prefix]
}
