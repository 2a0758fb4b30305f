# One topic tells people: a quarantined event, a dead outbox row, a saga that is stuck. Who listens
# (mail, chat, pager) is the stack's business.

resource "aws_sns_topic" "this" {
  name              = "${var.prefix}saga-alerts"
  kms_master_key_id = var.kms_key_arn
}

# Alarms and roles of this account, as without a policy; and the rule of module operations, which no role speaks for.
resource "aws_sns_topic_policy" "this" {
  arn = aws_sns_topic.this.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid       = "Account"
        Effect    = "Allow"
        Action    = ["sns:GetTopicAttributes", "sns:Publish", "sns:Subscribe"]
        Resource  = aws_sns_topic.this.arn
        Principal = { AWS = "*" }
        Condition = { StringEquals = { "aws:SourceOwner" = split(":", aws_sns_topic.this.arn)[4] } }
      },
      {
        Sid       = "ConnectionRule"
        Effect    = "Allow"
        Action    = ["sns:Publish"]
        Resource  = aws_sns_topic.this.arn
        Principal = { Service = "events.amazonaws.com" }
        Condition = { ArnEquals = { "aws:SourceArn" = replace(aws_sns_topic.this.arn, "/:sns:(.*):[^:]+$/", ":events:$1:rule/${var.prefix}saga-connection") } }
      },
      ], !var.tls_only ? [] : [{
        Sid       = "TlsOnly"
        Effect    = "Deny"
        Action    = ["sns:Publish", "sns:Subscribe"]
        Resource  = aws_sns_topic.this.arn
        Principal = "*"
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }])
  })
}
