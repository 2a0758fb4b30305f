output "of" {
  description = "The services of each cloud, `aws` and `azure`, by name."
  value       = { for cloud in ["aws", "azure"] : cloud => { for name, service in var.services : name => service if service.cloud == cloud } }
}

output "seen" {
  description = "What a function sees of each service: all but what roles and networks are made from."
  value       = local.seen
}
