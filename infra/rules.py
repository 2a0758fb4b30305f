#!/usr/bin/env python3
"""Rules for every resource of a kind, wherever it is written: what one module's test cannot promise for the next.

    infra/rules.py     read infra/ and say which rule is broken, and where

A rule that finds no resource of its kind fails, too: it would be checking nothing.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Resource:
    kind: str
    name: str
    body: str
    file: Path

    def __str__(self) -> str:
        return f"{self.file.relative_to(HERE.parent)}: {self.kind}.{self.name}"

    def has_block(self, block: str) -> bool:
        return re.search(rf'^\s*(?:dynamic\s+"{block}"|{block})\s*\{{', self.body, re.M) is not None

    def value(self, attribute: str) -> str | None:
        match = re.search(rf"^\s*{attribute}\s*=\s*(.+)$", self.body, re.M)
        return match[1].strip() if match else None


def resources() -> list[Resource]:
    found = []
    for file in sorted(HERE.glob("*/*/*.tf")):
        text = re.sub(r"^\s*#.*$", "", file.read_text(), flags=re.M)
        # Formatted code closes a block at the beginning of a line.
        for kind, name, body in re.findall(r'^resource "(\w+)" "(\w+)" \{\n(.*?)^\}', text, re.M | re.S):
            found.append(Resource(kind, name, body, file))
    return found


def target_retries(target: Resource, _all: list[Resource]) -> str | None:
    return None if target.has_block("retry_policy") else "a rule's target needs a retry policy: the default drops what it cannot deliver"


def queue_ends(queue: Resource, every: list[Resource]) -> str | None:
    """A queue that is worked off has a dead-letter queue; one that people read keeps its messages for 14 days."""
    here = [one for one in every if one.file.parent == queue.file.parent]
    redriven = any(
        one.kind == "aws_sqs_queue_redrive_policy" and one.value("queue_url") == f"aws_sqs_queue.{queue.name}.id" and "deadLetterTargetArn" in one.body
        for one in here
    )
    keeps = queue.value("message_retention_seconds") in ("local.fourteen_days", "14 * 24 * 60 * 60")
    return None if redriven or keeps else "a queue needs a dead-letter queue, or keeps its messages for 14 days"


def narrow_role(role: Resource, _all: list[Resource]) -> str | None:
    scope = role.value("scope") or ""
    wide = re.search(r"subscription|resource_group|management_group|tenant|^data\.|^\"/", scope)
    return f"a role is given on one resource, not on {scope}" if wide or not scope else None


def url_closed(url: Resource, _all: list[Resource]) -> str | None:
    # Module function asks its caller for it, and module saga-aws tests which callers open one.
    return None if url.value("authorization_type") == "var.url.auth" else "a function URL's authorisation comes from the module's variable, which is closed by default"


def topic_schema(topic: Resource, _all: list[Resource]) -> str | None:
    return None if topic.value("input_schema") == '"CloudEventSchemaV1_0"' else "a topic takes CloudEvents: another schema loses the addressing"


def subscription_keeps(subscription: Resource, _all: list[Resource]) -> str | None:
    if subscription.value("event_delivery_schema") != '"CloudEventSchemaV1_0"':
        return "a subscription delivers CloudEvents"
    missing = [block for block in ("retry_policy", "storage_blob_dead_letter_destination", "advanced_filter") if not subscription.has_block(block)]
    return f"a subscription needs {', '.join(missing)}" if missing else None


def no_wildcard(policy: Resource, _all: list[Resource]) -> str | None:
    if policy.kind == "aws_kms_key":
        return None  # a key's policy gives the account's principals nothing by itself
    found = re.search(r'"(?:\*|[a-z0-9-]+:[A-Za-z]*\*)"', policy.body.replace('["*"]', ""))
    return f"an action names one call, not {found[0]}" if found else None


def invoked_by_one(permission: Resource, _all: list[Resource]) -> str | None:
    if permission.value("action") != '"lambda:InvokeFunction"':
        return None
    bound = permission.value("source_arn") or permission.value("invoked_via_function_url") == "true"
    return None if bound else "a permission to invoke a function names its source, or is for calls through the URL only"


def bounded_role(role: Resource, every: list[Resource]) -> str | None:
    if role.value("path") != "var.iam.path" or role.value("permissions_boundary") != "var.iam.permissions_boundary":
        return "a role takes its path and its boundary from var.iam"
    if "${var.iam.suffix}" not in (role.value("name") or ""):
        return "a role's name ends in var.iam.suffix: two regions of an account have roles in common"
    return no_wildcard(role, every)


# Names that live inside something that is named: the policies of a role, the targets of a rule.
NAME_OF = {
    "aws_cloudwatch_metric_alarm": "alarm_name", "aws_cloudwatch_dashboard": "dashboard_name", "aws_lambda_function": "function_name",
    **dict.fromkeys((
        "aws_cloudwatch_event_api_destination", "aws_cloudwatch_event_archive", "aws_cloudwatch_event_bus", "aws_cloudwatch_event_connection",
        "aws_cloudwatch_event_rule", "aws_cloudwatch_log_group", "aws_cloudwatch_log_metric_filter", "aws_dynamodb_table", "aws_iam_role",
        "aws_kms_alias", "aws_scheduler_schedule", "aws_sns_topic", "aws_sqs_queue", "aws_ssm_parameter",
    ), "name"),
}
NAMELESS = {
    "aws_cloudwatch_event_target", "aws_iam_role_policy", "aws_kms_key", "aws_lambda_event_source_mapping", "aws_lambda_function_event_invoke_config",
    "aws_lambda_function_url", "aws_lambda_permission", "aws_sns_topic_policy", "aws_sns_topic_subscription", "aws_sqs_queue_policy",
    "aws_sqs_queue_redrive_allow_policy", "aws_sqs_queue_redrive_policy",
}


def named_by_environment(resource: Resource) -> str | None:
    """Two deployments in one account and region share no name."""
    if not resource.kind.startswith("aws_") or resource.kind in NAMELESS:
        return None
    if resource.kind not in NAME_OF:
        return "say in rules.py what names it, or that nothing does"
    name = resource.value(NAME_OF[resource.kind]) or ""
    if not re.search(r"var\.(prefix|name|environment)\b", name):
        return f"its name, {name or 'which AWS makes up'}, comes from the environment's (var.prefix, or var.name of a module)"
    if resource.kind == "aws_cloudwatch_dashboard" and "var.region" not in name:
        return "a dashboard's name has the region: dashboards are an account's"
    return None


def key_outlives(key: Resource, _all: list[Resource]) -> str | None:
    kept = re.search(r"lifecycle \{\s*prevent_destroy = true", key.body)
    return None if kept else "a key is not scheduled for deletion by Terraform: backups need it longer than the tables live"


def backends() -> list[str]:
    """Where the state lies is told at `init`, so that no environment's is in a tracked file."""
    wanted = {"aws": "s3", "azure": "azurerm"}
    return [
        f"infra/stacks/{stack}: has an empty backend \"{kind}\" {{}}, which `init -backend-config` fills in"
        for stack, kind in wanted.items()
        if not re.search(rf'^  backend "{kind}" \{{\}}$', (HERE / "stacks" / stack / "versions.tf").read_text(), re.M)
    ]


RULES = {
    "aws_cloudwatch_event_target": target_retries,
    "aws_sqs_queue": queue_ends,
    "aws_lambda_function_url": url_closed,
    "azurerm_role_assignment": narrow_role,
    "azurerm_eventgrid_topic": topic_schema,
    "azurerm_eventgrid_event_subscription": subscription_keeps,
    "aws_iam_role_policy": no_wildcard,
    "aws_sqs_queue_policy": no_wildcard,
    "aws_iam_role": bounded_role,
    "aws_lambda_permission": invoked_by_one,
    "aws_kms_key": key_outlives,
}


def main() -> int:
    every = resources()
    broken = []
    for kind, rule in RULES.items():
        of_kind = [one for one in every if one.kind == kind]
        if not of_kind:
            broken.append(f"there is no {kind}: the rule for it checks nothing")
        broken += [f"{one}: {why}" for one in of_kind if (why := rule(one, every))]
    broken += [f"{one}: {why}" for one in every if (why := named_by_environment(one))]
    broken += backends()
    for why in broken:
        print(f"rules: {why}", file=sys.stderr)
    if not broken:
        print(f"rules: {len(RULES)} rules hold for {sum(one.kind in RULES for one in every)} resources")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
