mock_provider "aws" {}

variables {
  function_name = "saga-initiator"
  callers       = ["arn:aws:iam::210987654321:role/shop", "arn:aws:iam::310987654321:root"]
}

run "both_actions_for_each_caller" {
  command = plan

  assert {
    condition = toset([for permission in merge(aws_lambda_permission.url, { for name, one in aws_lambda_permission.invoke : "invoke ${name}" => one }) : "${permission.principal} ${permission.action}"]) == toset(flatten([
      for caller in var.callers : ["${caller} lambda:InvokeFunctionUrl", "${caller} lambda:InvokeFunction"]
    ]))
    error_message = "A caller of another account needs both permissions."
  }

  assert {
    condition     = alltrue([for permission in aws_lambda_permission.url : permission.function_url_auth_type == "AWS_IAM"])
    error_message = "Signed requests only."
  }
}

run "refuses_everybody" {
  command = plan

  variables {
    callers = ["*"]
  }

  expect_failures = [var.callers]
}

run "refuses_a_wildcard_in_an_arn" {
  command = plan

  variables {
    callers = ["arn:aws:iam::210987654321:role/*"]
  }

  expect_failures = [var.callers]
}
