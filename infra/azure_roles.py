#!/usr/bin/env python3
"""Whether each identity on Azure may do what its code and its host do, and no more.

    infra/azure_roles.py     compare the roles in infra/modules/azure-* with shared/azure/src and the Functions host

The requests of the code are read from it: every `Method::…` is in a client of shared/azure/src/client, and OPERATIONS says which
operation it is. One that the list does not know fails, and so does one that is in the list and no longer in the code. An adapter
does the operations of the methods that it calls on a client, which it keeps in a field named as in CLIENTS. What the Functions
host and Event Grid do is written down below, with the source. Each operation wants one of several sets of actions, as Microsoft documents it
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
# The name of a client in an adapter: its file and its type.
CLIENTS = {"table": ("table.rs", "Table"), "queue": ("queue.rs", "Queue"), "container": ("blob.rs", "Container"), "topic": ("topic.rs", "Topic")}

# What an operation wants: any one of these sets.
WANTS = {
    "entity read": ({"entities/read"},),
    "entity insert": ({"entities/add"},),
    "entity update": ({"entities/update"},),
    "entity upsert": ({"entities/add", "entities/update"},),
    "entity delete": ({"entities/delete"},),
    # Inserts, replaces, puts and deletes: `Verb` in client/batch.rs.
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
    "secret read": ({"secrets/read"},),
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
    # https://learn.microsoft.com/azure/key-vault/general/rbac-guide: getSecret and readMetadata.
    "Key Vault Secrets User": {"secrets/read"},
    "Key Vault Secrets Officer": {"secrets/read", "secrets/write", "secrets/delete"},
}

# (client, function, method) -> operation
OPERATIONS = {
    ("table", "get", "Get"): "entity read",
    ("table", "query", "Get"): "entity read",
    ("table", "insert", "Post"): "entity insert",
    ("table", "replace", "Put"): "entity update",
    ("table", "put", "Put"): "entity upsert",
    ("table", "merge", "Patch"): "entity update",
    ("table", "delete", "Delete"): "entity delete",
    ("table", "apply", "Post"): "entity batch",
    ("queue", "put", "Post"): "message add",
    ("queue", "put_later", "Post"): "message add",
    ("queue", "take", "Get"): "message get",
    ("queue", "show", "Put"): "message update",
    ("queue", "delete", "Delete"): "message delete",
    ("queue", "count", "Get"): "queue read",
    ("container", "list", "Get"): "blob list",
    ("container", "read", "Get"): "blob read",
    ("container", "replace", "Put"): "blob write",
    ("container", "delete", "Delete"): "blob delete",
    ("topic", "publish", "Post"): "event send",
    ("topic", "publish_batch", "Post"): "event send",
}

# Which identity reaches which adapter, and on which place. The folder is the function whose code names the adapters.
REACHES = {
    "participant": ("azure-participant", {
        "table/mod.rs": ("table",), "table/steps.rs": ("table",), "table/outbox.rs": ("table",), "table/definitions.rs": ("table",),
        "table/services.rs": ("table",),
        "quarantine.rs": ("quarantine",), "event_grid.rs": ("topic",), "calls.rs": ("calls",),
    }),
    "replayer": ("dlq-replayer", {
        "dead_letters/blobs.rs": ("dead_letters",), "dead_letters/queue.rs": ("poison", "calls_poison", "quarantine"),
        "dead_letters/outlet.rs": ("events", "calls"), "dead_letters/rows.rs": ("table",), "event_grid.rs": ("topic",),
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
        "calls": ("queue read", "message get", "message peek", "message update", "message delete"),
        # CopyMessageToPoisonQueueAsync adds; the queue is there, so it creates none.
        "poison": ("message add",),
        "calls_poison": ("message add",),
        # A request to a service whose requests are signed; by the handler itself, not by the host.
        "secret": ("secret read",),
        # Locks of singletons and timers are leases; the host makes its own containers, and the deployment is read from one.
        # https://learn.microsoft.com/azure/azure-functions/functions-reference#connecting-to-host-storage-with-an-identity
        "host": ("container create", "blob list", "blob read", "blob write", "blob delete", "blob lease with the rights of an owner"),
        # https://learn.microsoft.com/azure/azure-monitor/app/azure-ad-authentication
        "insights": ("telemetry write",),
    },
    "topic": {
        # https://learn.microsoft.com/azure/event-grid/add-identity-roles
        "events": ("message add",),
        "calls": ("message add",),
        "dead_letters": ("blob write",),
    },
}

# The scope of a role, as the modules write it -> the place.
PLACES = {
    "var.data.table.id": "table", "var.data.queues.events.id": "events", "var.data.queues.poison.id": "poison",
    "var.data.queues.quarantine.id": "quarantine", "azurerm_storage_account.host.id": "host", "var.application_insights.id": "insights",
    "var.table.id": "table", "var.queues.events.id": "events", "var.queues.poison.id": "poison", "var.queues.quarantine.id": "quarantine",
    "var.dead_letters.id": "dead_letters", "var.queue.id": "events", "var.calls_queue.id": "calls",
    "var.data.queues.calls.id": "calls", "var.data.queues.calls_poison.id": "calls_poison",
    "var.queues.calls.id": "calls", "var.queues.calls_poison.id": "calls_poison",
    # Of one secret in its vault (SECRET).
    "service.resource": "secret",
}

# A role that follows from a service ends at its one secret.
SECRET = re.compile(r'^  secret_roles = \{\n\s*for name, service in module\.services\.of\["azure"\] : "secret_\$\{name\}" => \{ scope = "\$\{(service\.resource)\}/secrets/[^\n]*?", role = "([^"]+)" \}\n', re.M)


def offered() -> set[tuple[str, str, str]]:
    """Each client's requests: client, function and method. A function sends what the functions of its client that it calls send."""
    found = set()
    for client, (file, _) in CLIENTS.items():
        text = code_of(ADAPTERS / "client" / file)
        here = {function: (re.findall(r"Method::(\w+)", body), re.findall(r"\bself\s*\.\s*(\w+)\(", body)) for function, body in bodies(text)}
        if sum(len(methods) for methods, _ in here.values()) != (written := len(re.findall(r"Method::\w+", text))):
            raise SystemExit(f"azure roles: client/{file}: {written} methods are written, and not all were found in functions")
        public = re.findall(r"pub\(crate\) (?:async )?fn (\w+)", text)
        for function in public:
            methods, calls = here[function]
            found |= {(client, function, method) for method in methods + [one for call in calls for one in here.get(call, ([],))[0]]}
    return found


def requests() -> dict[str, set[tuple[str, str, str]]]:
    """Of each adapter: the requests of the client's functions that it calls."""
    found: dict[str, set[tuple[str, str, str]]] = {}
    names = {kind: client for client, (_, kind) in CLIENTS.items()}
    for path in sorted(ADAPTERS.rglob("*.rs")):
        name = path.relative_to(ADAPTERS).as_posix()
        if name.startswith("client/"):
            continue
        text = code_of(path)
        if "Method::" in text:
            raise SystemExit(f"azure roles: {name} sends a request itself: requests belong in client/")
        for field, kind in re.findall(rf"(\w+): (?:Arc<)?({'|'.join(names)})\b", text):
            if field != names[kind]:
                raise SystemExit(f"azure roles: {name} keeps a {kind} as `{field}`, and this check looks for `{names[kind]}`")
        calls = re.findall(rf"\.\s*({'|'.join(CLIENTS)})\s*\.\s*(\w+)\(", text)
        here = {request for request in OPERATIONS if request[:2] in calls}
        if unknown := set(calls) - {request[:2] for request in OPERATIONS}:
            raise SystemExit(f"azure roles: {name} calls {', '.join(f'`{client}.{function}`' for client, function in sorted(unknown))}, which OPERATIONS does not know")
        if here:
            found[name] = here
    return found


def unlisted(found: dict) -> list[str]:
    every, called = offered(), {request for requests_of in found.values() for request in requests_of}
    named = lambda request: f"the client of a {request[0]}: `{request[1]}` sends {request[2].upper()}"  # noqa: E731
    problems = [f"{named(one)}, which OPERATIONS does not know" for one in sorted(every - set(OPERATIONS))]
    problems += [f"{named(one)} no more, and OPERATIONS has it" for one in sorted(set(OPERATIONS) - every)]
    problems += [f"{named(one)}, and no adapter calls it" for one in sorted(every & set(OPERATIONS) - called)]
    reached = {file for _, files in REACHES.values() for file in files}
    problems += [f"shared/azure/src/{file} sends requests, and REACHES names nobody for it" for file in sorted(set(found) - reached)]
    problems += [f"shared/azure/src/{file} sends no request, and REACHES has it" for file in sorted(reached - set(found))]
    return problems


def unreached() -> list[str]:
    """Functions that name adapters of Azure and are no identity here, and identities whose function names none."""
    problems = []
    uses = {}
    for folder in sorted((ROOT / "functions").iterdir()):
        code = "\n".join(code_of(path) for path in folder.glob("src/**/*.rs"))
        uses[folder.name] = "saga_azure::" in code
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
                    OPERATIONS[request] for request in found.get(file, ()))
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
        of_services = SECRET.findall(text)
        if len(of_services) != len(re.findall(r"^  secret_roles\b", text, re.M)):
            problems.append(f"modules/{module}: local.secret_roles is not written as this check reads it: one secret of its vault for each service")
        for scope, role in pairs + of_services:
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
        print(f"azure roles: the roles of {len(roles)} identities are what {len(OPERATIONS)} requests of the code and the hosts need")
    return 1 if problems else 0


if __name__ == "__main__":
    takes_nothing(__doc__)
    sys.exit(main())
