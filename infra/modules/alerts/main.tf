# One topic tells people: a quarantined event, a dead outbox row, a saga that is stuck. Who listens
# (mail, chat, pager) is the stack's business.

resource "aws_sns_topic" "this" {
  name              = "${var.prefix}saga-alerts"
  kms_master_key_id = var.kms_key_arn
}
