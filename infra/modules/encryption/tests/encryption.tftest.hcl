mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

run "rotated_and_used_by_this_account_only" {
  command = apply

  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_alias.this.name == "alias/saga-bridge"
    error_message = "A key that is never changed is a key that leaks for ever."
  }

  assert {
    condition     = jsondecode(aws_kms_key.this.policy).Statement[1].Condition == { StringEquals = { "aws:SourceAccount" = "123456789012" } } && jsondecode(aws_kms_key.this.policy).Statement[1].Principal.Service == ["events.amazonaws.com", "cloudwatch.amazonaws.com"]
    error_message = "Services use the key for this account only."
  }
}

run "refuses_a_bad_prefix" {
  command = plan

  variables {
    prefix = "a b"
  }

  expect_failures = [var.prefix]
}
