# staging on Azure. Small: one copy in one zone, no lock. What holds data is still not destroyed by a plan (infra/README.md, Destroy). Every id here is an example: replace it.
environment     = "staging"
subscription_id = "00000000-0000-0000-0000-000000000001"
tenant_id       = "11111111-2222-3333-4444-555555555555"
location        = "westeurope"

# AWS account 111111111111: the issuer is what `aws iam enable-outbound-web-identity-federation` printed there. The roles
# do not exist before AWS is applied; their names are known.
federation = {
  issuer            = "https://00000000-aaaa-bbbb-cccc-000000000000.tokens.sts.global.api.aws"
  role_arn          = "arn:aws:iam::111111111111:role/staging-event-relay-eu-central-1"
  replayer_role_arn = "arn:aws:iam::111111111111:role/staging-dlq-replayer-eu-central-1"
}

# Who applies: the object ids of your people and of CI's service principal, so that it does not matter who does.
owners               = ["33333333-0000-0000-0000-000000000001", "33333333-0000-0000-0000-000000000002"]
subscription_writers = { people = "33333333-0000-0000-0000-000000000001", ci = "33333333-0000-0000-0000-000000000002" }

replication         = "LRS"
always_ready        = 0
deletion_protection = false

alert_email_addresses = ["saga-staging@example.com"]
log_retention_days    = 30
runbook_url           = "https://wiki.example.com/saga-runbook"
tags                  = { team = "payments", cost_centre = "4711" }
