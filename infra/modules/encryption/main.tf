# One key for everything that holds a saga's data. Its policy names the services that use it on their own behalf; the
# functions use it by their roles, and so does DynamoDB, which asks KMS as its caller.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  bus       = "arn:${local.partition}:events:${var.region}:${local.account}:event-bus/${var.prefix}enterprise-core-bus"
  logs      = "arn:${local.partition}:logs:${var.region}:${local.account}:log-group"
}

resource "aws_kms_key" "this" {
  description             = "Tables, queues, bus, alerts and logs of saga-bridge"
  enable_key_rotation     = true
  deletion_window_in_days = 30

  # Without this tag, the service-linked role that keeps a connection's secret may not use the key
  # (https://docs.aws.amazon.com/eventbridge/latest/userguide/encryption-connections.html).
  tags = { EventBridgeApiDestinations = "true" }

  # Backups need the key that they were made with, for as long as they are kept. infra/README.md, "Destroy".
  lifecycle {
    prevent_destroy = true
  }

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Without it the account could lose the key. What its principals may do is up to their own policies.
        Sid       = "Account"
        Effect    = "Allow"
        Action    = "kms:*"
        Resource  = "*"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
      },
      {
        # Rules put events onto queues, and publish to the topic. Without a condition: events.amazonaws.com names no source
        # account when it asks KMS, and would be refused. DescribeKey, which tells nothing of the data, has no encryption context.
        Sid       = "Events"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"]
        Resource  = "*"
        Principal = { Service = "events.amazonaws.com" }
      },
      {
        # Bus, rules and archive. The archive's calls name no source either; all of them carry the bus in their encryption context
        # (https://docs.aws.amazon.com/eventbridge/latest/userguide/encryption-archives.html).
        Sid       = "Bus"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncrypt*"]
        Resource  = "*"
        Principal = { Service = "events.amazonaws.com" }
        Condition = { StringEquals = { "kms:EncryptionContext:aws:events:event-bus:arn" = local.bus } }
      },
      {
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        Sid       = "Logs"
        Effect    = "Allow"
        Action    = ["kms:Decrypt*", "kms:Describe*", "kms:Encrypt*", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
        Principal = { Service = "logs.${var.region}.${data.aws_partition.current.dns_suffix}" }
        Condition = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = ["${local.logs}:/aws/lambda/${var.prefix}*", "${local.logs}:/aws/apigateway/${var.prefix}saga-webhook"] } }
      },
      {
        # Alarms publish to the topic.
        Sid       = "Alarms"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Principal = { Service = "cloudwatch.amazonaws.com" }
      },
    ]
  })
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.prefix}saga-bridge"
  target_key_id = aws_kms_key.this.id
}
