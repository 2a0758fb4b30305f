output "name" {
  description = "The archive's name."
  value       = aws_cloudwatch_event_archive.this.name
}
