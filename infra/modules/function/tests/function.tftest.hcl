mock_provider "aws" {
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/sweeper" }
  }

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/sweeper" }
  }

  mock_resource "aws_lambda_function" {
    defaults = { arn = "arn:aws:lambda:eu-central-1:123456789012:function:sweeper" }
  }

  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-central-1:123456789012:rule/sweeper-schedule" }
  }
}

variables {
  name = "sweeper"
  zip  = "versions.tf" # any file: its content is only hashed
}

run "defaults" {
  command = apply

  assert {
    condition = alltrue([
      aws_lambda_function.this.runtime == "provided.al2023",
      aws_lambda_function.this.architectures == tolist(["arm64"]),
      aws_lambda_function.this.memory_size == 128,
      aws_lambda_function.this.timeout == 10,
    ])
    error_message = "A small arm64 function with its own bootstrap."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.name == "/aws/lambda/sweeper" && aws_cloudwatch_log_group.this.retention_in_days == 30
    error_message = "The log is ours and does not grow for ever."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid] == ["Log"]
    error_message = "Nothing given, nothing granted but the log."
  }

  assert {
    condition = (length(aws_lambda_function_url.this) + length(aws_lambda_event_source_mapping.queue) +
    length(aws_lambda_event_source_mapping.stream) + length(aws_cloudwatch_event_rule.schedule)) == 0
    error_message = "Nothing wakes it unless asked."
  }
}

run "settings" {
  command = apply

  variables {
    architecture         = "x86_64"
    memory_mb            = 256
    timeout_seconds      = 55
    environment          = { RUST_LOG = "info" }
    reserved_concurrency = 3
    log_retention_days   = 7
    kms_key_arn          = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
    statements = [{
      sid       = "Alert"
      actions   = ["sns:Publish"]
      resources = ["arn:aws:sns:eu-central-1:123456789012:saga-alerts"]
    }]
  }

  assert {
    condition = alltrue([
      aws_lambda_function.this.architectures == tolist(["x86_64"]),
      aws_lambda_function.this.memory_size == 256,
      aws_lambda_function.this.timeout == 55,
      aws_lambda_function.this.environment[0].variables["RUST_LOG"] == "info",
      aws_lambda_function.this.reserved_concurrent_executions == 3,
      aws_cloudwatch_log_group.this.retention_in_days == 7,
      aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn,
    ])
    error_message = "Every setting reaches the function."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.this.policy).Statement[1].Action == ["sns:Publish"]
    error_message = "What the code calls is granted."
  }
}

run "the_role_is_named_and_bounded" {
  command = apply

  variables {
    iam = { path = "/platform/", permissions_boundary = "arn:aws:iam::123456789012:policy/boundary", suffix = "-eu-central-1" }
  }

  assert {
    condition     = aws_iam_role.this.name == "${var.name}-eu-central-1" && aws_iam_role.this.path == "/platform/" && aws_iam_role.this.permissions_boundary == "arn:aws:iam::123456789012:policy/boundary"
    error_message = "Path, boundary and suffix are used."
  }
}

run "outside_of_any_network" {
  command = apply

  assert {
    condition     = length(aws_lambda_function.this.vpc_config) == 0 && length(aws_iam_role_policy.network) == 0 && length(output.subnet_ids) == 0
    error_message = "No network, and no permission for one, unless asked."
  }
}

run "inside_a_network" {
  command = apply

  variables {
    network = { subnet_ids = ["subnet-1", "subnet-2"], security_group_ids = ["sg-1"] }
  }

  assert {
    condition     = aws_lambda_function.this.vpc_config[0].subnet_ids == toset(["subnet-1", "subnet-2"]) && aws_lambda_function.this.vpc_config[0].security_group_ids == toset(["sg-1"])
    error_message = "It works where it was told to."
  }

  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
  assert {
    condition     = jsondecode(aws_iam_role_policy.network[0].policy).Statement[0].Action == ["ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses"]
    error_message = "With less, Lambda refuses to make the function."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.network[0].policy).Statement[1] == {
      Sid       = "NotTheCode"
      Effect    = "Deny"
      Action    = jsondecode(aws_iam_role_policy.network[0].policy).Statement[0].Action
      Resource  = ["*"]
      Condition = { ArnEquals = { "lambda:SourceFunctionArn" = "arn:aws:lambda:eu-central-1:123456789012:function:sweeper" } }
    }
    error_message = "Lambda makes interfaces, the code does not."
  }
}

run "refuses_a_network_without_subnets" {
  command = plan

  variables {
    network = { subnet_ids = [], security_group_ids = ["sg-1"] }
  }

  expect_failures = [var.network]
}

run "refuses_a_bad_path" {
  command = plan

  variables {
    iam = { path = "platform", permissions_boundary = "boundary" }
  }

  expect_failures = [var.iam]
}

run "every_resource_only_under_conditions" {
  command = apply

  variables {
    statements = [{
      sid       = "Token"
      actions   = ["sts:GetWebIdentityToken"]
      resources = ["*"]
      conditions = [
        { test = "StringEquals", variable = "sts:SigningAlgorithm", values = ["RS256"] },
        { test = "NumericLessThanEquals", variable = "sts:DurationSeconds", values = ["300"] },
      ]
    }]
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.this.policy).Statement[1].Condition == {
      StringEquals          = { "sts:SigningAlgorithm" = ["RS256"] }
      NumericLessThanEquals = { "sts:DurationSeconds" = ["300"] }
    }
    error_message = "Conditions reach the policy."
  }
}

run "a_signed_url" {
  command = apply

  variables {
    url = {}
  }

  assert {
    condition     = aws_lambda_function_url.this[0].authorization_type == "AWS_IAM"
    error_message = "A URL is closed unless opened."
  }
}

run "an_open_url" {
  command = apply

  variables {
    url = { auth = "NONE" }
  }

  assert {
    condition     = aws_lambda_function_url.this[0].authorization_type == "NONE" && length(aws_lambda_permission.schedule) == 0
    error_message = "Open through the URL only; nobody may invoke the function past it."
  }
}

run "a_queue" {
  command = apply

  variables {
    queue_trigger = { arn = "arn:aws:sqs:eu-central-1:123456789012:saga-events", maximum_concurrency = 20 }
  }

  assert {
    condition     = aws_lambda_event_source_mapping.queue[0].batch_size == 10 && aws_lambda_event_source_mapping.queue[0].function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "One bad message must not fail its batch."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.queue[0].scaling_config[0].maximum_concurrency == 20
    error_message = "The limit is used."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid] == ["Log", "ReadQueue"]
    error_message = "The trigger brings its permission."
  }
}

run "a_stream" {
  command = apply

  variables {
    stream_trigger = {
      arn               = "arn:aws:dynamodb:eu-central-1:123456789012:table/SagaOutbox/stream/2026-01-01T00:00:00.000"
      failure_queue_arn = "arn:aws:sqs:eu-central-1:123456789012:saga-outbox-failures"
    }
  }

  assert {
    condition = alltrue([
      aws_lambda_event_source_mapping.stream[0].batch_size == 100,
      aws_lambda_event_source_mapping.stream[0].maximum_batching_window_in_seconds == 0,
      aws_lambda_event_source_mapping.stream[0].bisect_batch_on_function_error,
      aws_lambda_event_source_mapping.stream[0].maximum_record_age_in_seconds == 300,
      aws_lambda_event_source_mapping.stream[0].maximum_retry_attempts == 5,
      aws_lambda_event_source_mapping.stream[0].parallelization_factor == 2,
    ])
    error_message = "A failing batch is split, and given up before it blocks its shard for long."
  }

  assert {
    condition     = jsondecode(one(aws_lambda_event_source_mapping.stream[0].filter_criteria[0].filter).pattern) == { eventName = ["INSERT"] }
    error_message = "Deletes of published rows must not invoke the function."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.stream[0].destination_config[0].on_failure[0].destination_arn == var.stream_trigger.failure_queue_arn
    error_message = "A batch that was given up is reported."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.this.policy).Statement : statement.Sid] == ["Log", "ReadStream", "ListStreams", "ReportStreamFailure"]
    error_message = "The trigger brings its permissions."
  }
}

run "a_clock" {
  command = apply

  variables {
    schedule = "rate(1 minute)"
  }

  assert {
    condition     = aws_cloudwatch_event_rule.schedule[0].schedule_expression == "rate(1 minute)" && aws_lambda_permission.schedule[0].source_arn == aws_cloudwatch_event_rule.schedule[0].arn
    error_message = "The rule, and only it, may invoke the function."
  }

  assert {
    condition     = aws_cloudwatch_event_target.schedule[0].retry_policy[0].maximum_retry_attempts == 0 && aws_lambda_function_event_invoke_config.schedule[0].maximum_retry_attempts == 0
    error_message = "The next tick replaces a lost one."
  }
}

run "refuses_a_missing_package" {
  command = plan

  variables {
    zip = "nowhere/bootstrap.zip"
  }

  expect_failures = [aws_lambda_function.this]
}

run "refuses_bad_settings" {
  command = plan

  variables {
    name                 = "a name"
    description          = join("", [for _ in range(257) : "x"])
    architecture         = "amd64"
    memory_mb            = 64
    timeout_seconds      = 901
    environment          = { "9LIVES" = "no" }
    log_retention_days   = 2
    reserved_concurrency = -1
    schedule             = "rate(2 minute)"
  }

  expect_failures = [
    var.name, var.description, var.architecture, var.memory_mb, var.timeout_seconds, var.environment,
    var.log_retention_days, var.reserved_concurrency, var.schedule,
  ]
}

run "refuses_wildcard_actions" {
  command = plan

  variables {
    statements = [{ sid = "All", actions = ["dynamodb:*"], resources = ["arn:aws:dynamodb:eu-central-1:123456789012:table/Sagas"] }]
  }

  expect_failures = [var.statements]
}

run "refuses_every_resource" {
  command = plan

  variables {
    statements = [{ sid = "All", actions = ["sns:Publish"], resources = ["*"] }]
  }

  expect_failures = [var.statements]
}

run "refuses_a_sid_with_spaces" {
  command = plan

  variables {
    statements = [{ sid = "to all", actions = ["sns:Publish"], resources = ["arn:aws:sns:eu-central-1:123456789012:saga-alerts"] }]
  }

  expect_failures = [var.statements]
}

run "refuses_an_unknown_auth" {
  command = plan

  variables {
    url = { auth = "BASIC" }
  }

  expect_failures = [var.url]
}

run "refuses_triggers_aws_would_refuse" {
  command = plan

  variables {
    queue_trigger = { arn = "arn:aws:sqs:eu-central-1:123456789012:saga-events", batch_size = 11 }
    stream_trigger = {
      arn                 = "arn:aws:dynamodb:eu-central-1:123456789012:table/SagaOutbox/stream/2026-01-01T00:00:00.000"
      failure_queue_arn   = "arn:aws:sqs:eu-central-1:123456789012:saga-outbox-failures"
      maximum_age_seconds = 59
    }
  }

  expect_failures = [var.queue_trigger, var.stream_trigger]
}

run "refuses_unlimited_retries" {
  command = plan

  variables {
    queue_trigger = { arn = "arn:aws:sqs:eu-central-1:123456789012:saga-events", maximum_concurrency = 1 }
    stream_trigger = {
      arn               = "arn:aws:dynamodb:eu-central-1:123456789012:table/SagaOutbox/stream/2026-01-01T00:00:00.000"
      failure_queue_arn = "arn:aws:sqs:eu-central-1:123456789012:saga-outbox-failures"
      maximum_retries   = -1
    }
  }

  expect_failures = [var.queue_trigger, var.stream_trigger]
}

run "refuses_stream_sizes_out_of_range" {
  command = plan

  variables {
    stream_trigger = {
      arn               = "arn:aws:dynamodb:eu-central-1:123456789012:table/SagaOutbox/stream/2026-01-01T00:00:00.000"
      failure_queue_arn = "arn:aws:sqs:eu-central-1:123456789012:saga-outbox-failures"
      batch_size        = 1001
      parallelization   = 11
    }
  }

  expect_failures = [var.stream_trigger]
}
