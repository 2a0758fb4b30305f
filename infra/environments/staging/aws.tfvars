# staging on AWS. Small: no deletion protection, no customer key. What Azure leaves is read from the SSM parameter /saga-bridge/staging/azure.
environment = "staging"
region      = "eu-central-1"
account_id  = "111111111111"

customer_managed_key = false
deletion_protection  = false
log_retention_days   = 14
archive_days         = 7

# Where your organisation asks for them:
# iam_path             = "/platform/"
# permissions_boundary = "arn:aws:iam::111111111111:policy/boundary"

alert_email_addresses = ["saga-staging@example.com"]
runbook_url           = "https://wiki.example.com/saga-runbook"
tags                  = { team = "payments", cost_centre = "4711" }
