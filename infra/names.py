"""No two environments, and no two regions of one environment, share a name that has to differ.

`terraform.py check` plans a stack that has tests/names.tftest.hcl with each environment and region of that file, and gives the
plans to `shared`. A kind of resource that neither UNIQUE nor CHILD knows fails: somebody has to say how its cloud tells two
of them apart.
"""

from __future__ import annotations

import json
from itertools import combinations

TEST = "tests/names.tftest.hcl"

IN_GROUP = ("resource_group_name", "name")

# The region of AWS, which a plan has as an output; a kind without it is an account's.
REGION = "region"

# What tells two resources of a kind apart (https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules).
UNIQUE = {
    "azuread_application": ("display_name",),  # `prevent_duplicate_names`, in the whole tenant
    "aws_budgets_budget": ("name",),
    "aws_cloudwatch_composite_alarm": (REGION, "alarm_name"),
    "aws_cloudwatch_dashboard": ("dashboard_name",),
    "aws_cloudwatch_event_api_destination": (REGION, "name"),
    "aws_cloudwatch_event_archive": (REGION, "name"),
    "aws_cloudwatch_event_bus": (REGION, "name"),
    "aws_cloudwatch_event_connection": (REGION, "name"),
    "aws_cloudwatch_event_rule": (REGION, "name"),
    "aws_cloudwatch_log_group": (REGION, "name"),
    "aws_cloudwatch_log_metric_filter": (REGION, "log_group_name", "name"),
    "aws_cloudwatch_metric_alarm": (REGION, "alarm_name"),
    "aws_dynamodb_table": (REGION, "name"),
    "aws_iam_role": ("name",),
    "aws_kms_alias": (REGION, "name"),
    "aws_lambda_function": (REGION, "function_name"),
    "aws_scheduler_schedule": (REGION, "name"),
    "aws_security_group": (REGION, "vpc_id", "name"),
    "aws_sns_topic": (REGION, "name"),
    "aws_sqs_queue": (REGION, "name"),
    "aws_ssm_parameter": (REGION, "name"),
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
    "aws_apigatewayv2_api", "aws_apigatewayv2_authorizer", "aws_apigatewayv2_integration", "aws_apigatewayv2_route", "aws_apigatewayv2_stage",
    "aws_cloudwatch_event_target", "aws_iam_role_policy", "aws_kms_key", "aws_lambda_event_source_mapping",
    "aws_lambda_function_event_invoke_config", "aws_lambda_function_url", "aws_lambda_permission", "aws_sns_topic_policy",
    "aws_sns_topic_subscription", "aws_vpc_endpoint", "aws_vpc_security_group_ingress_rule", "aws_sqs_queue_policy", "aws_sqs_queue_redrive_allow_policy", "aws_sqs_queue_redrive_policy",
    "azuread_app_role_assignment", "azuread_application_federated_identity_credential", "azuread_application_password",
    "azuread_service_principal", "azurerm_eventgrid_event_subscription", "azurerm_management_lock",
    "azurerm_monitor_diagnostic_setting", "azurerm_role_assignment", "azurerm_storage_container",
    "azurerm_storage_management_policy", "azurerm_storage_queue", "terraform_data",
}


def plans(said: str) -> dict[str, list[dict]]:
    """What each run of `terraform test -json -verbose` planned to make."""
    found = {}
    for line in said.splitlines():
        if line.startswith("{") and "test_plan" in (line_of_test := json.loads(line)):
            plan = line_of_test["test_plan"]
            region = plan.get("output_changes", {}).get(REGION, {}).get("after")
            made = [one for one in plan.get("resource_changes", []) if one["mode"] == "managed" and "create" in one["change"]["actions"]]
            for one in made if region else []:
                one["change"]["after"].setdefault(REGION, region)
            found[line_of_test["@testrun"]] = made
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
    seen = {kind for named in runs.values() for kind, *_ in named}
    clouds = {kind.split("_")[0] for kind in seen}
    if absent := {kind for kind in UNIQUE if kind.split("_")[0] in clouds} - seen:
        problems.add(f"no plan has {', '.join(sorted(absent))}: nothing was compared")
    for (one, names), (other, others) in combinations(runs.items(), 2):
        problems |= {f"{address} has the same {' and '.join(UNIQUE[key[0]])} in {one} and {other}: {', '.join(key[1:])}" for key, address in names.items() if key in others}
    return sorted(problems)
