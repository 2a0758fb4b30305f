# prod on AWS. Protected against deletion, encrypted by a key of its own, one warm instance. What Azure leaves is read from the SSM parameter /saga-bridge/prod/azure.
environment = "prod"
region      = "eu-central-1"
account_id  = "222222222222"

customer_managed_key = true
deletion_protection  = true
log_retention_days   = 90
archive_days         = 14 # what came after the nightly copy of the Azure table

# Where your organisation asks for them (infra/README.md, "A network and a key of your own, on AWS"):
# network              = { subnet_ids = ["subnet-…", "subnet-…"], security_group_ids = ["sg-…"], endpoints = { vpc_id = "vpc-…", route_table_ids = ["rtb-…"] } }
# iam_path             = "/platform/"
# permissions_boundary = "arn:aws:iam::222222222222:policy/boundary"

alert_email_addresses = ["saga-on-call@example.com"]
runbook_url           = "https://wiki.example.com/saga-runbook"
tags                  = { team = "payments", cost_centre = "4711" }
