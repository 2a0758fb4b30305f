mock_provider "aws" {}

variables {
  name    = "blue-enterprise-core-bus"
  bus_arn = "arn:aws:events:eu-central-1:123456789012:event-bus/blue-enterprise-core-bus"
  days    = 7
}

# Its key is an argument that the provider of the checks may not have yet: infra/rules.py looks at it.
run "keeps_every_event_of_the_bus" {
  command = apply

  assert {
    condition     = aws_cloudwatch_event_archive.this.event_source_arn == var.bus_arn && aws_cloudwatch_event_archive.this.retention_days == 7 && aws_cloudwatch_event_archive.this.event_pattern == null
    error_message = "All of them, for as long as asked."
  }
}

run "refuses_bad_settings" {
  command = plan

  variables {
    name = "a b"
    days = 0.5
  }

  expect_failures = [var.name, var.days]
}
