# The AWS side on an emulator: the real modules, with a provider that talks to one address on loopback.

provider "aws" {
  region                      = var.region
  access_key                  = "test"
  secret_key                  = "test"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
  skip_region_validation      = true
  max_retries                 = 3

  endpoints {
    cloudwatchevents = var.endpoint
    cloudwatchlogs   = var.endpoint
    dynamodb         = var.endpoint
    iam              = var.endpoint
    lambda           = var.endpoint
    sns              = var.endpoint
    sqs              = var.endpoint
    sts              = var.endpoint
  }
}

module "saga" {
  source = "../../modules/saga-aws"

  zips_dir            = var.zips_dir
  architecture        = var.architecture
  extra_env           = { AWS_ENDPOINT_URL = var.endpoint }
  azure               = var.azure
  azure_secret        = var.azure_secret
  api                 = { auth = "NONE" }
  dead_letters        = { auth = "NONE", azure = var.azure_places }
  ingress             = var.ingress
  services            = var.services
  nudge_after_seconds = 5
  stuck_after_seconds = 20
  log_retention_days  = 1

  protection = {
    point_in_time_recovery = false
    deletion_protection    = false
    tls_only               = false
  }
}
