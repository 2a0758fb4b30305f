# One key for tables, queues and alerts. Its policy names the services that use it on their own behalf; the
# functions use it by their roles.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

resource "aws_kms_key" "this" {
  description             = "Tables, queues and alerts of saga-bridge"
  enable_key_rotation     = true
  deletion_window_in_days = 30

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
        Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root" }
      },
      {
        # Rules put events onto queues, and publish to the topic. Without a condition: events.amazonaws.com names no source
        # account when it asks KMS, and would be refused.
        Sid       = "Events"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Principal = { Service = "events.amazonaws.com" }
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
