# The emulator answers a function URL under its own address, not under the host name in the URL.

output "api" {
  description = "The HTTP API."
  value       = "${var.endpoint}/_aws/lambda-url/${module.saga.api_url_id}"
}

output "ingress" {
  description = "The webhook for the Event Grid subscription."
  value       = "${var.endpoint}/_aws/lambda-url/${module.saga.ingress_url_id}"
}

output "names" {
  description = "The names that tools and tests look for."
  value       = module.saga.names
}
