#!/usr/bin/env python3
"""Plant mistakes in a copy of the Terraform, and show which check catches each.

    infra/mutants.py [WORD…]     all, or those whose name has one of the words (about ten minutes)

Exits with 1 when a mistake is caught by nothing. Needs what `infra/terraform.py check` needs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from command_line import Parser

ROOT = Path(__file__).resolve().parent.parent
READERS = ("rules", "iam_calls", "deployer", "azure_roles")
COPIED = ("infra", "functions", "shared/app/src", "shared/aws/src", "shared/azure/src", "shared/runtime/src")


@dataclass(frozen=True)
class Mistake:
    name: str
    file: str
    old: str  # a pattern; its first match is replaced
    new: str
    folders: tuple[str, ...] = ()  # whose tests to run, beside what READERS read


def module(name: str) -> str:
    return f"infra/modules/{name}/main.tf"


def mistake(name: str, of: str, old: str, new: str, tests: bool = True) -> Mistake:
    return Mistake(name, module(of), old, new, (f"infra/modules/{of}",) if tests else ())


DEPLOY = "infra/modules/azure-participant/deploy.sh"
SUBSCRIPTION = '"/subscriptions/00000000-0000-0000-0000-000000000000"'

MISTAKES = [
    mistake("an IAM wildcard", "saga-aws", r'\["events:PutEvents"\]', '["events:*"]'),
    mistake("an IAM wildcard beside module function", "bus", r'"events:InvokeApiDestination"', '"events:*"', tests=False),
    mistake("an action that nobody calls", "saga-aws", r'\["events:PutEvents"\]', '["events:PutEvents", "events:PutRule"]'),
    Mistake("a call that no role allows", "shared/aws/src/event_bridge.rs", r"\.put_events\(\)", ".put_partner_events()"),
    mistake("a queue that lost its dead-letter queue", "relay", r'(?ms)^resource "aws_sqs_queue_redrive_policy" "this" \{.*?^\}\n', ""),
    mistake("a new queue without a dead-letter queue", "queues", r'(?m)^resource "aws_sqs_queue" "events" \{', 'resource "aws_sqs_queue" "extra" {\n  name = "extra"\n}\n\n\\g<0>', tests=False),
    mistake("a rule's target without retry policy", "bus", r"(?ms)^  retry_policy \{.*?^  \}\n", ""),
    mistake("the API without authorisation", "saga-aws", r"= var\.api\n", '= { auth = "NONE" }\n'),
    mistake("every URL without authorisation", "function", r"= var\.url\.auth\n", '= "NONE"\n'),
    mistake("a webhook without Entra", "azure-topic", r"(?m)^    active_directory_tenant_id.*\n    active_directory_app.*\n", ""),
    mistake("Event Grid without the handshake role", "azure-access", r"\{ event_grid = [^}]*\}", "{}"),
    mistake("the handshake role by another name", "azure-access", r'"AzureEventGridSecureWebhookSubscriber"', '"Subscriber"'),
    mistake("an input schema other than CloudEvents", "azure-topic", r'= "CloudEventSchemaV1_0"', '= "EventGridSchema"'),
    mistake("a sender in the whole subscription", "azure-topic", r"= azurerm_eventgrid_topic\.this\.id\n", f"= {SUBSCRIPTION}\n"),
    mistake("a role on all tables of the subscription", "azure-participant", r"scope = var\.data\.table\.id", 'scope = split("/resourceGroups", var.data.table.id)[0]'),
    mistake("a subscription without dead letters", "azure-topic", r"(?ms)^  storage_blob_dead_letter_destination \{.*?^  \}\n", ""),
    mistake("a setting that the handler asks for forgotten", "azure-participant", r"(?m)^    SAGA_TABLE .*\n", ""),
    Mistake("a call of an adapter in a folder that no role allows", "shared/aws/src/dead_letters/queue.rs", r"\.delete_message_batch\(\)", ".purge_queue()"),
    mistake("a role of the replayer on all queues of the account", "azure-replayer", r"scope = var\.queues\.poison\.id", 'scope = split("/queueServices", var.queues.poison.id)[0]'),
    mistake("a replayer trusted under any role", "azure-access", r"= var\.replayer\.role_arn\n", '= "*"\n'),
    mistake("Event Grid's principal taken over", "azure-access", r'data "azuread_service_principal" "event_grid" \{\n', 'resource "azuread_service_principal" "event_grid_too" {\n  client_id    = local.event_grid_client_id\n  use_existing = true\n}\n\n\\g<0>', tests=False),
    mistake("state that loses Event Grid's principal", "azure-access", r"    destroy = false\n", "    destroy = true\n", tests=False),
    mistake("a table over the data plane", "azure-storage", r'resource "azurerm_storage_queue" "this"', 'resource "azurerm_storage_table" "steps" {\n  name               = "SagaSteps"\n  storage_account_id = azurerm_storage_account.this.id\n}\n\n\\g<0>', tests=False),
    mistake("a storage account with keys", "azure-participant", r"= false\n  default_to_oauth", "= true\n  default_to_oauth", tests=False),
    mistake("a deployment that deletes its neighbours", "azure-storage", r'= "Incremental"', '= "Complete"'),
    Mistake("a table that goes with its deployment", "infra/stacks/azure/main.tf", r"deletion = false", "deletion = true"),
    mistake("a kind of resource that the deployer cannot make", "azure-storage", r'(?m)^resource "azurerm_storage_queue"', 'resource "azurerm_storage_share" "more" {\n  name               = "more"\n  storage_account_id = azurerm_storage_account.this.id\n  quota              = 1\n}\n\n\\g<0>', tests=False),
    mistake("a role that the deployer may not give", "azure-replayer", r'"Storage Table Data Contributor"', '"Owner"', tests=False),
    Mistake("a deployer's role without an action", "infra/deployer/azure/main.tf", r"concat\(local\.reads, local\.writes\)", 'setsubtract(concat(local.reads, local.writes), ["Microsoft.EventGrid/topics/listKeys/action"])', ("infra/deployer/azure",)),
    Mistake("a deployer that makes itself Owner", "infra/deployer/azure/main.tf", r"(?m)^  condition  .*\n", "", ("infra/deployer/azure",)),
    mistake("a queue trigger that cannot release a message", "azure-participant", r'(events +=.*)"Storage Queue Data Contributor"', '\\1"Storage Queue Data Message Processor"', tests=False),
    mistake("a role wider than what is done", "azure-participant", r'(quarantine +=.*)"Storage Queue Data Message Sender"', '\\1"Storage Queue Data Contributor"', tests=False),
    mistake("Event Grid that cannot write dead letters", "azure-topic", r'"Storage Blob Data Contributor"', '"Storage Blob Data Reader"', tests=False),
    Mistake("a request of the code that no role was held against", "shared/azure/src/client/queue.rs", r"Method::Delete", "Method::Patch"),
    Mistake("a publisher without a role on the topic", "infra/stacks/azure/main.tf", r"\{ aws = module\.access\.publisher\.object_id \}", "{}"),
    mistake("owners that follow who runs", "azure-access", r"toset\(\[terraform_data\.first_caller\.output\]\)", "toset([data.azuread_client_config.current.object_id])"),
    mistake("writers that follow who runs", "azure-access", r"(?m)^    ignore_changes = \[input\]\n", ""),
    Mistake("a name shared by two environments", "infra/stacks/azure/main.tf", r'"enterprise-saga-choreography-\$\{local\.suffix\}"', '"enterprise-saga-choreography"', ("infra/stacks/azure",)),
    Mistake("a name shared by two regions", "infra/stacks/azure/main.tf", r'/\$\{var\.location\}"', '"', ("infra/stacks/azure",)),
    Mistake("an Entra application shared by two environments", "infra/stacks/azure/main.tf", r'"\$\{local\.name\}-\$\{local\.suffix\}"', '"saga-${var.location}"', ("infra/stacks/azure",)),
    Mistake("an upload that waits for ever", DEPLOY, r'(?m)^  end "\$1"\n', "  :\n"),
    Mistake("an upload that is tried once", DEPLOY, r'\[ \$\(\(\$\(spent\) .*\|\|', "false ||"),
    Mistake("an upload to another subscription", DEPLOY, r'(?m)^\[ "\$\(tail -n 1 .*\n.*\n', ""),
    Mistake("a host's setting left in place", DEPLOY, r'(?m)^step "removing.*\n', ""),
    mistake("an app without a package whose settings are wrong", "azure-participant", r'(resource "terraform_data" "package" \{\n)', '\\1  count = var.package == null ? 0 : 1\n'),
    mistake("data that a new name deletes", "azure-storage", r"prevent_destroy = true", "prevent_destroy = false", tests=False),
    mistake("data that a new address deletes", "azure-storage", r'"azurerm_storage_queue" "this"', '"azurerm_storage_queue" "queues"', tests=False),
    Mistake("a group that goes with its data", "infra/stacks/azure/main.tf", r"    prevent_destroy = true\n", ""),
    Mistake("a module of data that is called otherwise", "infra/stacks/azure/main.tf", r'module "storage" ', 'module "data" '),
    Mistake("lines of a saga that are sampled away", "functions/azure-participant/host.json", r'"isEnabled": false', '"isEnabled": true', ("infra/modules/azure-participant",)),
    mistake("an alert that rings at the first apply", "azure-operations", r" and now\(\) > datetime\(\$\{local\.quiet_until\}\)", ""),
    mistake("an alert that each apply silences", "azure-operations", r"(?m)^    ignore_changes = \[input\]\n", ""),
    mistake("a rotation that takes the secret in use away", "azure-access", r"max\(var\.secret\.rotation - 1, 1\)", "var.secret.rotation"),
    mistake("a secret's end that makes the old one anew", "azure-access", r"ignore_changes = \[display_name, end_date, rotate_when_changed\]", "ignore_changes = [display_name]"),
    mistake("a secret that expires unseen", "azure-operations", r'"-720h"', '"0h"'),
    Mistake("a state that two environments share", "infra/stacks/azure/versions.tf", r'backend "azurerm" \{\}', 'backend "azurerm" {\n    key = "azure.tfstate"\n  }'),
    Mistake("a secret between the clouds by default", "infra/stacks/azure/variables.tf", r'default     = "federation-relay"', 'default     = "api-destination"', ("infra/stacks/azure",)),
    mistake("an account that stays open beside its network", "azure-storage", r'default_action             = "Deny"', 'default_action             = "Allow"'),
    mistake("a network that Event Grid does not reach into", "azure-storage", r'bypass                     = \["AzureServices"\]', 'bypass                     = ["None"]'),
    Mistake("a key of one's own that one account does not get", "infra/stacks/azure/main.tf", r"(?m)^  customer_key         = var\.customer_key\n", "", ("infra/stacks/azure",)),
    mistake("an app whose settings go wrong at its next change", "azure-participant", r"(?m)^    replace_triggered_by = .*\n", "", tests=False),
    mistake("logs that end unseen", "azure-operations", r"contains 'OverQuota'", "contains 'Nothing'"),
    Mistake("a schedule that nobody misses", "infra/modules/saga-aws/outputs.tf", r"(?m)^ +dlq-replayer += module\.dlq_replayer\.schedule\n", "", ("infra/modules/saga-aws",)),
    mistake("a silence that is not the alarm", "operations", r'silence = "missing"', 'silence = "notBreaching"'),
    Mistake("a flag counted in one of the logs that show it", "infra/modules/operations/metrics.tf", r'concat\(\["outbox_poller"\], local\.deciders\)', 'local.deciders', ("infra/modules/operations",)),
    Mistake("a queue shared by two environments", module("queues"), r'"\$\{var\.prefix\}saga-quarantine"', '"saga-quarantine"', ("infra/stacks/aws",)),
    Mistake("a dashboard shared by two regions", "infra/modules/operations/dashboard.tf", r"saga-bridge-\$\{var\.region\}", "saga-bridge", ("infra/stacks/aws",)),
    mistake("a role shared by two regions", "function", r"\$\{var\.iam\.suffix\}", "", tests=False),
    mistake("a role without its boundary", "bus", r"(?m)^  permissions_boundary .*\n", "", tests=False),
    mistake("callers who may invoke past the URL", "url-callers", r"(?m)^  invoked_via_function_url .*\n", "", tests=False),
    mistake("a schedule's permission without its source", "function", r"(?m)^  source_arn .*\n", "", tests=False),
    mistake("a key that an apply deletes", "encryption", r"(?ms)^  lifecycle \{.*?^  \}\n", "", tests=False),
    mistake("a condition that EventBridge cannot meet", "encryption", r'= \{ Service = "events\.amazonaws\.com" \}\n', '\\g<0>        Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }\n'),
    mistake("a bus that its key does not encrypt", "bus", r"(?m)^  kms_key_identifier = .*\n", ""),
    mistake("a bus that drops what it cannot encrypt", "bus", r'(?ms)^  dynamic "dead_letter_config" \{.*?^  \}\n', ""),
    Mistake("a stack whose encrypted bus drops what it cannot open", "infra/stacks/aws/main.tf", r"(?m)^    bus_dead_letters .*\n", "", ("infra/stacks/aws",)),
    mistake("a dead-letter queue behind the key that failed", "bus", r"(?m)^  sqs_managed_sse_enabled   = true\n", "  kms_master_key_id         = var.kms_key_arn\n"),
    mistake("an archive that its key does not encrypt", "archive", r"(?m)^  kms_key_identifier = .*\n", "", tests=False),
    Mistake("an archive that an upgrade deletes", "infra/stacks/aws/main.tf", r"(?ms)^moved \{.*?^\}\n", ""),
    mistake("a log that its key does not encrypt", "function", r"(?m)^  kms_key_id .*\n", ""),
    Mistake("a connection's secret that its key does not encrypt", module("bus"), r'(?m)(^  authorization_type = .*\n)  kms_key_identifier = .*\n', "\\1", ("infra/modules/bus",)),
    Mistake("a module that the key was not passed on to", "infra/modules/saga-aws/replayer.tf", r"(?m)^  kms_key_arn .*\n", ""),
    mistake("a key that opens every bus", "encryption", r'(?m)^        Condition = \{ StringEquals = \{ "kms:EncryptionContext:aws:events.*\n', ""),
    mistake("a key for the logs of the whole account", "encryption", r'/aws/lambda/\$\{var\.prefix\}\*', "*"),
    mistake("a key for a bus of another name", "encryption", r"enterprise-core-bus", "core-bus"),
    mistake("a key that a connection's secret cannot use", "encryption", r"(?m)^  tags = .*\n", ""),
    Mistake("a planner that decrypts what it likes", "infra/deployer/aws/main.tf", r"(?m)^    Condition = \{ StringLike = .*\n", "", ("infra/deployer/aws",)),
    Mistake("a planner that cannot read an encrypted bus' rules", "infra/deployer/aws/main.tf", r"\[local\.opens_rules\]", "[]", ("infra/deployer/aws",)),
    Mistake("a webhook without a way to Entra's keys", module("saga-aws"), r"try\(var\.network\.internet, false\)", "var.network != null", ("infra/modules/saga-aws",)),
    Mistake("a relay inside a network without a way out", "infra/modules/saga-aws/relay.tf", r"local\.network_with_internet", "var.network", ("infra/modules/saga-aws",)),
    mistake("code that may make network interfaces", "function", r'= "Deny"', '= "Allow"'),
    mistake("a service without an endpoint", "network-endpoints", r'setunion\(var\.services, \["dynamodb"\]\)', "var.services"),
    Mistake("a service that the functions in a network cannot reach", "infra/modules/network-endpoints/variables.tf", r'default     = \["events", "sns", "sqs"\]', 'default     = ["events", "sns"]', ("infra/modules/network-endpoints",)),
    mistake("an endpoint for every account", "network-endpoints", r'(?m)^        Condition = \{ StringEquals = \{ "aws:PrincipalAccount" .*\n', ""),
    mistake("an endpoint to every account", "network-endpoints", r':\$\{local\.account\}:\*', ":*:*"),
    Mistake("a deployer that opens others' security groups", "infra/deployer/aws/main.tf", r"(Resource  = local\.permissions\.services\.ec2\n)      Condition = local\.tagged\n", "\\1", ("infra/deployer/aws",)),
    Mistake("data that a rename deletes", "infra/stacks/aws/main.tf", r"(?m)^  triggers_replace = \[module\.saga\.names\.payments_table, ", "  triggers_replace = [", ("infra/stacks/aws",)),
    Mistake("concurrency that a new account does not have", "infra/stacks/aws/variables.tf", r'(?s)(variable "ingress_concurrency" \{.*?default     = )null', "\\g<1>50", ("infra/stacks/aws",)),
    Mistake("another environment's hand-over", "infra/stacks/aws/main.tf", r"local\.azure\.environment == var\.environment", "true", ("infra/stacks/aws",)),
    Mistake("a state's place in a tracked file", "infra/stacks/aws/versions.tf", r'backend "s3" \{\}', 'backend "s3" {\n    bucket = "ours"\n  }'),
    Mistake("a connection that nobody looks at", "infra/modules/operations/connection.tf", r'"Connection Deauthorized", ', "", ("infra/modules/operations",)),
    Mistake("a secret that expires without an alert", "infra/modules/operations/connection.tf", r"\[30, 7\]", "[7]", ("infra/modules/operations",)),
    mistake("an alarm that rings before anything ran", "operations", r'silence = "missing"', 'silence = "breaching"'),
    Mistake("a call that the deployer may not make", "infra/deployer/aws/permissions.json", r'"aws_sqs_queue_policy": \{\n.*\n.*\n    \},\n', ""),
    Mistake("a deployer that reaches another environment", "infra/deployer/aws/permissions.json", r":table/\$\{prefix\}\*", ":table/*", ("infra/deployer/aws",)),
    Mistake("a deployer's role from any repository's pull request", "infra/deployer/aws/main.tf", r"StringEquals = \{\n          \"token", 'StringLike = {\n          "token', ("infra/deployer/aws",)),
    Mistake("a refused connection that is waited for", "infra/stacks/aws/connection.sh", r"DEAUTHORIZED\* \| ", ""),
    mistake("a caller that takes the requests of every service", "service-caller", r'\["aws\.\$\{var\.name\}"\]', '[{ prefix = "aws." }]'),
    mistake("a request that is shown again while it is worked on", "service-caller", r"6 \* local\.timeout_seconds", "local.timeout_seconds"),
    mistake("a caller that invokes a function past its URL", "service-caller", r'(?m)^      conditions = \[\{ test = "Bool".*\n', "      conditions = []\n"),
    mistake("a caller that reads every secret", "service-caller", r"resources  = \[secret\]", 'resources  = [replace(secret, "/:secret:.*/", ":secret:*")]'),
    mistake("a caller's queue that anybody writes to", "service-caller", r'ArnEquals = \{ "aws:SourceArn" = aws_cloudwatch_event_rule\.this\.arn \}', 'ArnLike = { "aws:SourceArn" = "arn:aws:events:*" }'),
    mistake("a caller's queue shared by two environments", "service-caller", r'"\$\{var\.prefix\}saga-calls-', '"saga-calls-'),
    Mistake("a caller whose queues have a key of AWS", "infra/modules/saga-aws/services.tf", r"(?m)^  kms_key_arn .*\n", ""),
    Mistake("a service's dead letters that nobody sees", "infra/modules/saga-aws/replayer.tf", r"(?m)^    values\(module\.service_caller\)\[\*\]\.dead_letter_queue\.arn,\n", "", ("infra/modules/saga-aws",)),
    Mistake("a caller that nobody watches", "infra/modules/saga-aws/outputs.tf", r'(?m)^.*"caller-\$\{name\}" => caller\.function_name.*\n', "", ("infra/modules/saga-aws",)),
    Mistake("sagas that end with a service's answer and are not counted", "infra/modules/operations/metrics.tf", r"SagasEnded( +)= \{ logs = local\.deciders", 'SagasEnded\\1= { logs = ["saga_events"]', ("infra/modules/operations",)),
    Mistake("a service over plain HTTP", "infra/modules/services/variables.tf", r"\^\(https://\[A-Za-z0-9\.-\]", "^(https?://[A-Za-z0-9.-]", ("infra/modules/services",)),
    Mistake("a secret of the environment in a cloud", "infra/modules/services/variables.tf", r'can\(regex\("\^https\?://[^"]*", service\.url\)\) && can\(regex\("\^env', 'true && can(regex("^env', ("infra/modules/services",)),
    Mistake("a member of services that one stack does not know", "infra/stacks/azure/variables.tf", r"(?m)^    audience        = optional\(string\)\n", ""),
    mistake("requests to services on Azure that AWS gets, too", "azure-topic", r"(?ms)^    string_not_begins_with \{.*?^    \}\n", ""),
    mistake("requests to one service only", "azure-topic", r'services = "azure\."', 'services = "azure.bank"'),
    mistake("a vault whose every secret is read", "azure-participant", r'/secrets/\$\{regex\("[^"]*", service\.secret\)\[0\]\}', ""),
    mistake("poison of requests that raises no alert", "azure-operations", r" or ObjectKey has '\$\{var\.queues\.calls_poison\}'\)\"", ')"'),
    mistake("a caller on Azure that cannot put a request back", "azure-participant", r'(    calls +=.*)"Storage Queue Data Contributor"', '\\1"Storage Queue Data Message Processor"', tests=False),
    Mistake("a deployer that lets anybody read secrets", "infra/deployer/azure/main.tf", r" \|\| var\.signed_services\]", " || true]", ("infra/deployer/azure",)),
    Mistake("requests to services that wake nothing", "functions/azure-participant/service-call/function.json", r"%CALLS_QUEUE%", "%SAGA_QUEUE%", ("infra/modules/azure-participant",)),
    Mistake("an alarm without a section in the runbook", "infra/RUNBOOK.md", r"## parked-sagas", "## parked", ("infra/modules/operations",)),
]


def caught_by(mistake: Mistake, place: Path) -> list[str]:
    file = place / mistake.file
    sound = file.read_text()
    broken, found = re.subn(mistake.old, mistake.new, sound, count=1)
    if not found or broken == sound:
        raise SystemExit(f"{mistake.name}: {mistake.file} has no {mistake.old}")
    file.write_text(broken)
    try:
        caught = []
        for check in READERS:
            done = run(place, [f"infra/{check}.py"])
            caught += [done.stderr.strip().splitlines()[0]] if done.returncode else []
        if mistake.file.endswith(".sh"):
            done = run(place, ["infra/shell_tests.py"])
            caught += re.findall(r"(?m)^(?:FAIL|ERROR): (\w+)", done.stderr) if done.returncode else []
        if mistake.folders:
            done = run(place, ["infra/terraform.py", "check", *mistake.folders])
            shown = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
            failed = re.findall(r'run "(\w+)"\.\.\. fail', shown) or re.findall(r"(?m)^names: (.*)", shown)[:1] or re.findall(r"Error: (.*)", shown)
            caught += [f"{' '.join(mistake.folders)}: {', '.join(dict.fromkeys(failed))}"] if done.returncode else []
            if "SKIPPED" in shown:
                raise SystemExit("the providers are not there: nothing can be said")
        return caught
    finally:
        file.write_text(sound)


def run(place: Path, command: list[str]) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *command], cwd=place, env=os.environ, capture_output=True, text=True, check=False)


def main(arguments: list[str]) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD")
    words = parser.parse_args(arguments).words
    missed = []
    with tempfile.TemporaryDirectory(prefix="terraform-mutants-") as folder:
        for each in COPIED:
            shutil.copytree(ROOT / each, Path(folder, each), symlinks=True, ignore=shutil.ignore_patterns(".terraform*", "__pycache__"))
        chosen = [one for one in MISTAKES if not words or any(word in one.name for word in words)]
        # What fails without a mistake would catch everything.
        folders = sorted({folder for one in chosen for folder in one.folders})
        for sound in (*([f"infra/{check}.py"] for check in READERS), ["infra/terraform.py", "check", *folders]):
            if len(sound) != 2 and (done := run(Path(folder), sound)).returncode:
                raise SystemExit(f"{sound[0]} fails without a mistake:\n{done.stdout}{done.stderr}")
        for one in chosen:
            caught = caught_by(one, Path(folder))
            print(f"{'caught' if caught else 'MISSED'}: {one.name}", *caught, sep="\n    ", flush=True)
            missed += [] if caught else [one.name]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
