# What an identity needs to apply stacks/aws for one environment, and to plan it, and no more. permissions.json says for each
# kind of resource which calls its provider makes; infra/deployer.py compares it with the kinds that the stack holds, and
# infra/whole.py with the calls that the provider really made. Applied once, by an administrator of the account.

provider "aws" {
  region = var.region

  default_tags {
    tags = { application = "saga-bridge" }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  permissions = jsondecode(templatefile("${path.module}/permissions.json", {
    account = local.account, environment = var.environment, partition = local.partition, path = var.iam_path, prefix = "${var.environment}-", region = var.region
  }))

  # service → access → actions on the resources that carry the environment's name.
  scoped = {
    for access in ["read", "write"] : access => {
      for service in keys(local.permissions.services) : service => sort(distinct([
        for action in flatten([for needed in local.permissions.aws : needed[access]]) : action
        if split(":", action)[0] == service && !contains(concat(local.permissions.anywhere, local.permissions.apart, access == "read" ? local.opens_rules.Action : []), action)
      ]))
    }
  }

  # The rules of an encrypted bus are read with its key (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-encryption-event-bus-cmkey.html).
  # Who only plans decrypts nothing else.
  opens_rules = {
    Effect    = "Allow"
    Action    = ["kms:Decrypt"]
    Resource  = local.permissions.services.kms
    Condition = { StringLike = { "kms:EncryptionContext:aws:events:event-bus:arn" = "arn:${local.partition}:events:${var.region}:${local.account}:event-bus/${var.environment}-*" } }
  }

  # Calls that know no resource, or whose resource has an id of AWS' own.
  anywhere = {
    for access in ["read", "write"] : access => sort(distinct([
      for action in flatten([for needed in local.permissions.aws : needed[access]]) : action if contains(local.permissions.anywhere, action)
    ]))
  }

  statements = {
    for access in ["read", "write"] : access => merge(
      { for service, actions in local.scoped[access] : service => { Effect = "Allow", Action = actions, Resource = local.permissions.services[service] } if length(actions) > 0 },
      { anywhere = { Effect = "Allow", Action = local.anywhere[access], Resource = ["*"] } },
    )
  }

  # A managed policy has 6,144 characters at most: what runs sagas, and what is around it.
  runs = ["dynamodb", "events", "iam", "lambda", "sns", "sqs"]

  # A role is handed only to the services that run as it, and made only inside the boundary where there is one.
  apart = [
    {
      Effect    = "Allow"
      Action    = ["iam:PassRole"]
      Resource  = local.permissions.services.iam
      Condition = { StringEquals = { "iam:PassedToService" = ["lambda.amazonaws.com", "events.amazonaws.com", "scheduler.amazonaws.com"] } }
    },
    {
      Effect    = "Allow"
      Action    = ["iam:CreateServiceLinkedRole"]
      Resource  = ["arn:${local.partition}:iam::${local.account}:role/aws-service-role/apidestinations.events.amazonaws.com/*"]
      Condition = { StringEquals = { "iam:AWSServiceName" = "apidestinations.events.amazonaws.com" } }
    },
  ]

  # Endpoints and their security group have ids of AWS' own: they are told by the tags that the stack gives to everything.
  # What they are made in is the team's, and is not changed by it.
  ec2      = "arn:${local.partition}:ec2:${var.region}:${local.account}"
  ours     = { application = "saga-bridge", environment = var.environment }
  tagged   = { StringEquals = { for name, value in local.ours : "aws:ResourceTag/${name}" => value } }
  requests = { StringEquals = { for name, value in local.ours : "aws:RequestTag/${name}" => value } }

  network = [
    { Effect = "Allow", Action = ["ec2:CreateSecurityGroup", "ec2:CreateVpcEndpoint"], Resource = ["${local.ec2}:security-group/*", "${local.ec2}:vpc-endpoint/*"], Condition = local.requests },
    { Effect = "Allow", Action = ["ec2:CreateSecurityGroup"], Resource = ["${local.ec2}:vpc/*"] },
    # The security group of an endpoint is one of its own.
    { Effect = "Allow", Action = ["ec2:CreateVpcEndpoint", "ec2:ModifyVpcEndpoint"], Resource = ["${local.ec2}:route-table/*", "${local.ec2}:subnet/*", "${local.ec2}:vpc/*"] },
    { Effect = "Allow", Action = ["ec2:CreateVpcEndpoint"], Resource = ["${local.ec2}:security-group/*"], Condition = local.tagged },
    { Effect = "Allow", Action = ["ec2:AuthorizeSecurityGroupIngress"], Resource = ["${local.ec2}:security-group-rule/*"], Condition = local.requests },
    {
      Effect = "Allow"
      Action = [
        "ec2:AuthorizeSecurityGroupIngress", "ec2:CreateTags", "ec2:DeleteSecurityGroup", "ec2:DeleteTags", "ec2:DeleteVpcEndpoints",
        "ec2:ModifySecurityGroupRules", "ec2:ModifyVpcEndpoint", "ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress",
      ]
      Resource  = local.permissions.services.ec2
      Condition = local.tagged
    },
    {
      Effect    = "Allow"
      Action    = ["ec2:CreateTags"]
      Resource  = local.permissions.services.ec2
      Condition = { StringEquals = merge(local.requests.StringEquals, { "ec2:CreateAction" = ["AuthorizeSecurityGroupIngress", "CreateSecurityGroup", "CreateVpcEndpoint"] }) }
    },
    # For the private names of an endpoint; the zone is the service's.
    { Effect = "Allow", Action = ["route53:AssociateVPCWithHostedZone"], Resource = local.permissions.services.route53 },
  ]

  boundary = var.permissions_boundary == null ? [] : [{
    Effect    = "Deny"
    Action    = ["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
    Resource  = ["*"]
    Condition = { StringNotEquals = { "iam:PermissionsBoundary" = var.permissions_boundary } }
    }, {
    Effect    = "Deny"
    Action    = ["iam:DeleteRolePermissionsBoundary"]
    Resource  = ["*"]
    Condition = {}
  }]

  state = {
    read = var.state_bucket == null ? [] : [
      { Effect = "Allow", Action = ["s3:ListBucket", "s3:GetObject"], Resource = ["arn:${local.partition}:s3:::${var.state_bucket}", "arn:${local.partition}:s3:::${var.state_bucket}/${var.environment}/*"] },
      # A plan holds the state's lock while it runs.
      { Effect = "Allow", Action = ["s3:PutObject", "s3:DeleteObject"], Resource = ["arn:${local.partition}:s3:::${var.state_bucket}/${var.environment}/*.tflock"] },
    ]
    write = var.state_bucket == null ? [] : [{ Effect = "Allow", Action = ["s3:PutObject", "s3:DeleteObject"], Resource = ["arn:${local.partition}:s3:::${var.state_bucket}/${var.environment}/*"] }]
  }

  documents = merge(var.network ? { deployer-network = local.network } : {}, {
    planner        = concat(values(local.statements.read), [local.opens_rules], local.state.read)
    deployer       = concat([for service, statement in local.statements.write : statement if contains(local.runs, service)], local.apart)
    deployer-other = concat([for service, statement in local.statements.write : statement if !contains(local.runs, service)], [for one in local.boundary : { for key, value in one : key => value if key != "Condition" || length(value) > 0 }], local.state.write)
  })
}

# A deployer has all of them.
resource "aws_iam_policy" "this" {
  #checkov:skip=CKV_AWS_290:Calls that know no resource stand under "anywhere" of permissions.json, one by one.
  #checkov:skip=CKV_AWS_355:See CKV_AWS_290.
  #checkov:skip=CKV_AWS_286:A deployer makes roles; who must not give more than a boundary allows sets permissions_boundary.
  #checkov:skip=CKV_AWS_289:See CKV_AWS_286.
  #checkov:skip=CKV_AWS_287:EventBridge keeps the connection's secret, and the call that makes it is made as the caller.
  for_each = local.documents

  # Capital letters: no environment's resources are called so, and a deployer cannot change itself.
  name        = "SagaBridge-${each.key}-${var.environment}-${var.region}"
  path        = var.iam_path
  description = each.key == "planner" ? "Plans saga-bridge's AWS stack" : "Applies and destroys saga-bridge's AWS stack, together with the others"
  policy      = jsonencode({ Version = "2012-10-17", Statement = each.value })

  lifecycle {
    precondition {
      condition     = length(jsonencode({ Version = "2012-10-17", Statement = each.value })) <= 6144
      error_message = "A managed policy has 6,144 characters at most; shorten iam_path, or attach the statements as two."
    }
  }
}

# --- who -----------------------------------------------------------------------------------------------------

locals {
  # Whom GitHub's tokens are for: a job in the environment applies, one in <environment>-plan only plans.
  subjects = var.github == null ? {} : {
    deployer = ["repo:${var.github.repository}:environment:${var.environment}"]
    planner  = ["repo:${var.github.repository}:environment:${var.environment}-plan"]
  }
}

resource "aws_iam_role" "github" {
  for_each = local.subjects

  name                 = "SagaBridge-${each.key}-${var.environment}-${var.region}"
  path                 = var.iam_path
  max_session_duration = 3600

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = var.github.oidc_provider_arn }
      Condition = {
        StringEquals = {
          "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
          "token.actions.githubusercontent.com:sub" = each.value
        }
      }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "github" {
  for_each = var.github == null ? {} : merge({ planner = ["planner", "planner"], deployer-reads = ["deployer", "planner"] }, { for document in keys(local.documents) : document => ["deployer", document] if document != "planner" })

  role       = aws_iam_role.github[each.value[0]].name
  policy_arn = aws_iam_policy.this[each.value[1]].arn
}
