"""What an account holds of each kind of resource that `stacks/aws` makes, asked of AWS' own APIs.

Every type of resource in the stack is in exactly one of two tables: KINDS, which are looked for one by one, and PARTS, which
exist only inside one of those and go with it.
"""

from __future__ import annotations

from collections import Counter
from typing import Callable, Iterator

Kinds = dict[str, list[str]]


class Account:
    """One region of one account. Clients are configured by the environment."""

    def __init__(self, region: str):
        self._region, self._clients = region, {}

    def client(self, service: str):
        import boto3  # not needed to read the tables below

        if service not in self._clients:
            self._clients[service] = boto3.client(service, region_name=self._region)
        return self._clients[service]

    def pages(self, service: str, operation: str, field: str, **arguments) -> Iterator:
        """Every entry of a list, whether its operation has pages or not."""
        client = self.client(service)
        if client.can_paginate(operation):
            answers = client.get_paginator(operation).paginate(**arguments)
        else:
            answers = [getattr(client, operation)(**arguments)]
        for answer in answers:
            yield from answer.get(field, [])

    def buses(self) -> list[str]:
        return [one["Name"] for one in self.pages("events", "list_event_buses", "EventBuses")]

    def rules(self, managed: bool) -> Iterator[str]:
        """Those that a service of AWS manages, or those of the account."""
        for bus in self.buses():
            for rule in self.pages("events", "list_rules", "Rules", EventBusName=bus):
                if bool(rule.get("ManagedBy")) == managed:
                    yield f"{bus}/{rule['Name']}"

    def endpoints(self) -> Iterator[str]:
        """AWS lists one that was deleted for a while."""
        listed = self.pages("ec2", "describe_vpc_endpoints", "VpcEndpoints")
        return (one["VpcEndpointId"] for one in listed if one["State"].lower() not in ("deleting", "deleted"))

    def aliases(self) -> Iterator[str]:
        """Without those of AWS' own keys."""
        return (one["AliasName"] for one in self.pages("kms", "list_aliases", "Aliases") if not one["AliasName"].startswith("alias/aws/"))

    def keys(self, state: str) -> dict[str, dict]:
        """The keys in this state, with what KMS says of them. Those that AWS manages are not the account's to delete."""
        ids = [one["KeyId"] for one in self.pages("kms", "list_keys", "Keys")]
        listed = [self.client("kms").describe_key(KeyId=one)["KeyMetadata"] for one in ids]
        return {one["KeyId"]: one for one in listed if one["KeyState"] == state and one["KeyManager"] == "CUSTOMER"}


def named(service: str, operation: str, field: str, name: str, **arguments) -> Callable[[Account], Iterator[str]]:
    return lambda account: (one[name] for one in account.pages(service, operation, field, **arguments))


# Of each type: how to find every one of them. A kind that no resource makes is what AWS makes on behalf of one.
KINDS: dict[str, Callable[[Account], Iterator[str]]] = {
    "aws_apigatewayv2_api": named("apigatewayv2", "get_apis", "Items", "ApiId"),
    "aws_budgets_budget": named("budgets", "describe_budgets", "Budgets", "BudgetName", AccountId="123456789012"),
    "aws_cloudwatch_composite_alarm": named("cloudwatch", "describe_alarms", "CompositeAlarms", "AlarmName", AlarmTypes=["CompositeAlarm"]),
    "aws_cloudwatch_dashboard": named("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
    "aws_cloudwatch_event_api_destination": named("events", "list_api_destinations", "ApiDestinations", "Name"),
    "aws_cloudwatch_event_archive": named("events", "list_archives", "Archives", "ArchiveName"),
    "aws_cloudwatch_event_bus": lambda account: iter(account.buses()),
    "aws_cloudwatch_event_connection": named("events", "list_connections", "Connections", "Name"),
    "aws_cloudwatch_event_rule": lambda account: account.rules(managed=False),
    "aws_cloudwatch_log_group": named("logs", "describe_log_groups", "logGroups", "logGroupName"),
    "aws_cloudwatch_log_metric_filter": named("logs", "describe_metric_filters", "metricFilters", "filterName"),
    "aws_cloudwatch_metric_alarm": named("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
    "aws_dynamodb_table": lambda account: account.pages("dynamodb", "list_tables", "TableNames"),
    "aws_iam_policy": named("iam", "list_policies", "Policies", "Arn", Scope="Local"),
    "aws_iam_role": named("iam", "list_roles", "Roles", "RoleName"),
    "aws_kms_alias": lambda account: account.aliases(),
    "aws_kms_key": lambda account: iter(account.keys("Enabled")),
    "aws_lambda_event_source_mapping": named("lambda", "list_event_source_mappings", "EventSourceMappings", "UUID"),
    "aws_lambda_function": named("lambda", "list_functions", "Functions", "FunctionName"),
    "aws_scheduler_schedule": named("scheduler", "list_schedules", "Schedules", "Name"),
    "aws_security_group": named("ec2", "describe_security_groups", "SecurityGroups", "GroupId"),
    "aws_sns_topic": named("sns", "list_topics", "Topics", "TopicArn"),
    "aws_sns_topic_subscription": named("sns", "list_subscriptions", "Subscriptions", "SubscriptionArn"),
    "aws_sqs_queue": lambda account: account.pages("sqs", "list_queues", "QueueUrls"),
    "aws_ssm_parameter": named("ssm", "describe_parameters", "Parameters", "Name"),
    "aws_vpc_endpoint": lambda account: account.endpoints(),
    "rule of an archive": lambda account: account.rules(managed=True),
    "secret of a connection": named("secretsmanager", "list_secrets", "SecretList", "Name", IncludePlannedDeletion=True),
}

PARTS = {
    "aws_apigatewayv2_authorizer": "API",
    "aws_apigatewayv2_integration": "API",
    "aws_apigatewayv2_route": "API",
    "aws_apigatewayv2_stage": "API",
    "aws_cloudwatch_event_target": "rule",
    "aws_iam_role_policy": "role",
    "aws_lambda_function_event_invoke_config": "function",
    "aws_lambda_function_url": "function",
    "aws_lambda_permission": "function",
    "aws_sns_topic_policy": "topic",
    "aws_sqs_queue_policy": "queue",
    "aws_sqs_queue_redrive_allow_policy": "queue",
    "aws_sqs_queue_redrive_policy": "queue",
    "aws_vpc_security_group_ingress_rule": "security group",
}


def held(account: Account) -> Kinds:
    """All of each kind that there is; kinds of which there is none are left out."""
    found = {kind: sorted(find(account)) for kind, find in KINDS.items()}
    return {kind: names for kind, names in found.items() if names}


def beyond(now: Kinds, before: Kinds) -> Kinds:
    """What is there now and was not before."""
    more = {kind: sorted((Counter(names) - Counter(before.get(kind, []))).elements()) for kind, names in now.items()}
    return {kind: names for kind, names in more.items() if names}


def unlike_the_state(new: Kinds, types: list[str]) -> list[str]:
    """Where the account has more or fewer of a kind than Terraform says to have made; `types` is that of each resource."""
    listed, unlike = Counter(types), []
    for kind in sorted(set(listed) | set(new)):
        if kind in PARTS:
            continue
        if kind not in KINDS:
            unlike.append(f"{kind}: infra/inventory.py does not know how to look for it")
        elif kind in listed and listed[kind] != len(new.get(kind, [])):
            unlike.append(f"{kind}: Terraform made {listed[kind]}, there are {len(new.get(kind, []))}: {new.get(kind, [])}")
        elif kind not in listed and kind.startswith("aws_"):
            unlike.append(f"{kind}: nobody made {new[kind]}")
    return unlike
