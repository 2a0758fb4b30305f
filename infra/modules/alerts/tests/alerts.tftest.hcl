mock_provider "aws" {
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:123456789012:saga-alerts" }
  }
}

run "defaults" {
  command = plan

  assert {
    condition     = aws_sns_topic.this.name == "saga-alerts" && aws_sns_topic.this.kms_master_key_id == null
    error_message = "The plain name, and no key nobody asked for."
  }
}

run "who_may_publish" {
  command = apply

  variables {
    prefix = "blue-"
  }

  assert {
    condition = { for statement in jsondecode(aws_sns_topic_policy.this.policy).Statement : statement.Sid => statement.Condition } == {
      Account        = { StringEquals = { "aws:SourceOwner" = "123456789012" } }
      ConnectionRule = { ArnEquals = { "aws:SourceArn" = "arn:aws:events:eu-central-1:123456789012:rule/blue-saga-connection" } }
      TlsOnly        = { Bool = { "aws:SecureTransport" = "false" } }
    }
    error_message = "This account, and the one rule."
  }
}

run "options" {
  command = plan

  variables {
    prefix      = "blue-"
    kms_key_arn = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = aws_sns_topic.this.name == "blue-saga-alerts" && aws_sns_topic.this.kms_master_key_id == var.kms_key_arn
    error_message = "Prefix and key are used."
  }
}

run "refuses_a_key_alias" {
  command = plan

  variables {
    kms_key_arn = "alias/aws/sns"
  }

  expect_failures = [var.kms_key_arn]
}

run "refuses_a_bad_prefix" {
  command = plan

  variables {
    prefix = "-"
  }

  expect_failures = [var.prefix]
}
