# Two environments in two regions of one subscription. infra/names.py reads the four plans and fails when two of them share a
# name that has to differ.

mock_provider "azurerm" {
  source = "../../mocks/azurerm"
}

mock_provider "azuread" {
  source = "../../mocks/azuread"
}

variables {
  subscription_id = "00000000-0000-0000-0000-000000000000"
  tenant_id       = "11111111-2222-3333-4444-555555555555"
  package         = "versions.tf" # any file: only planned
  ingress_url     = "https://abc.lambda-url.eu-central-1.on.aws/"
  transport       = "federation-relay"

  federation = {
    issuer            = "https://abc.tokens.sts.global.api.aws"
    role_arn          = "arn:aws:iam::123456789012:role/event-relay"
    replayer_role_arn = "arn:aws:iam::123456789012:role/dlq-replayer"
  }
}

run "staging_in_one_region" {
  command = plan

  variables {
    environment = "staging"
    location    = "westeurope"
  }
}

run "staging_in_another_region" {
  command = plan

  variables {
    environment = "staging"
    location    = "northeurope"
  }
}

# Sixteen characters that begin like the other's.
run "production_in_one_region" {
  command = plan

  variables {
    environment = "staging-green-01"
    location    = "westeurope"
  }
}

run "production_in_another_region" {
  command = plan

  variables {
    environment = "staging-green-01"
    location    = "northeurope"
  }
}

# With nothing known of what Azure and Entra will answer, as at a first apply: the runs of azure.tftest.hcl know it in the plan.
run "a_first_plan_with_a_secret_between_the_clouds" {
  command = plan

  variables {
    environment = "p2"
    location    = "germanywestcentral"
    transport   = "api-destination"
    federation  = null

    # A check cannot be made of an end that Entra has yet to choose, and a test takes that for a failure.
    client_secret = { expires = "2099-01-01T00:00:00Z" }

    ingress_url = null
  }
}
