# MiniStack hands out AWS's own host names and answers them under a path of its address; so does LocalStack where it is
# started without Docker, with host names that end in its address. Others of LocalStack's URLs work as they are.
locals {
  urls = {
    for name, function in {
      api          = { url = module.saga.api_url, id = module.saga.api_url_id }
      ingress      = { url = module.saga.ingress_url, id = module.saga.ingress_url_id }
      dead_letters = { url = module.saga.dead_letters_url, id = module.saga.dead_letters_url_id }
    } : name => can(regex("[.](on[.]aws|127[.]0[.]0[.]1:[0-9]+)/?$", function.url)) ? "${var.endpoint}/_aws/lambda-url/${function.id}" : trimsuffix(function.url, "/")
  }
}

output "api" {
  description = "The HTTP API."
  value       = local.urls.api
}

output "ingress" {
  description = "The webhook for the Event Grid subscription."
  value       = local.urls.ingress
}

output "dead_letters" {
  description = "The dead letters."
  value       = local.urls.dead_letters
}

output "names" {
  description = "The names that tools and tests look for."
  value       = module.saga.names
}

output "service_queues" {
  description = "The queues of requests to services by service, for tools and tests."
  value       = module.saga.service_queues
}
