output "services" {
  description = "The services that are reached past the internet."
  value       = keys(local.policies)
}
