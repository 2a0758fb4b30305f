mock_provider "azurerm" {
  source = "../../mocks/azurerm"
}

mock_provider "azuread" {
  source = "../../mocks/azuread"

  mock_data "azuread_service_principal" {
    defaults = {
      object_id = "99999999-0000-0000-0000-0000000000aa"
      app_role_ids = {
        "Application.ReadWrite.OwnedBy"   = "99999999-0000-0000-0001-000000000001"
        "Application.Read.All"            = "99999999-0000-0000-0001-000000000002"
        "AppRoleAssignment.ReadWrite.All" = "99999999-0000-0000-0001-000000000003"
      }
    }
  }
}

variables {
  subscription_id = "00000000-0000-0000-0000-000000000000"
  tenant_id       = "11111111-2222-3333-4444-555555555555"
  deployers       = { ci = "99999999-0000-0000-0000-0000000000c1" }
  planners        = { pull_requests = "99999999-0000-0000-0000-0000000000c2" }
}

run "the_role_holds_every_action_that_a_kind_needs" {
  command = apply

  assert {
    condition = alltrue([
      for kind, needed in jsondecode(file("permissions.json")).azure :
      length(setsubtract(concat(needed.read, needed.write), azurerm_role_definition.deployer.permissions[0].actions)) == 0
    ])
    error_message = "An action that is missing stops an apply half-way."
  }

  assert {
    condition     = azurerm_role_definition.deployer.permissions[0].data_actions == null && length([for action in azurerm_role_definition.deployer.permissions[0].actions : action if strcontains(action, "*")]) == 0
    error_message = "Exact actions, and none on data."
  }
}

run "who_plans_changes_nothing" {
  command = apply

  assert {
    condition     = length([for action in azurerm_role_definition.planner.permissions[0].actions : action if can(regex("/(write|delete|register/action|assign/action|join/action|publish/action)$", action))]) == 0
    error_message = "A plan writes nothing."
  }

  assert {
    condition     = output.graph_permissions.planner == tolist(["Application.Read.All"])
    error_message = "A plan reads Entra."
  }
}

run "who_applies_gives_only_the_roles_of_the_stack" {
  command = apply

  variables {
    signed_services = true
  }

  assert {
    condition     = alltrue([for id in values(jsondecode(file("permissions.json")).granted_roles) : length(regexall(id, azurerm_role_assignment.deployer["ci"].condition)) == 2])
    error_message = "Given and taken: both halves of the condition name the role."
  }

  assert {
    condition     = azurerm_role_assignment.deployer["ci"].condition_version == "2.0" && azurerm_role_assignment.planner["pull_requests"].scope == "/subscriptions/00000000-0000-0000-0000-000000000000"
    error_message = "Without the condition a deployer could make itself Owner."
  }
}

run "no_role_on_secrets_unless_services_need_it" {
  command = apply

  assert {
    condition = !strcontains(azurerm_role_assignment.deployer["ci"].condition, jsondecode(file("permissions.json")).granted_roles["Key Vault Secrets User"]) && (
      strcontains(azurerm_role_assignment.deployer["ci"].condition, jsondecode(file("permissions.json")).granted_roles["EventGrid Data Sender"])
    )
    error_message = "Who may give it can let itself read every secret of the subscription."
  }
}

run "graph_knows_these_permissions" {
  command = apply

  assert {
    condition     = toset(keys(azuread_app_role_assignment.graph)) == toset(["deployer_ci AppRoleAssignment.ReadWrite.All", "deployer_ci Application.Read.All", "deployer_ci Application.ReadWrite.OwnedBy", "planner_pull_requests Application.Read.All"])
    error_message = "OwnedBy alone cannot read what it does not own, and gives no app roles."
  }
}

run "refuses_bad_settings" {
  command = plan

  variables {
    subscription_id = "mine"
    tenant_id       = "example.onmicrosoft.com"
  }

  expect_failures = [var.subscription_id, var.tenant_id]
}
