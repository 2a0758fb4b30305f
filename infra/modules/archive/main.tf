# Every event of the bus, kept so that it can be replayed. A module of its own, because a key for an archive needs a newer
# provider than the bus, which an emulator's stack uses, too.

resource "aws_cloudwatch_event_archive" "this" {
  name               = var.name
  event_source_arn   = var.bus_arn
  retention_days     = var.days
  kms_key_identifier = var.kms_key_arn
}
