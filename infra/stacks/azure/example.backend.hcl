# Copy to <environment>.backend.hcl: terraform init -backend-config=prod.backend.hcl. The state holds secrets unless the transport
# is federation-relay: an account that only the people and identities who apply can read.
subscription_id      = "00000000-0000-0000-0000-000000000000"
resource_group_name  = "terraform-state"
storage_account_name = "exampletfstate"
container_name       = "state"
key                  = "saga-bridge/prod/azure.tfstate"
use_azuread_auth     = true
