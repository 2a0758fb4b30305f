#!/usr/bin/env python3
"""Whether each identity on Azure may do what its code and its host do, and no more.

    infra/azure_roles.py     compare the roles in infra/modules/azure-* with shared/azure/src and the Functions host

The requests of the code are read from it: every `Method::…` in an adapter is an operation, and OPERATIONS says which. One that
the list does not know fails, and so does one that is in the list and no longer in the code. What the Functions host and Event
Grid do is written down below, with the source. Each operation wants one of several sets of actions, as Microsoft documents it
(https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory), and each built-in role holds
some (https://learn.microsoft.com/azure/role-based-access-control/built-in-roles). A role is wrong if an operation is not
covered, if the other roles on the same place cover all of them without it, or if a built-in role that holds fewer actions would do.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from command_line import takes_nothing
from iam_calls import bodies, code_of
from rules import uncommented

ROOT = Path(__file__).resolve().parent.parent
ADAPTERS = ROOT / "shared" / "azure" / "src"
MODULES = ROOT / "infra" / "modules"
# They serve the adapters' own tests.
NOT_SHIPPED = {"test_server.rs", "test_table.rs"}

# What an operation wants: any one of these sets.
WANTS = {
    "entity read": ({"entities/read"},),
    "entity insert": ({"entities/add"},),
    "entity update": ({"entities/update"},),
    "entity upsert": ({"entities/add", "entities/update"},),
    "entity delete": ({"entities/delete"},),
    # Inserts, replaces, puts and deletes: `Verb` in batch.rs.
    "entity batch": ({"entities/add", "entities/update", "entities/delete"},),
    "queue read": ({"queues/read"},),
    "message add": ({"messages/add"}, {"messages/write"}),
    "message get": ({"messages/process"}, {"messages/delete", "messages/read"}),
    "message peek": ({"messages/read"},),
    "message update": ({"messages/write"},),
    "message delete": ({"messages/process"}, {"messages/delete"}),
    "container create": ({"containers/write"},),
    "blob list": ({"blobs/read"},),
    "blob read": ({"blobs/read"},),
    "blob write": ({"blobs/write"},),
    "blob delete": ({"blobs/delete"},),
    "blob lease with the rights of an owner": ({"blobs/write", "blobs/owner"},),
    "event send": ({"events/send"},),
    "telemetry write": ({"telemetry/write"},),
}

QUEUE = {"queues/read", "queues/write", "queues/delete", "messages/read", "messages/write", "messages/delete", "messages/process"}
BLOB = {"containers/read", "containers/write", "containers/delete", "blobs/read", "blobs/write", "blobs/delete"}
HOLDS = {
    "Storage Table Data Reader": {"tables/read", "entities/read"},
    "Storage Table Data Contributor": {"tables/read", "tables/write", "tables/delete", "entities/read", "entities/add", "entities/update", "entities/delete"},
    "Storage Queue Data Reader": {"queues/read", "messages/read"},
    "Storage Queue Data Message Processor": {"messages/read", "messages/process"},
    "Storage Queue Data Message Sender": {"messages/add"},
    "Storage Queue Data Contributor": QUEUE,
    "Storage Blob Data Reader": {"containers/read", "blobs/read"},
    "Storage Blob Data Contributor": BLOB,
    "Storage Blob Data Owner": BLOB | {"blobs/owner"},
    "EventGrid Data Sender": {"events/send"},
    "Monitoring Metrics Publisher": {"telemetry/write"},
}

# (file of shared/azure/src, function, method) -> operation. None: no request of a deployment.
OPERATIONS = {
    ("table_store.rs", "create_table", "Post"): None,  # tests only, see `unreached`
    ("table_store.rs", "row", "Get"): "entity read",
    ("table_store.rs", "apply", "Post"): "entity batch",
    ("table_store.rs", "put", "Put"): "entity upsert",
    ("table_store.rs", "delete_one", "Delete"): "entity delete",
    ("outbox.rs", "query", "Get"): "entity read",
    ("outbox.rs", "write_lease", "Post"): "entity insert",
    ("outbox.rs", "write_lease", "Put"): "entity update",
    ("outbox.rs", "write_lease", "Delete"): "entity delete",
    ("outbox.rs", "postpone_one", "Patch"): "entity update",
    ("queue.rs", "create_queue", "Put"): None,  # tests only
    ("queue.rs", "keep", "Post"): "message add",
    ("event_grid.rs", "post", "Post"): "event send",
    ("dead_letters/blobs.rs", "call", "Put"): None,  # a comparison
    ("dead_letters/blobs.rs", "names", "Get"): "blob list",
    ("dead_letters/blobs.rs", "content", "Get"): "blob read",
    ("dead_letters/blobs.rs", "without", "Delete"): "blob delete",
    ("dead_letters/blobs.rs", "without", "Put"): "blob write",
    ("dead_letters/outlet.rs", "put", "Post"): "message add",
    ("dead_letters/queue.rs", "depth", "Get"): "queue read",
    ("dead_letters/queue.rs", "next", "Get"): "message get",
    ("dead_letters/queue.rs", "put_back", "Put"): "message update",
    ("dead_letters/queue.rs", "remove", "Delete"): "message delete",
    ("dead_letters/rows.rs", "page", "Get"): "entity read",
    ("dead_letters/rows.rs", "get", "Get"): "entity read",
    ("dead_letters/rows.rs", "remove", "Delete"): "entity delete",
    ("dead_letters/rows.rs", "requeue", "Get"): "entity read",
    ("dead_letters/rows.rs", "apply", "Post"): "entity batch",
}

# Which identity reaches which adapter, and on which place. The folder is the function whose code names the adapters.
REACHES = {
    "participant": ("azure-participant", {
        "table_store.rs": ("table",), "outbox.rs": ("table",), "queue.rs": ("quarantine",), "event_grid.rs": ("topic",),
    }),
    "replayer": ("dlq-replayer", {
        "dead_letters/blobs.rs": ("dead_letters",), "dead_letters/queue.rs": ("poison", "quarantine"),
        "dead_letters/outlet.rs": ("events",), "dead_letters/rows.rs": ("table",), "event_grid.rs": ("topic",),
    }),
    "aws": ("event-relay", {"event_grid.rs": ("topic",)}),
}

HOSTS = {
    "participant": {
        # QueueListener and QueueProcessor of azure-sdk-for-net (sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Queues/src):
        # the queue is looked for, messages are received and renewed while a handler works, deleted after it, and after a failure
        # updated so that they show again (ReleaseMessageAsync). The scale controller reads the length and peeks.
        # https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#poison-messages
        "events": ("queue read", "message get", "message peek", "message update", "message delete"),
        # CopyMessageToPoisonQueueAsync adds; the queue is there, so it creates none.
        "poison": ("message add",),
        # Locks of singletons and timers are leases; the host makes its own containers, and the deployment is read from one.
        # https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
        "host": ("container create", "blob list", "blob read", "blob write", "blob delete", "blob lease with the rights of an owner"),
        # https://learn.microsoft.com/azure/azure-monitor/app/azure-ad-authentication
        "insights": ("telemetry write",),
    },
    "topic": {
        # https://learn.microsoft.com/azure/event-grid/add-identity-roles
        "events": ("message add",),
        "dead_letters": ("blob write",),
    },
}

# The scope of a role, as the modules write it -> the place.
PLACES = {
    "var.data.table.id": "table", "var.data.queues.events.id": "events", "var.data.queues.poison.id": "poison",
    "var.data.queues.quarantine.id": "quarantine", "azurerm_storage_account.host.id": "host", "var.application_insights.id": "insights",
    "var.table.id": "table", "var.queues.events.id": "events", "var.queues.poison.id": "poison", "var.queues.quarantine.id": "quarantine",
    "var.dead_letters.id": "dead_letters", "var.queue.id": "events",
}


def requests() -> dict[str, dict[tuple[str, str, str], int]]:
    """Each adapter's requests: function and method."""
    found: dict[str, dict[tuple[str, str, str], int]] = {}
    for path in sorted(ADAPTERS.rglob("*.rs")):
        name = path.relative_to(ADAPTERS).as_posix()
        if name in NOT_SHIPPED:
            continue
        text = code_of(path)
        here = [(name, function, method) for function, body in bodies(text) for method in re.findall(r"Method::(\w+)", body)]
        if len(here) != (written := len(re.findall(r"Method::\w+", text))):
            raise SystemExit(f"azure roles: {name}: {written} methods are written, and {len(here)} were found in functions")
        if here:
            found[name] = dict.fromkeys(here, 1)
    return found


def unlisted(found: dict) -> list[str]:
    every = {request for requests_of in found.values() for request in requests_of}
    named = lambda request: f"shared/azure/src/{request[0]}: `{request[1]}` sends {request[2].upper()}"  # noqa: E731
    problems = [f"{named(one)}, which OPERATIONS does not know" for one in sorted(every - set(OPERATIONS))]
    problems += [f"{named(one)} no more, and OPERATIONS has it" for one in sorted(set(OPERATIONS) - every)]
    reached = {file for _, files in REACHES.values() for file in files}
    problems += [f"shared/azure/src/{file} sends requests, and REACHES names nobody for it" for file in sorted(set(found) - reached)]
    return problems


def unreached() -> list[str]:
    """Functions that name adapters of Azure and are no identity here, and identities whose function names none."""
    problems = []
    uses = {}
    for folder in sorted((ROOT / "functions").iterdir()):
        code = "\n".join(code_of(path) for path in folder.glob("src/**/*.rs"))
        uses[folder.name] = "saga_azure::" in code
        if re.search(r"\bcreate_(?:table|queue)\(", code):
            problems.append(f"functions/{folder.name} makes a table or a queue: Terraform makes them")
    known = {folder for folder, _ in REACHES.values()}
    problems += [f"functions/{name} uses saga_azure, and REACHES does not know it" for name, used in uses.items() if used and name not in known]
    problems += [f"functions/{name} uses nothing of saga_azure, and REACHES says that it does" for name in sorted(known) if not uses.get(name)]
    return problems


def needs(found: dict) -> dict[str, dict[str, set[str]]]:
    """Of each identity: the operations on each place."""
    wanted: dict[str, dict[str, set[str]]] = {}
    for who, (_, files) in REACHES.items():
        for file, places in files.items():
            for place in places:
                wanted.setdefault(who, {}).setdefault(place, set()).update(
                    operation for request in found.get(file, ()) if (operation := OPERATIONS.get(request)))
    for who, places in HOSTS.items():
        for place, operations in places.items():
            wanted.setdefault(who, {}).setdefault(place, set()).update(operations)
    return wanted


def given() -> tuple[dict[str, dict[str, set[str]]], list[str]]:
    """Of each identity: the roles on each place, as the modules give them."""
    roles: dict[str, dict[str, set[str]]] = {}
    problems = []

    def add(who: str, scope: str, role: str) -> None:
        if scope not in PLACES:
            problems.append(f"{who} has {role} on {scope}, a place that is not known")
            return
        roles.setdefault(who, {}).setdefault(PLACES[scope], set()).add(role)

    for who, module in (("participant", "azure-participant"), ("replayer", "azure-replayer")):
        text = uncommented(MODULES / module / "main.tf")
        block = re.search(r"^  roles = \{\n(.*?)^  \}", text, re.M | re.S)
        pairs = re.findall(r'\{ scope = ([\w.]+), role = "([^"]+)" \}', block[1] if block else "")
        if not block or len(pairs) != len(re.findall(r"\brole\s*=", block[1])):
            problems.append(f"modules/{module}: local.roles is not written as this check reads it, a scope and a role on a line")
        for scope, role in pairs:
            add(who, scope, role)
        if len(re.findall(r'^resource "azurerm_role_assignment"', text, re.M)) != 1:
            problems.append(f"modules/{module} gives roles outside local.roles, which this check does not read")
    text = uncommented(MODULES / "azure-topic" / "main.tf")
    for body in re.findall(r'^resource "azurerm_role_assignment" "\w+" \{\n(.*?)^\}', text, re.M | re.S):
        scope, role = (re.search(rf'^\s*{name}\s*=\s*"?([^"\n]+?)"?$', body, re.M)[1] for name in ("scope", "role_definition_name"))
        if "for_each" not in body:
            add("topic", scope, role)
            continue
        stack = uncommented(ROOT / "infra" / "stacks" / "azure" / "main.tf")
        senders = re.search(r"^  senders = merge\(\n(.*?)^  \)", stack, re.M | re.S)
        for who in re.findall(r"\{ (\w+) = ", senders[1] if senders else ""):
            roles.setdefault(who, {}).setdefault("topic", set()).add(role)
    return roles, problems


def covered(operation: str, roles: set[str]) -> bool:
    held = set().union(*(HOLDS.get(role, set()) for role in roles))
    return any(wanted <= held for wanted in WANTS[operation])


def compared(wanted: dict, roles: dict) -> list[str]:
    problems = []
    for who in sorted(set(wanted) | set(roles)):
        for place in sorted(set(wanted.get(who, {})) | set(roles.get(who, {}))):
            operations, here = wanted.get(who, {}).get(place, set()), roles.get(who, {}).get(place, set())
            if unknown := here - set(HOLDS):
                problems.append(f"{who} on {place}: {', '.join(sorted(unknown))} is no role that this check knows")
                continue
            lacking = sorted(one for one in operations if not covered(one, here))
            problems += [f"{who} on {place}: {', '.join(sorted(here)) or 'no role'} does not allow `{one}`" for one in lacking]
            for role in sorted(here):
                others = here - {role}
                if all(covered(one, others) for one in operations):
                    problems.append(f"{who} on {place}: nothing needs {role}")
                elif not lacking and (narrower := sorted(other for other, held in HOLDS.items() if len(held) < len(HOLDS[role]) and all(covered(one, others | {other}) for one in operations))):
                    problems.append(f"{who} on {place}: {narrower[0]} would do in place of {role}")
    return problems


def main() -> int:
    found = requests()
    roles, problems = given()
    wanted = needs(found)
    problems += unlisted(found) + unreached() + compared(wanted, roles)
    for why in problems:
        print(f"azure roles: {why}", file=sys.stderr)
    if not problems:
        print(f"azure roles: the roles of {len(roles)} identities are what {sum(map(len, found.values()))} requests of the code and the hosts need")
    return 1 if problems else 0


if __name__ == "__main__":
    takes_nothing(__doc__)
    sys.exit(main())
