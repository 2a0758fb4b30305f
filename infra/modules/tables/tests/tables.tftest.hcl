mock_provider "aws" {}

run "defaults_are_the_safe_ones" {
  command = plan

  assert {
    condition = alltrue([
      aws_dynamodb_table.payments.name == "LocalPayments",
      aws_dynamodb_table.sagas.name == "Sagas",
      aws_dynamodb_table.outbox.name == "SagaOutbox",
    ])
    error_message = "Users of the pattern know the tables by these names."
  }

  assert {
    condition = alltrue([
      for table in [aws_dynamodb_table.payments, aws_dynamodb_table.sagas, aws_dynamodb_table.outbox] :
      table.billing_mode == "PAY_PER_REQUEST" && table.deletion_protection_enabled && table.point_in_time_recovery[0].enabled
    ])
    error_message = "Every table is on demand, protected and backed up unless told otherwise."
  }
}

run "keys_and_indexes" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.payments.hash_key == "TransactionId" && aws_dynamodb_table.sagas.hash_key == "SagaId"
    error_message = "The keys of LocalPayments and Sagas."
  }

  assert {
    condition     = aws_dynamodb_table.outbox.hash_key == "Shard" && aws_dynamodb_table.outbox.range_key == "EventId"
    error_message = "The outbox is read in order within a shard."
  }

  assert {
    condition = { for index in aws_dynamodb_table.sagas.global_secondary_index : index.name => [index.hash_key, index.range_key, index.projection_type] } == {
      due  = ["DueBucket", "DueAt", "KEYS_ONLY"]
      list = ["ListBucket", "CreatedAt", "KEYS_ONLY"]
    }
    error_message = "Indexes carry keys only, so a saga's update costs no second copy."
  }

  assert {
    condition     = aws_dynamodb_table.outbox.stream_enabled && aws_dynamodb_table.outbox.stream_view_type == "NEW_IMAGE"
    error_message = "The publisher reads the inserted row from the stream."
  }

  assert {
    condition     = aws_dynamodb_table.sagas.ttl[0].attribute_name == "ExpiresAt" && aws_dynamodb_table.outbox.ttl[0].attribute_name == "ExpiresAt"
    error_message = "Terminal sagas and dead outbox rows expire."
  }
}

run "options" {
  command = plan

  variables {
    prefix                 = "blue-"
    point_in_time_recovery = false
    deletion_protection    = false
    kms_key_arn            = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"
  }

  assert {
    condition     = aws_dynamodb_table.outbox.name == "blue-SagaOutbox"
    error_message = "The prefix comes before the name."
  }

  assert {
    condition     = !aws_dynamodb_table.sagas.deletion_protection_enabled && !aws_dynamodb_table.sagas.point_in_time_recovery[0].enabled
    error_message = "Protection and backups can be turned off."
  }

  assert {
    condition     = aws_dynamodb_table.payments.server_side_encryption[0].kms_key_arn == var.kms_key_arn
    error_message = "A customer managed key is used when given."
  }
}

run "refuses_a_key_alias" {
  command = plan

  variables {
    kms_key_arn = "alias/mine"
  }

  expect_failures = [var.kms_key_arn]
}

run "refuses_a_bad_prefix" {
  command = plan

  variables {
    prefix = "1 blue"
  }

  expect_failures = [var.prefix]
}
