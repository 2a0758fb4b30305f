output "for_azure" {
  description = "What the Azure stack asks for; the SSM parameter /saga-bridge/<environment>/aws holds the same."
  value       = local.for_azure
}

output "api_url" {
  description = "The HTTP API; requests are signed (AWS_IAM)."
  value       = module.saga.api_url
}

output "ingress_url" {
  description = "The webhook, for the Azure stack's variable ingress_url."
  value       = local.for_azure.ingress_url
}

output "dead_letters_url" {
  description = "The dead letters, for SAGA_DEAD_LETTERS_URL; requests are signed (AWS_IAM)."
  value       = module.saga.dead_letters_url
}

output "replayer_role_arn" {
  description = "The role of dlq-replayer for the Azure stack's variable federation."
  value       = module.saga.replayer_role_arn
}

output "relay_role_arn" {
  description = "With federation-relay: the role for the Azure stack's variable federation."
  value       = module.saga.relay_role_arn
}

output "region" {
  description = "The AWS region."
  value       = var.region
}

output "alerts_topic_arn" {
  description = "The topic to subscribe people and pagers to."
  value       = module.saga.alerts_topic_arn
}

output "dashboard" {
  description = "The CloudWatch dashboard."
  value       = "https://${var.region}.console.aws.amazon.com/cloudwatch/home?region=${var.region}#dashboards:name=${module.operations.dashboard_name}"
}

output "names" {
  description = "The names that tools look for."
  value       = module.saga.names
}

output "service_caller_roles" {
  description = "The callers' roles by service, for services of other accounts that let them in."
  value       = module.saga.service_caller_roles
}
