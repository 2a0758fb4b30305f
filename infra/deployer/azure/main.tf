# What an automation identity needs to apply stacks/azure, and to plan it, and no more. permissions.json says for each kind of
# resource which actions it takes; infra/deployer.py compares it with the kinds that the stack holds. Applied once, by an
# Owner of the subscription who is also Privileged Role Administrator in Entra (only that role may give Graph's permissions).

provider "azurerm" {
  features {
    template_deployment {
      delete_nested_items_during_deletion = false
    }
  }

  subscription_id                 = var.subscription_id
  resource_provider_registrations = "none"
}

provider "azuread" {
  tenant_id = var.tenant_id
}

locals {
  permissions = jsondecode(file("${path.module}/permissions.json"))
  scope       = "/subscriptions/${var.subscription_id}"

  reads  = sort(distinct(flatten([for needed in local.permissions.azure : needed.read])))
  writes = sort(distinct(flatten([for needed in local.permissions.azure : needed.write])))

  graph_reads  = sort(distinct(flatten([for needed in local.permissions.graph : needed.read])))
  graph_writes = sort(distinct(flatten([for needed in local.permissions.graph : needed.write])))

  graph = merge(
    { for pair in setproduct(keys(var.deployers), distinct(concat(local.graph_reads, local.graph_writes))) : "deployer_${pair[0]} ${pair[1]}" => { who = var.deployers[pair[0]], permission = pair[1] } },
    { for pair in setproduct(keys(var.planners), local.graph_reads) : "planner_${pair[0]} ${pair[1]}" => { who = var.planners[pair[0]], permission = pair[1] } },
  )

  # A deployer gives and takes the data roles that the stack gives, and no other: it cannot make itself or anybody Owner.
  # Who may give a role on a secret may give it on every secret of the subscription, also to itself: only where services need it.
  granted   = join(", ", [for role, id in local.permissions.granted_roles : id if role != "Key Vault Secrets User" || var.signed_services])
  condition = <<-EOT
    (
      !(ActionMatches{'Microsoft.Authorization/roleAssignments/write'})
      OR
      @Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${local.granted}}
    )
    AND
    (
      !(ActionMatches{'Microsoft.Authorization/roleAssignments/delete'})
      OR
      @Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${local.granted}}
    )
  EOT
}

# --- the subscription -------------------------------------------------------------------------------------

resource "azurerm_role_definition" "deployer" {
  name        = "saga-bridge deployer ${var.subscription_id}"
  description = "Applies and destroys saga-bridge's Azure stack"
  scope       = local.scope

  permissions {
    actions = distinct(concat(local.reads, local.writes))
  }

  assignable_scopes = [local.scope]
}

resource "azurerm_role_definition" "planner" {
  name        = "saga-bridge planner ${var.subscription_id}"
  description = "Plans saga-bridge's Azure stack; changes nothing"
  scope       = local.scope

  permissions {
    actions = local.reads
  }

  assignable_scopes = [local.scope]
}

# In the whole subscription, because the stack makes its own resource group.
resource "azurerm_role_assignment" "deployer" {
  for_each = var.deployers

  scope              = local.scope
  role_definition_id = azurerm_role_definition.deployer.role_definition_resource_id
  principal_id       = each.value
  principal_type     = "ServicePrincipal"
  condition_version  = "2.0"
  condition          = local.condition
}

resource "azurerm_role_assignment" "planner" {
  for_each = var.planners

  scope              = local.scope
  role_definition_id = azurerm_role_definition.planner.role_definition_resource_id
  principal_id       = each.value
  principal_type     = "ServicePrincipal"
}

# --- Microsoft Graph --------------------------------------------------------------------------------------

data "azuread_service_principal" "graph" {
  client_id = "00000003-0000-0000-c000-000000000000"
}

resource "azuread_app_role_assignment" "graph" {
  for_each = local.graph

  app_role_id         = data.azuread_service_principal.graph.app_role_ids[each.value.permission]
  principal_object_id = each.value.who
  resource_object_id  = data.azuread_service_principal.graph.object_id
}
