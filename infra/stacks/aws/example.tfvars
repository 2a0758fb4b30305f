# Copy to terraform.tfvars. The first five are the Azure stack's output `for_aws`, which may be written to
# azure.auto.tfvars.json instead (see README); azure_secret belongs into TF_VAR_azure_secret.
transport      = "api-destination"
topic_endpoint = "https://enterprise-saga-choreography.westeurope-1.eventgrid.azure.net/api/events"
tenant_id      = "11111111-2222-3333-4444-555555555555"
audience       = "22222222-3333-4444-5555-666666666666"
client_id      = "66666666-7777-8888-9999-000000000000"

region                = "eu-central-1"
alert_email_addresses = ["on-call@example.com"]
runbook_url           = "https://wiki.example.com/saga-runbook"
