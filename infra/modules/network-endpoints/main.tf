# Ways from a network to the services of AWS that functions in it call, past the internet: an interface endpoint each, and a
# gateway endpoint for DynamoDB. With private names, so the functions need no setting; whatever else is in the network and
# calls these services goes the same way, which is why a policy is bound to the account and not to the functions.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id

  # Nothing of sts that is called here has a resource.
  policies = {
    for service in setunion(var.services, ["dynamodb"]) : service => jsonencode({
      Version = "2012-10-17"
      Statement = [{
        Sid       = "Account"
        Effect    = "Allow"
        Action    = "${service}:*"
        Resource  = service == "sts" ? "*" : "arn:${data.aws_partition.current.partition}:${service}:${var.region}:${local.account}:*"
        Principal = "*"
        Condition = { StringEquals = { "aws:PrincipalAccount" = local.account } }
      }]
    })
  }
}

# --- DynamoDB: through the route tables, at no charge ------------------------------------------------------

resource "aws_vpc_endpoint" "dynamodb" {
  vpc_id            = var.vpc_id
  service_name      = "com.amazonaws.${var.region}.dynamodb"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = var.route_table_ids
  policy            = local.policies["dynamodb"]
  tags              = { Name = "${var.prefix}saga-dynamodb" }
}

# --- the others: an address in each subnet -----------------------------------------------------------------

resource "aws_security_group" "this" {
  name        = "${var.prefix}saga-endpoints"
  description = "Endpoints of AWS services: HTTPS from the functions"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.this.id
  description                  = "HTTPS from the functions"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
  referenced_security_group_id = each.value
}

resource "aws_vpc_endpoint" "interface" {
  for_each = var.services

  vpc_id              = var.vpc_id
  service_name        = "com.amazonaws.${var.region}.${each.value}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = var.subnet_ids
  security_group_ids  = [aws_security_group.this.id]
  private_dns_enabled = true
  policy              = local.policies[each.value]
  tags                = { Name = "${var.prefix}saga-${each.value}" }
}
