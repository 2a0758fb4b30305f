# Copy to <environment>.tfvars and fill in: az account show --query '{subscription_id: id, tenant_id: tenantId}'
subscription_id = "00000000-0000-0000-0000-000000000000"
tenant_id       = "11111111-2222-3333-4444-555555555555"
environment     = "prod"
location        = "westeurope"

# Before AWS is there, leave it out; afterwards: the AWS stack's output ingress_url.
# ingress_url = "https://abc.lambda-url.eu-central-1.on.aws/"

# Without a secret between the clouds (with api-destination: only issuer and replayer_role_arn, for dead letters here):
# transport = "federation-relay"
# federation = {
#   issuer            = "https://abc.tokens.sts.global.api.aws"
#   role_arn          = "arn:aws:iam::123456789012:role/event-relay"
#   replayer_role_arn = "arn:aws:iam::123456789012:role/dlq-replayer"
# }

alert_email_addresses = ["on-call@example.com"]
runbook_url           = "https://wiki.example.com/saga-runbook"
