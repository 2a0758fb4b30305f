# Copy to <environment>.tfvars, fill in, and give it with -var-file. Git ignores the copy.
# az account show --query '{subscription_id: id, tenant_id: tenantId}'
subscription_id = "00000000-0000-0000-0000-000000000000"
tenant_id       = "11111111-2222-3333-4444-555555555555"
environment     = "prod"
location        = "westeurope"

# The roles of AWS that are trusted, known before AWS is applied. The issuer: aws iam enable-outbound-web-identity-federation
federation = {
  issuer            = "https://abc.tokens.sts.global.api.aws"
  role_arn          = "arn:aws:iam::123456789012:role/prod-event-relay-eu-central-1"
  replayer_role_arn = "arn:aws:iam::123456789012:role/prod-dlq-replayer-eu-central-1"
}

# Before AWS is there, leave it out; afterwards: the AWS stack's output ingress_url.
# ingress_url = "https://abc.lambda-url.eu-central-1.on.aws/"

# As soon as more than one identity applies (object ids): name all of them.
# owners               = ["22222222-0000-0000-0000-000000000000", "33333333-0000-0000-0000-000000000000"]
# subscription_writers = { me = "22222222-0000-0000-0000-000000000000", ci = "33333333-0000-0000-0000-000000000000" }

alert_email_addresses = ["on-call@example.com"]
runbook_url           = "https://wiki.example.com/saga-runbook"
