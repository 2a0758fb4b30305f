# Who the two clouds are to each other, in Entra: the application that stands for the webhook on AWS, for
# which Event Grid gets its tokens, the application that AWS signs in as when it publishes to the topic, and the one that
# it looks at dead letters as.

locals {
  # Microsoft's own, the same in every tenant (https://learn.microsoft.com/azure/event-grid/secure-webhook-delivery).
  event_grid_client_id = "4962773b-9cdb-44cf-a8bf-237846a00ab7"
  handshake_role       = "AzureEventGridSecureWebhookSubscriber"
  handshake_role_id    = uuidv5("url", "${local.handshake_role}/${var.name}")

  owners  = length(var.owners) > 0 ? var.owners : toset([terraform_data.first_caller.output])
  writers = length(var.subscription_writers) > 0 ? var.subscription_writers : tomap({ terraform = terraform_data.first_caller.output })

  rotations = var.publisher != "client-secret" ? toset([]) : toset([
    for number in distinct([var.secret.rotation, var.secret.keep_previous ? max(var.secret.rotation - 1, 1) : var.secret.rotation]) : tostring(number)
  ])

  # Event Grid delivers; whoever makes the subscription has to have the role, too, or it is refused.
  holders = merge(
    { event_grid = data.azuread_service_principal.event_grid.object_id },
    { for name, id in local.writers : "writer_${name}" => id },
  )
}

data "azuread_client_config" "current" {}

# Who applied first is the default of owners and writers, and stays it: a plan by a second person or by CI changes nothing.
# Only this record ignores who runs now; `owners` and `subscription_writers` are followed as they are written.
resource "terraform_data" "first_caller" {
  input = data.azuread_client_config.current.object_id

  lifecycle {
    ignore_changes = [input]
  }
}

# --- the webhook ------------------------------------------------------------------------------------------

resource "azuread_application" "webhook" {
  display_name            = "${var.name}-ingress"
  description             = "The webhook on AWS that takes saga events from Event Grid"
  sign_in_audience        = "AzureADMyOrg"
  prevent_duplicate_names = true
  owners                  = local.owners

  # Tokens of version 2 name the application by its client id, whatever name was asked for.
  api {
    requested_access_token_version = 2
  }

  app_role {
    id                   = local.handshake_role_id
    value                = local.handshake_role
    display_name         = local.handshake_role
    description          = "May deliver events to the webhook, and make subscriptions that do"
    allowed_member_types = ["Application", "User"]
    enabled              = true
  }
}

# Entra gives nobody a token for the webhook who has no role of it.
resource "azuread_service_principal" "webhook" {
  client_id                    = azuread_application.webhook.client_id
  app_role_assignment_required = true
  owners                       = local.owners
}

# Event Grid's own principal belongs to Microsoft and serves every team of the tenant: it is read, never managed.
data "azuread_service_principal" "event_grid" {
  client_id = local.event_grid_client_id
}

# Earlier versions held it as a resource. Terraform forgets it; a destroy would break every secured webhook of the tenant.
removed {
  from = azuread_service_principal.event_grid

  lifecycle {
    destroy = false
  }
}

resource "azuread_app_role_assignment" "handshake" {
  for_each = local.holders

  app_role_id         = local.handshake_role_id
  principal_object_id = each.value
  resource_object_id  = azuread_service_principal.webhook.object_id
}

# --- AWS as a publisher -----------------------------------------------------------------------------------

resource "azuread_application" "publisher" {
  count = var.publisher == "none" ? 0 : 1

  display_name            = "${var.name}-publisher"
  description             = "AWS, when it publishes saga events to the Event Grid topic"
  sign_in_audience        = "AzureADMyOrg"
  prevent_duplicate_names = true
  owners                  = local.owners
}

resource "azuread_service_principal" "publisher" {
  count = var.publisher == "none" ? 0 : 1

  client_id = azuread_application.publisher[0].client_id
  owners    = local.owners
}

# The secret in use and the one before it: the other cloud publishes with the old one until it is given the new one. What a
# secret was made with stays as it is, or a change of it would take a secret away that is in use.
resource "azuread_application_password" "publisher" {
  for_each = local.rotations

  application_id = azuread_application.publisher[0].id
  display_name   = "eventbridge ${each.key}"
  end_date       = var.secret.expires

  lifecycle {
    ignore_changes = [display_name, end_date, rotate_when_changed]
  }
}

# Earlier versions had one secret.
moved {
  from = azuread_application_password.publisher[0]
  to   = azuread_application_password.publisher["1"]
}

check "secret_expiry" {
  assert {
    condition     = alltrue([for secret in [for name, one in azuread_application_password.publisher : one if name == tostring(var.secret.rotation)] : timecmp(plantimestamp(), timeadd(secret.end_date, "-720h")) < 0])
    error_message = "The secret that AWS publishes with expires within 30 days: set rotation one higher, apply Azure, then apply AWS with the new secret (infra/README.md, \"A new client secret\")."
  }
}

# No secret at all: AWS vouches for the relay's role, and only for it.
resource "azuread_application_federated_identity_credential" "publisher" {
  #checkov:skip=CKV_AZURE_249:Not GitHub but an AWS account is trusted, for one role (validated in variables.tf); this check reads the claims of GitHub's tokens.
  count = var.publisher == "federation" ? 1 : 0

  application_id = azuread_application.publisher[0].id
  display_name   = "event-relay"
  description    = "The relay's role on AWS"
  issuer         = try(var.federation.issuer, "")
  subject        = try(var.federation.role_arn, "")
  audiences      = ["api://AzureADTokenExchange"]

  lifecycle {
    precondition {
      condition     = var.federation != null
      error_message = "transport = \"federation-relay\" (the default) needs federation with role_arn. The issuer: aws iam enable-outbound-web-identity-federation. The role: arn:aws:iam::<account>:role/<environment>-event-relay-<region>. Or set transport = \"api-destination\"."
    }
  }
}

# --- AWS as the replayer of dead letters ------------------------------------------------------------------

# An application apart: who publishes reads no storage.
resource "azuread_application" "replayer" {
  count = var.replayer == null ? 0 : 1

  display_name            = "${var.name}-replayer"
  description             = "AWS, when it looks at dead letters on Azure and replays them"
  sign_in_audience        = "AzureADMyOrg"
  prevent_duplicate_names = true
  owners                  = local.owners
}

resource "azuread_service_principal" "replayer" {
  count = var.replayer == null ? 0 : 1

  client_id = azuread_application.replayer[0].client_id
  owners    = local.owners
}

resource "azuread_application_federated_identity_credential" "replayer" {
  #checkov:skip=CKV_AZURE_249:Not GitHub but an AWS account is trusted, for one role (validated in variables.tf); this check reads the claims of GitHub's tokens.
  count = var.replayer == null ? 0 : 1

  application_id = azuread_application.replayer[0].id
  display_name   = "dlq-replayer"
  description    = "The replayer's role on AWS"
  issuer         = var.replayer.issuer
  subject        = var.replayer.role_arn
  audiences      = ["api://AzureADTokenExchange"]
}
