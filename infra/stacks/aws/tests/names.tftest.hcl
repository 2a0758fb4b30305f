# Two environments in two regions of one account. infra/names.py reads the four plans and fails when two of them share a name
# that has to differ.

mock_provider "aws" {
  source = "../../modules/saga-aws/tests/mocks"

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
}

variables {
  packages_dir     = "../../modules/saga-aws/tests/packages" # arm64 in it is a link to itself
  azure_secret     = "not-a-secret"
  check_connection = false

  alert_email_addresses = ["on-call@example.com"]
  monthly_budget_usd    = 100
  webhook_gateway       = true

  services = {
    ledger = { cloud = "aws", url = "https://ledger.example.com/saga", auth = "signature", secret = "prod/ledger" }
    bank   = { cloud = "azure", url = "https://bank.example.com/saga", auth = "entra", audience = "api://bank" }
  }

  network = {
    subnet_ids         = ["subnet-1"]
    security_group_ids = ["sg-functions"]
    endpoints          = { vpc_id = "vpc-1", route_table_ids = ["rtb-1"] }
  }
}

run "one_region" {
  command = plan

  variables {
    region      = "eu-central-1"
    environment = "staging"

    azure = {
      environment    = "staging"
      transport      = "api-destination"
      topic_endpoint = "https://mock.westeurope-1.eventgrid.azure.net/api/events"
      tenant_id      = "11111111-2222-3333-4444-555555555555"
      audience       = "66666666-7777-8888-9999-000000000000"
      client_id      = "66666666-7777-8888-9999-000000000000"
      secret_expires = "2028-03-01T12:00:00Z"
    }
  }
}

run "another_region" {
  command = plan

  variables {
    region      = "eu-west-1"
    environment = "staging"

    azure = {
      environment    = "staging"
      transport      = "api-destination"
      topic_endpoint = "https://mock.westeurope-1.eventgrid.azure.net/api/events"
      tenant_id      = "11111111-2222-3333-4444-555555555555"
      audience       = "66666666-7777-8888-9999-000000000000"
      client_id      = "66666666-7777-8888-9999-000000000000"
      secret_expires = "2028-03-01T12:00:00Z"
    }
  }
}

# Sixteen characters that begin like the other's.
run "another_environment" {
  command = plan

  variables {
    region      = "eu-central-1"
    environment = "staging-green-01"

    azure = {
      environment    = "staging-green-01"
      transport      = "federation-relay"
      topic_endpoint = "https://mock.westeurope-1.eventgrid.azure.net/api/events"
      tenant_id      = "11111111-2222-3333-4444-555555555555"
      audience       = "66666666-7777-8888-9999-000000000000"
      client_id      = "66666666-7777-8888-9999-000000000000"
    }
  }
}

run "another_environment_in_another_region" {
  command = plan

  variables {
    region      = "eu-west-1"
    environment = "staging-green-01"

    azure = {
      environment    = "staging-green-01"
      transport      = "federation-relay"
      topic_endpoint = "https://mock.westeurope-1.eventgrid.azure.net/api/events"
      tenant_id      = "11111111-2222-3333-4444-555555555555"
      audience       = "66666666-7777-8888-9999-000000000000"
      client_id      = "66666666-7777-8888-9999-000000000000"
    }
  }
}
