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

from command_line import takes_nothing

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


def uncommented(file: Path) -> str:
    return re.sub(r"^\s*(?:#|//).*$", "", file.read_text(), flags=re.M)


def resources() -> list[Resource]:
    found = []
    for file in sorted(file for file in HERE.glob("*/*/*.tf") if not file.name.endswith("override.tf")):
        text = uncommented(file)
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
    found = re.search(r'"(?:\*|[a-z0-9-]+:[A-Za-z]*\*)"', re.sub(r'Principal\s*=\s*(?:\{ AWS = )?"\*"', "", policy.body.replace('["*"]', "")))
    return f"an action names one call, not {found[0]}" if found else None


def tls_only(policy: Resource, every: list[Resource]) -> str | None:
    denies = re.search(r'"Deny"[^}]*"aws:SecureTransport" = "false"', policy.body, re.S) or "local.tls_only" in policy.body
    return no_wildcard(policy, every) if denies else "a policy refuses requests without TLS"


def has_policy(queue: Resource, every: list[Resource]) -> str | None:
    """Every queue is in a policy that refuses requests without TLS: of its own module, or by the rule that writes to it."""
    here = [one for one in every if one.kind == "aws_sqs_queue_policy" and one.file.parent == queue.file.parent]
    by_rule = queue.name in ("events", "events_dlq", "destination_dlq") and queue.file.parent.name == "queues" or queue.name == "this" and queue.file.parent.name == "relay"
    named = any(re.search(rf"aws_sqs_queue\.{queue.name}\b", one.body) for one in here)
    return queue_ends(queue, every) or (None if named or by_rule else "a queue has a policy that refuses requests without TLS")


def once(data: Resource, _all: list[Resource]) -> str | None:
    if "timestamp()" not in data.body or re.search(r"ignore_changes = \[input\]", data.body):
        return None
    return "a time that is kept is the first apply's: lifecycle { ignore_changes = [input] }"


def invoked_by_one(permission: Resource, _all: list[Resource]) -> str | None:
    if permission.value("action") == '"lambda:InvokeFunctionUrl"':
        return None
    if permission.value("action") != '"lambda:InvokeFunction"':
        return "a permission names its one action in full"
    bound = permission.value("source_arn") not in (None, "null", '"*"') or permission.value("invoked_via_function_url") == "true"
    return None if bound else "a permission to invoke a function names its source, or is for calls through the URL only"


def bounded_role(role: Resource, every: list[Resource]) -> str | None:
    if "deployer" in role.file.parts:
        return no_wildcard(role, every)  # made by an administrator, before there is anything else
    if role.value("path") != "var.iam.path" or role.value("permissions_boundary") != "var.iam.permissions_boundary":
        return "a role takes its path and its boundary from var.iam"
    if "${var.iam.suffix}" not in (role.value("name") or ""):
        return "a role's name ends in var.iam.suffix: two regions of an account have roles in common"
    return no_wildcard(role, every)


def key_outlives(key: Resource, _all: list[Resource]) -> str | None:
    kept = re.search(r"lifecycle \{\s*prevent_destroy = true", key.body)
    return None if kept else "a key is not scheduled for deletion by Terraform: backups need it longer than the tables live"


def forbidden(text: str) -> list[str]:
    """What no Terraform of ours says, in whatever block."""
    return [why for pattern, why in FORBIDDEN.items() if re.search(pattern, text, re.M)]


def keeps_what_is_removed(text: str) -> list[str]:
    """`removed` makes Terraform forget; without `destroy = false` it deletes."""
    blocks = re.findall(r"^removed \{\n(.*?)^\}", text, re.M | re.S)
    return [f"`removed` of {found[1] if (found := re.search(r'from *= *(.+)', block)) else 'nothing'} deletes it: say destroy = false"
            for block in blocks if not re.search(r"^\s*destroy\s*=\s*false$", block, re.M)]


def no_keys(account: Resource, _all: list[Resource]) -> str | None:
    return None if account.value("shared_access_key_enabled") == "false" else "a storage account has no keys: whoever holds one is everybody"


def incremental(deployment: Resource, _all: list[Resource]) -> str | None:
    return None if deployment.value("deployment_mode") == '"Incremental"' else "a deployment is incremental: a complete one deletes what else is in the group"


def keeps_what_was_deployed(text: str) -> list[str]:
    """Deleting a deployment deletes what it made unless the provider is configured not to: the table with every saga."""
    blocks = re.findall(r'^provider "azurerm" \{\n(.*?)^\}', text, re.M | re.S)
    return ["the azurerm provider needs template_deployment { delete_nested_items_during_deletion = false }"
            for block in blocks if not re.search(r"template_deployment \{\s*delete_nested_items_during_deletion = false", block)]


# They speak to the storage account itself, where Owner has no rights, and some sign with a shared key, which ours refuse
# (internal/services/storage of terraform-provider-azurerm 5.2.0: everything that asks for a DataPlaneClient).
DATA_PLANE = (
    "account_queue_properties", "account_static_website", "account_table_properties", "blob", "data_lake_gen2_filesystem",
    "data_lake_gen2_path", "share_directory", "share_file", "table", "table_entities", "table_entity",
)

FORBIDDEN = {
    r"^(?!\s*input\s*=).*(?:client_config\.\w+\.(?:object_id|client_id)|caller_identity\.\w+\.(?:arn|user_id))": "what is made does not depend on who runs: the second person would change it",
    rf'^(?:resource|data) "azurerm_storage_(?:{"|".join(DATA_PLANE)})"': "this kind speaks to the storage account's data plane, most with a shared key: go through Resource Manager",
    r"^\s*use_existing\s*=": "use_existing takes over a principal of somebody else, changes it and deletes it on destroy: read it by a data source",
}

# State that exists holds what is no longer managed: without the block, the next apply would delete it.
FORGOTTEN = {
    "modules/azure-storage": ("azurerm_storage_table.this",),
    "modules/azure-access": ("azuread_service_principal.event_grid",),
}

# State that exists holds this under the address of before: without the block, the next apply deletes it and makes an empty one.
MOVED = {"stacks/aws": ("module.saga.module.bus.aws_cloudwatch_event_archive.this[0]",)}


def settled(app: Resource, every: list[Resource]) -> str | None:
    """The provider writes a wrong setting at every change of an app; what takes it away runs again then, not only for a new app."""
    address = f"{app.kind}.{app.name}"
    runs = any(one.kind == "terraform_data" and one.file.parent == app.file.parent and one.value("replace_triggered_by") == f"[{address}]"
               and "deploy.sh" in one.body for one in every)
    return None if runs else "no terraform_data runs deploy.sh again at every change (replace_triggered_by) of this app"


# What can hold a saga's data, and the argument that names the key which encrypts it.
KEYED = {
    "aws_cloudwatch_event_archive": "kms_key_identifier",
    "aws_cloudwatch_event_bus": "kms_key_identifier",
    "aws_cloudwatch_event_connection": "kms_key_identifier",
    "aws_cloudwatch_log_group": "kms_key_id",
    "aws_dynamodb_table": "kms_key_arn",
    "aws_sns_topic": "kms_master_key_id",
    "aws_sqs_queue": "kms_master_key_id",
}
# What arrives there does so because the key cannot be used; the bus has encrypted it.
WITHOUT_KEY = {("modules/bus", "aws_sqs_queue", "bus_dlq")}


def keyed(held: Resource, _all: list[Resource]) -> str | None:
    argument = KEYED[held.kind]
    if (held.file.parent.relative_to(HERE).as_posix(), held.kind, held.name) in WITHOUT_KEY:
        return None if held.value(argument) is None else f"what the bus cannot encrypt is kept without the key: no {argument} here"
    return None if held.value(argument) == "var.kms_key_arn" else f"what can hold a saga's data takes the deployment's key: {argument} = var.kms_key_arn"


def keeps_what_the_key_refuses(bus: Resource, _all: list[Resource]) -> str | None:
    return None if bus.has_block("dead_letter_config") else "a bus with a key of its own has a dead-letter queue: it drops what it cannot encrypt or decrypt"


def key_passed_on(texts: dict[Path, str]) -> list[str]:
    """Whoever uses a module that takes the key gives it one: a module that is left out would encrypt with a key of AWS, unseen."""
    takes = {file.parent for file, text in texts.items() if re.search(r'^variable "kms_key_arn" ', text, re.M)}
    broken, uses = [], 0
    for file, text in texts.items():
        for name, body in re.findall(r'^module "(\w+)" \{\n(.*?)^\}', text, re.M | re.S):
            source = re.search(r'^\s*source\s*=\s*"(\.[^"]+)"', body, re.M)
            if source and (file.parent / source[1]).resolve() in takes:
                uses += 1
                if not re.search(r"^\s*kms_key_arn\s*=\s*(?:var|local)\.", body, re.M):
                    broken.append(f"{file.relative_to(HERE.parent)}: module.{name} is not given the deployment's key (kms_key_arn)")
    return broken if uses else ["no module is given the deployment's key: the rule for it checks nothing"]


SERVICES = "modules/services"


def same_services(texts: dict[Path, str]) -> list[str]:
    """Both stacks and their modules take one and the same map: a member that one of them does not know would be dropped there, unseen."""
    types = {file: found[1] for file, text in texts.items() if (found := re.search(r'^variable "services" \{\n(?:.*\n)*?  type += (map\((?:.*\n)*?  \}\)\))$', text, re.M))}
    wanted = types.get(HERE / SERVICES / "variables.tf")
    if not wanted or len(types) < 2:
        return [f"infra/{SERVICES} has no variable services, or nobody takes it on: the rule for it checks nothing"]
    return [f"{file.relative_to(HERE.parent)}: the type of services is not that of infra/{SERVICES}" for file, given in types.items() if given != wanted]


def all_of(*rules):
    return lambda one, every: next((why for rule in rules if (why := rule(one, every))), None)


def not_destroyed(held: Resource, _all: list[Resource]) -> str | None:
    if held.file.parent.relative_to(HERE).as_posix() in REPLACEABLE or held.value("prevent_destroy") == "true":
        return None
    return "what holds data is protected by lifecycle { prevent_destroy = true }: a new name or region would delete it"


def stays(folder: str, addresses: tuple[str, ...], every: list[Resource], texts: dict[Path, str]) -> list[str]:
    """`prevent_destroy` goes with the block: an address that is renamed is destroyed, unless `moved` says where it is now."""
    here = {f"{one.kind}.{one.name}": one for one in every if one.file.parent == HERE / folder}
    said = "".join(text for file, text in texts.items() if file.parent == HERE / folder)
    example = HERE / folder / "destroy_override.tf.example"
    problems = []
    for address in addresses:
        module = address.startswith("module.")
        there = re.search(rf'^module "{address.removeprefix("module.")}" ', said, re.M) if module else address in here
        if not there and not re.search(rf"^moved \{{\n\s*from\s*=\s*{re.escape(address)}$", said, re.M):
            problems.append(f"infra/{folder} has no {address} any more, which holds data: a `moved` block has to say where it went")
        elif there and not module and address not in GUARDED and here[address].value("prevent_destroy") != "true":
            problems.append(f"{here[address]}: what holds data is protected by lifecycle {{ prevent_destroy = true }}")
    protected = {address for address, one in here.items() if one.value("prevent_destroy") == "true"} - OUTLIVES
    freed = {".".join(found) for found in re.findall(r'^resource "(\w+)" "(\w+)"', example.read_text(), re.M)} if example.exists() else set()
    if protected != freed:
        problems.append(f"infra/{folder}/destroy_override.tf.example frees {', '.join(sorted(freed)) or 'nothing'}, and protected are {', '.join(sorted(protected))}")
    return problems


# Addresses whose data nobody can make again.
HOLDS_DATA = {
    "modules/azure-storage": (
        "azurerm_storage_account.this", "azurerm_resource_group_template_deployment.table", "azurerm_storage_queue.this",
        "azurerm_storage_container.dead_letters",
    ),
    "modules/encryption": ("aws_kms_key.this",),
    "modules/saga-aws": ("module.tables",),
    "modules/tables": ("aws_dynamodb_table.payments", "aws_dynamodb_table.sagas", "aws_dynamodb_table.outbox"),
    "stacks/aws": ("module.encryption", "module.saga", "terraform_data.keeps_data"),
    "stacks/azure": ("azurerm_resource_group.this", "module.storage"),
}

# Applied once for each environment.
BY_ENVIRONMENT = ("stacks/aws", "stacks/azure", "deployer/aws", "deployer/azure")

# An emulator's tables go with it. A stack's are protected by DynamoDB, and by terraform_data.keeps_data while it is planned.
GUARDED = {"aws_dynamodb_table.payments", "aws_dynamodb_table.sagas", "aws_dynamodb_table.outbox"}
# Not to be freed by anybody: Terraform forgets it (`state rm`) when the rest is destroyed.
OUTLIVES = {"aws_kms_key.this"}

# Locks and a package that can be uploaded again.
REPLACEABLE = {"modules/azure-participant"}

RULES = {
    "aws_cloudwatch_event_target": target_retries,
    "aws_sqs_queue": all_of(has_policy, keyed),
    "aws_cloudwatch_event_archive": keyed,
    "aws_cloudwatch_event_bus": all_of(keyed, keeps_what_the_key_refuses),
    "aws_cloudwatch_event_connection": keyed,
    "aws_cloudwatch_log_group": keyed,
    "aws_dynamodb_table": keyed,
    "aws_sns_topic": keyed,
    "aws_lambda_function_url": url_closed,
    "azurerm_storage_account": all_of(no_keys, not_destroyed),
    "azurerm_resource_group_template_deployment": all_of(incremental, not_destroyed),
    "azurerm_function_app_flex_consumption": settled,
    "azurerm_storage_queue": not_destroyed,
    "azurerm_storage_container": not_destroyed,
    "azurerm_resource_group": not_destroyed,
    "azurerm_role_assignment": narrow_role,
    "azurerm_eventgrid_topic": topic_schema,
    "azurerm_eventgrid_event_subscription": subscription_keeps,
    "aws_iam_role_policy": no_wildcard,
    "aws_sqs_queue_policy": tls_only,
    "aws_sns_topic_policy": tls_only,
    "aws_iam_role": bounded_role,
    "aws_lambda_permission": invoked_by_one,
    "terraform_data": once,
    "aws_kms_key": key_outlives,
}


def undocumented(folder: Path) -> list[str]:
    """What a folder takes and gives is in its README."""
    readme = (folder / "README.md").read_text() if (folder / "README.md").exists() else ""
    return [
        f"{(folder / 'README.md').relative_to(HERE.parent)} says nothing of the {kind} {name}"
        for file in sorted(folder.glob("*.tf"))
        for kind, name in re.findall(r'^(variable|output) "(\w+)"', file.read_text(), re.M)
        if f"`{name}`" not in readme
    ]


def main() -> int:
    every = resources()
    broken = []
    for kind, rule in RULES.items():
        of_kind = [one for one in every if one.kind == kind]
        if not of_kind:
            broken.append(f"there is no {kind}: the rule for it checks nothing")
        broken += [f"{one}: {why}" for one in of_kind if (why := rule(one, every))]
    texts = {file: uncommented(file) for file in sorted(HERE.rglob("*.tf"))}
    broken += [f"{file.relative_to(HERE.parent)}: {why}" for file, text in texts.items() for why in (*forbidden(text), *keeps_what_is_removed(text), *keeps_what_was_deployed(text))]
    broken += key_passed_on(texts) + same_services(texts)
    for folder, addresses in FORGOTTEN.items():
        said = "".join(text for file, text in texts.items() if file.parent == HERE / folder)
        broken += [f"infra/{folder} has no `removed` block for {address}: state that holds it would lose it" for address in addresses
                   if not re.search(rf"^removed \{{\n\s*from\s*=\s*{re.escape(address)}$", said, re.M)]
    for folder, addresses in MOVED.items():
        said = "".join(text for file, text in texts.items() if file.parent == HERE / folder)
        broken += [f"infra/{folder} has no `moved` block for {address}: every event that it keeps would be deleted" for address in addresses
                   if not re.search(rf"^moved \{{\n\s*from\s*=\s*{re.escape(address)}$", said, re.M)]
    for folder, addresses in HOLDS_DATA.items():
        broken += stays(folder, addresses, every, texts)
    broken += [f"{file.relative_to(HERE.parent)} takes a protection away: remove it when you have destroyed what you wanted to"
               for file, text in texts.items() if file.name.endswith("override.tf") and "prevent_destroy" in text]
    broken += [why for folder in sorted({file.parent for file in texts}) if folder.name != "local" for why in undocumented(folder)]
    for folder in BY_ENVIRONMENT:
        if folder.startswith("stacks/") and not re.search(r'tags\s*=\s*merge\(var\.tags, \{ application = "saga-bridge", environment = var\.environment \}\)', texts[HERE / folder / "main.tf"]):
            broken.append(f"infra/{folder}/main.tf: everything has the tags application and environment, whatever var.tags says")
        broken += [f"{file.relative_to(HERE.parent)} is read in every environment: name the file after one, and give it with -var-file"
                   for pattern in ("terraform.tfvars*", "*.auto.tfvars*") for file in sorted((HERE / folder).glob(pattern))]
        if not re.search(r'^  backend "\w+" \{\}$', uncommented(HERE / folder / "versions.tf"), re.M):
            broken.append(f"infra/{folder}/versions.tf needs an empty backend block: -backend-config says where an environment's state is")
    for why in broken:
        print(f"rules: {why}", file=sys.stderr)
    if not broken:
        print(f"rules: {len(RULES)} rules hold for {sum(one.kind in RULES for one in every)} resources")
    return 1 if broken else 0


if __name__ == "__main__":
    takes_nothing(__doc__)
    sys.exit(main())
