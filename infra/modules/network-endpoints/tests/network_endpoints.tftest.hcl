mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_resource "aws_security_group" {
    defaults = { id = "sg-endpoints" }
  }
}

variables {
  prefix                    = "prod-"
  region                    = "eu-central-1"
  vpc_id                    = "vpc-1"
  subnet_ids                = ["subnet-1", "subnet-2"]
  route_table_ids           = ["rtb-1"]
  client_security_group_ids = ["sg-functions"]
}

# calls.json is read from the functions' code by infra/iam_calls.py.
run "every_service_that_is_called_from_inside_has_an_endpoint" {
  command = apply

  assert {
    condition     = toset(output.services) == toset(flatten([for name, calls in jsondecode(file("../saga-aws/tests/calls.json")) : [for call in calls : split(":", call)[0]] if !contains(["event-ingress", "event-relay", "dlq-replayer", "service-caller"], name)]))
    error_message = "A function in a network without a way to what it calls times out."
  }

  assert {
    condition     = aws_vpc_endpoint.dynamodb.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.dynamodb.route_table_ids == toset(["rtb-1"]) && aws_vpc_endpoint.dynamodb.service_name == "com.amazonaws.eu-central-1.dynamodb"
    error_message = "DynamoDB goes through the route tables."
  }

  assert {
    condition     = alltrue([for service, endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled && endpoint.subnet_ids == var.subnet_ids && endpoint.security_group_ids == toset(["sg-endpoints"]) && endpoint.service_name == "com.amazonaws.eu-central-1.${service}"])
    error_message = "Under the services' own names, in each subnet."
  }
}

run "also_for_those_that_sign_in_to_azure" {
  command = apply

  variables {
    services = ["events", "sns", "sqs", "sts"]
  }

  assert {
    condition     = toset(output.services) == toset(flatten([for name, calls in jsondecode(file("../saga-aws/tests/calls.json")) : [for call in calls : split(":", call)[0]] if name != "service-caller"]))
    error_message = "All functions, but for what single services are called with."
  }
}

run "nobody_of_another_account_and_nothing_there" {
  command = apply

  variables {
    services = ["events", "secretsmanager", "sns", "sqs", "sts"]
  }

  assert {
    condition = { for endpoint in concat([aws_vpc_endpoint.dynamodb], values(aws_vpc_endpoint.interface)) : jsondecode(endpoint.policy).Statement[0].Action => [
      jsondecode(endpoint.policy).Statement[0].Resource, jsondecode(endpoint.policy).Statement[0].Condition.StringEquals["aws:PrincipalAccount"], length(jsondecode(endpoint.policy).Statement)
      ] } == {
      "dynamodb:*"       = ["arn:aws:dynamodb:eu-central-1:123456789012:*", "123456789012", 1]
      "events:*"         = ["arn:aws:events:eu-central-1:123456789012:*", "123456789012", 1]
      "secretsmanager:*" = ["arn:aws:secretsmanager:eu-central-1:123456789012:*", "123456789012", 1]
      "sns:*"            = ["arn:aws:sns:eu-central-1:123456789012:*", "123456789012", 1]
      "sqs:*"            = ["arn:aws:sqs:eu-central-1:123456789012:*", "123456789012", 1]
      "sts:*"            = ["*", "123456789012", 1]
    }
    error_message = "Data does not leave through an endpoint with somebody else's credentials, or to somebody else's queue."
  }
}

run "https_from_the_functions_and_nobody_else" {
  command = apply

  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.https : [rule.referenced_security_group_id, rule.from_port, rule.to_port, rule.ip_protocol]] == [["sg-functions", 443, 443, "tcp"]]
    error_message = "One port, one group."
  }
}

run "refuses_bad_settings" {
  command = plan

  variables {
    subnet_ids                = []
    route_table_ids           = []
    client_security_group_ids = []
    services                  = ["s3"]
  }

  expect_failures = [var.subnet_ids, var.route_table_ids, var.client_security_group_ids, var.services]
}
