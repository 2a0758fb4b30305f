output "topic_arn" {
  description = "The topic that alerts are published to."
  value       = aws_sns_topic.this.arn
}

output "topic_name" {
  description = "The topic's name."
  value       = aws_sns_topic.this.name
}
