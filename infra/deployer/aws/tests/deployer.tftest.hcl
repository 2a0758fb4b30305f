mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/mock" }
  }
}

variables {
  environment = "staging-green-01"
}

run "every_call_of_every_kind_is_allowed_by_exact_name" {
  command = apply

  variables {
    network = true
  }

  assert {
    condition = length(setsubtract(
      flatten([for needed in jsondecode(file("permissions.json")).aws : concat(needed.read, needed.write)]),
      flatten([for policy in aws_iam_policy.this : [for statement in jsondecode(policy.policy).Statement : statement.Action]]),
    )) == 0
    error_message = "A call that is missing stops an apply half-way."
  }

  assert {
    condition     = alltrue(flatten([for policy in aws_iam_policy.this : [for statement in jsondecode(policy.policy).Statement : [for action in statement.Action : can(regex("^[a-z0-9]+:[A-Z][A-Za-z]+$", action))]]]))
    error_message = "No wildcard."
  }

  assert {
    condition     = !strcontains(jsonencode([for policy in aws_iam_policy.this : policy.policy]), "ScheduleKeyDeletion")
    error_message = "Nobody deletes the key by an apply."
  }
}

run "only_what_carries_the_environments_name" {
  command = apply

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_policy.this : [
        for statement in jsondecode(policy.policy).Statement : [
          for resource in statement.Resource : strcontains(resource, "staging-green-01") || can(regex("(:apigateway:|:(key/\\*|event-source-mapping:\\*)$)", resource)) || strcontains(resource, "aws-service-role/apidestinations")
        ] if statement.Resource != ["*"]
      ]
    ]))
    error_message = "Another environment's resources are not within reach, but for keys, mappings and HTTP APIs, whose ids AWS makes."
  }

  assert {
    condition     = toset(flatten([for policy in aws_iam_policy.this : [for statement in jsondecode(policy.policy).Statement : statement.Action if statement.Resource == ["*"]]])) == toset(jsondecode(file("permissions.json")).anywhere)
    error_message = "Whatever is allowed everywhere is listed."
  }
}

run "a_plan_changes_nothing" {
  command = apply

  assert {
    condition     = alltrue([for action in flatten([for statement in jsondecode(aws_iam_policy.this["planner"].policy).Statement : statement.Action]) : can(regex(":(Get|GET|List|Describe|View)", action)) || action == "kms:Decrypt"])
    error_message = "Reads only."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_policy.this["planner"].policy).Statement : statement.Condition.StringLike["kms:EncryptionContext:aws:events:event-bus:arn"] if contains(statement.Action, "kms:Decrypt")] == ["arn:aws:events:eu-central-1:123456789012:event-bus/staging-green-01-*"]
    error_message = "It opens the rules of an encrypted bus, whose patterns and targets a plan compares, and nothing else that a key closes."
  }
}

run "a_plan_holds_the_states_lock_and_writes_no_state" {
  command = apply

  variables {
    state_bucket = "states"
  }

  assert {
    condition = toset(flatten([for statement in jsondecode(aws_iam_policy.this["planner"].policy).Statement : [for action in statement.Action : [for resource in statement.Resource : "${action} ${resource}"]] if startswith(statement.Action[0], "s3:")])) == toset([
      "s3:ListBucket arn:aws:s3:::states", "s3:ListBucket arn:aws:s3:::states/staging-green-01/*",
      "s3:GetObject arn:aws:s3:::states", "s3:GetObject arn:aws:s3:::states/staging-green-01/*",
      "s3:PutObject arn:aws:s3:::states/staging-green-01/*.tflock", "s3:DeleteObject arn:aws:s3:::states/staging-green-01/*.tflock",
    ])
    error_message = "It reads the state and holds its lock, of its own environment."
  }
}

run "a_deployer_cannot_change_itself" {
  command = apply

  assert {
    condition     = alltrue([for policy in aws_iam_policy.this : startswith(policy.name, "SagaBridge-")])
    error_message = "Its names are out of the reach of what it may change."
  }
}

run "roles_are_handed_to_the_services_that_run_as_them" {
  command = apply

  assert {
    condition     = [for statement in jsondecode(aws_iam_policy.this["deployer"].policy).Statement : statement.Condition.StringEquals["iam:PassedToService"] if contains(statement.Action, "iam:PassRole")] == [["lambda.amazonaws.com", "events.amazonaws.com", "scheduler.amazonaws.com"]]
    error_message = "A role is handed to nobody else."
  }
}

run "the_network_of_others_is_left_alone" {
  command = apply

  variables {
    network = true
  }

  assert {
    condition = alltrue([
      for statement in jsondecode(aws_iam_policy.this["deployer-network"].policy).Statement : can(statement.Condition)
      if length(setintersection(statement.Action, ["ec2:DeleteVpcEndpoints", "ec2:DeleteSecurityGroup", "ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress", "ec2:CreateTags"])) > 0
    ])
    error_message = "Without the environment's tags, every security group of the account could be opened."
  }

  assert {
    condition = alltrue(flatten([
      for statement in jsondecode(aws_iam_policy.this["deployer-network"].policy).Statement : [
        for key, value in try(statement.Condition.StringEquals, {}) : value == "staging-green-01" if endswith(key, "/environment")
      ]
    ]))
    error_message = "This environment's."
  }
}

run "no_calls_on_networks_unless_asked" {
  command = apply

  assert {
    condition     = alltrue([for action in flatten([for policy in aws_iam_policy.this : [for statement in jsondecode(policy.policy).Statement : statement.Action]]) : !startswith(action, "ec2:") || startswith(action, "ec2:Describe")])
    error_message = "Who makes no endpoints may make none."
  }
}

run "no_role_without_the_boundary" {
  command = apply

  variables {
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition     = toset([for statement in jsondecode(aws_iam_policy.this["deployer-other"].policy).Statement : join(" ", statement.Action) if statement.Effect == "Deny"]) == toset(["iam:CreateRole iam:PutRolePermissionsBoundary iam:PutRolePolicy", "iam:DeleteRolePermissionsBoundary"])
    error_message = "Who makes roles could else make one that may do everything."
  }
}

run "github_plans_and_applies_from_environments_of_its_own" {
  command = apply

  variables {
    github = { repository = "example/sagas", oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
  }

  assert {
    condition = { for name, role in aws_iam_role.github : name => jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["token.actions.githubusercontent.com:sub"] } == {
      deployer = ["repo:example/sagas:environment:staging-green-01"]
      planner  = ["repo:example/sagas:environment:staging-green-01-plan"]
    }
    error_message = "A pull request must not apply."
  }

  assert {
    condition     = alltrue([for attachment in aws_iam_role_policy_attachment.github : !strcontains(attachment.role, "planner") || attachment.policy_arn == aws_iam_policy.this["planner"].arn])
    error_message = "The planner has its own policy only."
  }
}

run "refuses_a_wildcard_repository" {
  command = plan

  variables {
    github = { repository = "*/*", oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com" }
  }

  expect_failures = [var.github]
}
