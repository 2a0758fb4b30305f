mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
}

variables {
  region = "eu-central-1"
}

# Only planned: what must not be destroyed could not be cleaned up.
run "rotated_and_used_by_this_account_only" {
  command = plan

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_alias.this.name == "alias/saga-bridge"
    error_message = "A key that is never changed is a key that leaks for ever."
  }

  assert {
    condition     = jsondecode(aws_kms_key.this.policy).Statement[0].Principal.AWS == "arn:aws:iam::123456789012:root"
    error_message = "The account does not lose its key."
  }

  assert {
    condition     = aws_kms_key.this.tags["EventBridgeApiDestinations"] == "true"
    error_message = "EventBridge's service-linked role uses no key without this tag, and a connection could not be made."
  }
}

run "each_service_under_what_it_names_to_kms" {
  command = plan

  variables {
    prefix = "prod-"
  }

  assert {
    condition = { for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Sid => [statement.Principal.Service, try(jsonencode(statement.Condition), "")] if can(statement.Principal.Service) } == {
      Events = ["events.amazonaws.com", ""]
      Bus    = ["events.amazonaws.com", jsonencode({ StringEquals = { "kms:EncryptionContext:aws:events:event-bus:arn" = "arn:aws:events:eu-central-1:123456789012:event-bus/prod-enterprise-core-bus" } })]
      Logs   = ["logs.eu-central-1.amazonaws.com", jsonencode({ ArnLike = { "kms:EncryptionContext:aws:logs:arn" = ["arn:aws:logs:eu-central-1:123456789012:log-group:/aws/lambda/prod-*", "arn:aws:logs:eu-central-1:123456789012:log-group:/aws/apigateway/prod-saga-webhook"] } })]
      Alarms = ["cloudwatch.amazonaws.com", ""]
    }
    error_message = "Rules and alarms name no source to KMS; bus, archive and logs are bound by what they encrypt."
  }

  # What AWS documents for each. https://docs.aws.amazon.com/eventbridge/latest/userguide/encryption-archives.html
  assert {
    condition = { for statement in jsondecode(aws_kms_key.this.policy).Statement : statement.Sid => join(" ", statement.Action) if can(statement.Principal.Service) } == {
      Events = "kms:Decrypt kms:DescribeKey kms:GenerateDataKey"
      Bus    = "kms:Decrypt kms:GenerateDataKey kms:ReEncrypt*"
      Logs   = "kms:Decrypt* kms:Describe* kms:Encrypt* kms:GenerateDataKey* kms:ReEncrypt*"
      Alarms = "kms:Decrypt kms:GenerateDataKey"
    }
    error_message = "Less would refuse a delivery or an apply, more is not needed."
  }
}

run "refuses_bad_settings" {
  command = plan

  variables {
    prefix = "a b"
    region = "Frankfurt"
  }

  expect_failures = [var.prefix, var.region]
}
