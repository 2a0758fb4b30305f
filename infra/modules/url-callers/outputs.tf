output "callers" {
  description = "Who may call."
  value       = var.callers
}
