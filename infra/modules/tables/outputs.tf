output "payments" {
  description = "The table of business entities."
  value = {
    name = aws_dynamodb_table.payments.name
    arn  = aws_dynamodb_table.payments.arn
  }
}

output "sagas" {
  description = "The table of sagas with the ARNs of its two indexes."
  value = {
    name           = aws_dynamodb_table.sagas.name
    arn            = aws_dynamodb_table.sagas.arn
    due_index_arn  = "${aws_dynamodb_table.sagas.arn}/index/due"
    list_index_arn = "${aws_dynamodb_table.sagas.arn}/index/list"
  }
}

output "outbox" {
  description = "The table of pending events with the ARN of its stream."
  value = {
    name       = aws_dynamodb_table.outbox.name
    arn        = aws_dynamodb_table.outbox.arn
    stream_arn = aws_dynamodb_table.outbox.stream_arn
  }
}
