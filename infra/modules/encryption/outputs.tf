output "key_arn" {
  description = "The key's ARN."
  value       = aws_kms_key.this.arn
}

output "policy" {
  description = "Who may use the key, as JSON, for reviews and tests."
  value       = aws_kms_key.this.policy
}
