# The three tables of the AWS side. One transaction spans all of them, so they share a region,
# an account and a capacity mode.

resource "aws_dynamodb_table" "payments" {
  #checkov:skip=CKV_AWS_28:On unless turned off, which only the stack for an emulator does.
  #checkov:skip=CKV_AWS_119:stacks/aws gives a key of its own; the stack for an emulator has none.
  name                        = "${var.prefix}LocalPayments"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "TransactionId"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "TransactionId"
    type = "S"
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }
}

resource "aws_dynamodb_table" "sagas" {
  #checkov:skip=CKV_AWS_28:On unless turned off, which only the stack for an emulator does.
  #checkov:skip=CKV_AWS_119:stacks/aws gives a key of its own; the stack for an emulator has none.
  name                        = "${var.prefix}Sagas"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "SagaId"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "SagaId"
    type = "S"
  }

  attribute {
    name = "DueBucket"
    type = "S"
  }

  attribute {
    name = "DueAt"
    type = "N"
  }

  attribute {
    name = "ListBucket"
    type = "S"
  }

  attribute {
    name = "CreatedAt"
    type = "N"
  }

  # Sparse: only an open saga carries DueBucket, so the sweeper never reads a finished one.
  global_secondary_index {
    name            = "due"
    hash_key        = "DueBucket"
    range_key       = "DueAt"
    projection_type = "KEYS_ONLY"
  }

  global_secondary_index {
    name            = "list"
    hash_key        = "ListBucket"
    range_key       = "CreatedAt"
    projection_type = "KEYS_ONLY"
  }

  # Set on terminal sagas only: an open saga must never expire.
  ttl {
    attribute_name = "ExpiresAt"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }
}

resource "aws_dynamodb_table" "outbox" {
  #checkov:skip=CKV_AWS_28:On unless turned off, which only the stack for an emulator does.
  #checkov:skip=CKV_AWS_119:stacks/aws gives a key of its own; the stack for an emulator has none.
  name                        = "${var.prefix}SagaOutbox"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "Shard"
  range_key                   = "EventId"
  deletion_protection_enabled = var.deletion_protection

  attribute {
    name = "Shard"
    type = "S"
  }

  attribute {
    name = "EventId"
    type = "S"
  }

  # The publisher is woken by inserts and reads the row from the record itself.
  stream_enabled   = true
  stream_view_type = "NEW_IMAGE"

  # Set on dead rows only: a pending row must never expire.
  ttl {
    attribute_name = "ExpiresAt"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  server_side_encryption {
    enabled     = var.kms_key_arn != null
    kms_key_arn = var.kms_key_arn
  }
}
