# The way to Azure without a secret, in place of the bus' API destination.

module "relay" {
  source = "../relay"
  count  = var.azure.relay == null ? 0 : 1

  prefix              = var.prefix
  zip                 = "${var.zips_dir}/event-relay.zip"
  architecture        = var.architecture
  environment         = local.environment
  topic_endpoint      = var.azure.topic_endpoint
  tenant_id           = var.azure.relay.tenant_id
  client_id           = var.azure.relay.client_id
  maximum_concurrency = var.azure.relay.maximum_concurrency
  kms_key_arn         = var.protection.kms_key_arn
  tls_only            = var.protection.tls_only
  log_retention_days  = var.log_retention_days
  iam                 = var.iam
  network             = local.network_with_internet
}
