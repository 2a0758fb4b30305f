mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

# Only planned: what must not be destroyed could not be cleaned up.
run "rotated_and_used_by_this_account_only" {
  command = plan

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_alias.this.name == "alias/saga-bridge"
    error_message = "A key that is never changed is a key that leaks for ever."
  }

  assert {
    condition     = { for statement in jsondecode(aws_kms_key.this.policy).Statement : try(statement.Principal.Service, "account") => can(statement.Condition) } == { account = false, "events.amazonaws.com" = false, "cloudwatch.amazonaws.com" = false }
    error_message = "EventBridge and CloudWatch have a statement each, without a condition on the source account, which they do not name to KMS."
  }

  assert {
    condition     = jsondecode(aws_kms_key.this.policy).Statement[0].Principal.AWS == "arn:aws:iam::123456789012:root"
    error_message = "The account does not lose its key."
  }
}

run "refuses_a_bad_prefix" {
  command = plan

  variables {
    prefix = "a b"
  }

  expect_failures = [var.prefix]
}
