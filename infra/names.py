"""No two environments, and no two regions of one environment, share a name that has to differ.

`terraform.py check` plans a stack that has tests/names.tftest.hcl with each environment and region of that file, and gives the
plans to `shared`. A kind of resource that neither UNIQUE nor CHILD knows fails: somebody has to say how Azure tells two of
them apart.
"""

from __future__ import annotations

import json
from itertools import combinations

TEST = "tests/names.tftest.hcl"

IN_GROUP = ("resource_group_name", "name")

# What tells two resources of a kind apart (https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules).
UNIQUE = {
    "azuread_application": ("display_name",),  # `prevent_duplicate_names`, in the whole tenant
    "azurerm_application_insights": IN_GROUP,
    "azurerm_application_insights_workbook": IN_GROUP,
    "azurerm_eventgrid_topic": ("location", "name"),
    "azurerm_function_app_flex_consumption": ("name",),
    "azurerm_log_analytics_workspace": IN_GROUP,
    "azurerm_monitor_action_group": IN_GROUP,
    "azurerm_monitor_metric_alert": IN_GROUP,
    "azurerm_monitor_scheduled_query_rules_alert_v2": IN_GROUP,
    "azurerm_resource_group": ("name",),
    "azurerm_resource_group_template_deployment": IN_GROUP,
    "azurerm_service_plan": IN_GROUP,
    "azurerm_storage_account": ("name",),
    "azurerm_user_assigned_identity": IN_GROUP,
}

# They lie in another resource, or have no name.
CHILD = {
    "azuread_app_role_assignment", "azuread_application_federated_identity_credential", "azuread_application_password",
    "azuread_service_principal", "azurerm_eventgrid_event_subscription", "azurerm_management_lock",
    "azurerm_monitor_diagnostic_setting", "azurerm_role_assignment", "azurerm_storage_container",
    "azurerm_storage_management_policy", "azurerm_storage_queue", "terraform_data",
}


def plans(said: str) -> dict[str, list[dict]]:
    """What each run of `terraform test -json -verbose` planned to make."""
    found = {}
    for line in said.splitlines():
        if line.startswith("{") and "test_plan" in (told := json.loads(line)):
            changes = told["test_plan"].get("resource_changes", [])
            found[told["@testrun"]] = [one for one in changes if one["mode"] == "managed" and "create" in one["change"]["actions"]]
    return found


def identities(made: list[dict], problems: set[str]) -> dict[tuple, str]:
    found = {}
    for one in made:
        kind, after = one["type"], one["change"]["after"]
        if kind in CHILD:
            continue
        if kind not in UNIQUE:
            problems.add(f"{kind}: infra/names.py does not say what tells two of them apart")
        elif missing := [name for name in UNIQUE[kind] if not after.get(name)]:
            problems.add(f"{one['address']}: {', '.join(missing)} is not known when it is planned")
        else:
            # Azure's names are compared without case.
            found[(kind, *(str(after[name]).lower() for name in UNIQUE[kind]))] = one["address"]
    return found


def shared(said: str) -> list[str]:
    problems: set[str] = set()
    runs = {run: identities(made, problems) for run, made in plans(said).items()}
    if len(runs) < 4:
        problems.add(f"{len(runs)} plans were read: two environments in two regions are four")
    if absent := set(UNIQUE) - {kind for named in runs.values() for kind, *_ in named}:
        problems.add(f"no plan has {', '.join(sorted(absent))}: nothing was compared")
    for (one, names), (other, others) in combinations(runs.items(), 2):
        problems |= {f"{address} has the same {' and '.join(UNIQUE[key[0]])} in {one} and {other}: {', '.join(key[1:])}" for key, address in names.items() if key in others}
    return sorted(problems)
