# One function: its code, its role with exactly the permissions given, its log, and what wakes it. What a
# trigger needs (reading a queue or a stream) is granted here, so a caller lists only what the code calls.

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:stacks/aws gives a key of its own; the stack for an emulator has none.
  #checkov:skip=CKV_AWS_338:How long logs are kept is a variable; the sagas themselves are kept in their table.
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "this" {
  name                 = "${var.name}${var.iam.suffix}"
  path                 = var.iam.path
  permissions_boundary = var.iam.permissions_boundary

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "lambda.amazonaws.com" }
    }]
  })
}

locals {
  log_statements = [{
    sid       = "Log"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.this.arn}:*"]
  }]

  queue_statements = var.queue_trigger == null ? [] : [{
    sid       = "ReadQueue"
    actions   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    resources = [var.queue_trigger.arn]
  }]

  # ListStreams knows no resource; the other three are bound to the stream.
  stream_statements = var.stream_trigger == null ? [] : [
    {
      sid       = "ReadStream"
      actions   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
      resources = [var.stream_trigger.arn]
    },
    {
      sid       = "ListStreams"
      actions   = ["dynamodb:ListStreams"]
      resources = ["*"]
    },
    {
      sid       = "ReportStreamFailure"
      actions   = ["sqs:SendMessage"]
      resources = [var.stream_trigger.failure_queue_arn]
    },
  ]
}

resource "aws_iam_role_policy" "this" {
  #checkov:skip=CKV_AWS_290:The one statement without a resource is dynamodb:ListStreams, which knows none.
  #checkov:skip=CKV_AWS_355:See CKV_AWS_290.
  name = "calls"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      for statement in concat(local.log_statements, local.queue_statements, local.stream_statements, var.statements) : merge(
        {
          Sid      = statement.sid
          Effect   = "Allow"
          Action   = statement.actions
          Resource = statement.resources
        },
        length(try(statement.conditions, [])) == 0 ? {} : {
          Condition = {
            for test in distinct([for condition in statement.conditions : condition.test]) : test => {
              for condition in statement.conditions : condition.variable => condition.values if condition.test == test
            }
          }
        },
      )
    ]
  })
}

# What Lambda does with the role to put the function into a network
# (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html). The code itself is refused it.
resource "aws_iam_role_policy" "network" {
  #checkov:skip=CKV_AWS_290:Lambda makes and deletes interfaces whose ids nobody knows; AWS documents the resource as "*".
  #checkov:skip=CKV_AWS_355:See CKV_AWS_290.
  count = var.network == null ? 0 : 1

  name = "network"
  role = aws_iam_role.this.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "Interfaces"
        Effect   = "Allow"
        Action   = local.interface_calls
        Resource = ["*"]
      },
      {
        Sid       = "NotTheCode"
        Effect    = "Deny"
        Action    = local.interface_calls
        Resource  = ["*"]
        Condition = { ArnEquals = { "lambda:SourceFunctionArn" = local.function_arn } }
      },
    ]
  })
}

locals {
  interface_calls = [
    "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
  ]

  # Known before the function is, which waits for this policy: partition, region and account are its log group's.
  function_arn = replace(aws_cloudwatch_log_group.this.arn, "/^arn:([^:]+):logs:([^:]+):([^:]+):.*$/", "arn:$1:lambda:$2:$3:function:${var.name}")
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_50:The trace id travels in the events and stands in every log line, on both clouds; X-Ray would see one of them.
  #checkov:skip=CKV_AWS_115:Reserved where it protects somebody (variable `reserved_concurrency`); reserving takes from the account's other functions.
  #checkov:skip=CKV_AWS_116:Where a lost invocation would lose something, the trigger has a queue for it: events queue and stream. A schedule's next tick does the work of a lost one.
  #checkov:skip=CKV_AWS_117:Inside a network where the deployment has one (variable `network`); by default it talks to public endpoints of AWS, as a role.
  #checkov:skip=CKV_AWS_173:The environment holds names and addresses, no secrets.
  #checkov:skip=CKV_AWS_272:The package comes from who applies, with its hash in the plan.
  function_name = var.name
  description   = var.description
  role          = aws_iam_role.this.arn

  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  filename         = var.zip
  source_code_hash = try(filebase64sha256(var.zip), null)

  memory_size                    = var.memory_mb
  timeout                        = var.timeout_seconds
  reserved_concurrent_executions = var.reserved_concurrency

  environment {
    variables = var.environment
  }

  dynamic "vpc_config" {
    for_each = var.network[*]

    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = vpc_config.value.security_group_ids
    }
  }

  logging_config {
    log_format = "Text" # the function writes JSON lines itself; Lambda must not wrap them again
    log_group  = aws_cloudwatch_log_group.this.name
  }

  lifecycle {
    precondition {
      condition     = fileexists(var.zip)
      error_message = "There is no package ${var.zip}. Build it first (`make up` does for the local stack), or correct the path."
    }
  }

  # Without its permissions a trigger would be refused, and the first invocation would fail.
  depends_on = [aws_iam_role_policy.this, aws_iam_role_policy.network]
}

# --- called over HTTPS ---------------------------------------------------------------------------------

# With auth NONE the provider itself adds the two public statements a URL needs: InvokeFunctionUrl, and
# since 6.29 InvokeFunction bound to calls that came through the URL. An unbound InvokeFunction is not
# added here, because it would also let any AWS account invoke the function with an event of its making.
resource "aws_lambda_function_url" "this" {
  #checkov:skip=CKV_AWS_258:Closed unless the code authenticates its callers; which URL is open is tested where the functions are put together (module saga-aws).
  count = var.url == null ? 0 : 1

  function_name      = aws_lambda_function.this.function_name
  authorization_type = var.url.auth
}

# --- woken by a queue ----------------------------------------------------------------------------------

resource "aws_lambda_event_source_mapping" "queue" {
  count = var.queue_trigger == null ? 0 : 1

  function_name           = aws_lambda_function.this.arn
  event_source_arn        = var.queue_trigger.arn
  batch_size              = var.queue_trigger.batch_size
  function_response_types = ["ReportBatchItemFailures"]

  dynamic "scaling_config" {
    for_each = var.queue_trigger.maximum_concurrency == null ? [] : [var.queue_trigger.maximum_concurrency]

    content {
      maximum_concurrency = scaling_config.value
    }
  }
}

# --- woken by a table's stream -------------------------------------------------------------------------

# LATEST: a mapping made anew must not publish a day of events again. What it misses while it is being
# made, the schedule finds in the table. For the same reason it gives up soon: a failing batch blocks
# its shard.
resource "aws_lambda_event_source_mapping" "stream" {
  count = var.stream_trigger == null ? 0 : 1

  function_name                      = aws_lambda_function.this.arn
  event_source_arn                   = var.stream_trigger.arn
  starting_position                  = "LATEST"
  batch_size                         = var.stream_trigger.batch_size
  maximum_batching_window_in_seconds = 0
  parallelization_factor             = var.stream_trigger.parallelization
  bisect_batch_on_function_error     = true
  maximum_record_age_in_seconds      = var.stream_trigger.maximum_age_seconds
  maximum_retry_attempts             = var.stream_trigger.maximum_retries

  filter_criteria {
    filter {
      pattern = var.stream_trigger.pattern
    }
  }

  destination_config {
    on_failure {
      destination_arn = var.stream_trigger.failure_queue_arn
    }
  }
}

# --- woken by the clock --------------------------------------------------------------------------------

resource "aws_cloudwatch_event_rule" "schedule" {
  count = var.schedule == null ? 0 : 1

  name                = "${var.name}-schedule"
  description         = "Wakes ${var.name}"
  schedule_expression = var.schedule
}

resource "aws_cloudwatch_event_target" "schedule" {
  count = var.schedule == null ? 0 : 1

  rule      = aws_cloudwatch_event_rule.schedule[0].name
  target_id = "function"
  arn       = aws_lambda_function.this.arn

  # The next tick does the work of a lost one; retries would only pile up behind an outage.
  retry_policy {
    maximum_event_age_in_seconds = 60
    maximum_retry_attempts       = 0
  }
}

resource "aws_lambda_permission" "schedule" {
  count = var.schedule == null ? 0 : 1

  statement_id  = "Schedule"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.schedule[0].arn
}

resource "aws_lambda_function_event_invoke_config" "schedule" {
  count = var.schedule == null ? 0 : 1

  function_name                = aws_lambda_function.this.function_name
  maximum_event_age_in_seconds = 60
  maximum_retry_attempts       = 0
}
