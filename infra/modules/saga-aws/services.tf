# The outside services: which there are, and a caller for each that AWS calls.

module "services" {
  source = "../services"

  services = var.services
}

locals {
  # All of them, also Azure's: a definition names services of both clouds.
  services_json = jsonencode(module.services.seen)
}

module "service_caller" {
  source   = "../service-caller"
  for_each = module.services.of["aws"]

  name               = each.key
  service            = each.value
  services_json      = local.services_json
  prefix             = var.prefix
  zip                = "${var.zips_dir}/service-caller.zip"
  architecture       = var.architecture
  bus_name           = module.bus.bus_name
  kms_key_arn        = var.protection.kms_key_arn
  tls_only           = var.protection.tls_only
  log_retention_days = var.log_retention_days
  iam                = var.iam
  # A service may be anywhere, like Azure: see network_with_internet. One that is inside is reached from there only.
  network = each.value.inside ? var.network : local.network_with_internet

  environment = merge(local.environment, local.store_environment, {
    QUARANTINE_QUEUE_URL = module.queues.quarantine.url
    ALERTS_TOPIC_ARN     = module.alerts.topic_arn
  })

  # An answer is committed as an event is.
  statements = concat(local.event_statements, local.key_statements)
}
