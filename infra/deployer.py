#!/usr/bin/env python3
"""Whether the permissions published for an automation identity cover what the stacks hold.

    infra/deployer.py     compare infra/deployer/*/permissions.json with infra/stacks/azure and aws, and their modules

The file says for each kind of resource which actions of Resource Manager, or which permissions of Microsoft Graph, its
provider takes; the roles of infra/deployer/azure are made from it. A kind that the stack holds and the file does not (or the
other way round) fails, and so does a role that the stack gives and a deployer may not, and a resource provider that is
registered without the action for it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from command_line import takes_nothing
from rules import uncommented

HERE = Path(__file__).resolve().parent
CALL = re.compile(r"[a-z0-9]+:[A-Z][A-Za-z]+")
ACTION = re.compile(r"Microsoft\.[A-Za-z]+(?:/[A-Za-z]+)+/(?:read|write|delete|action)")
GRAPH = re.compile(r"[A-Z]\w+\.(?:Read|ReadWrite)\.(?:All|OwnedBy)")
# What takes actions and is no resource.
BESIDES = {"provider azurerm", "modules/azure-participant/deploy.sh", "provider aws", "stacks/aws/connection.sh"}


def folders(folder: Path) -> list[Path]:
    """A folder and the modules that it uses."""
    found = [folder]
    for file in sorted(folder.glob("*.tf")):
        for source in re.findall(r'^\s*source\s*=\s*"(\.[^"]+)"', uncommented(file), re.M):
            found += [each for each in folders((folder / source).resolve()) if each not in found]
    return found


def problems(permissions: dict, text: str) -> list[str]:
    azure, graph, granted = permissions["azure"], permissions["graph"], permissions["granted_roles"]
    held = {("data." if what == "data" else "") + kind for what, kind in re.findall(r'^(resource|data) "((?:azurerm|azuread)_\w+)"', text, re.M)}
    broken = [f"{kind} is in the stack, and permissions.json does not say what it takes" for kind in sorted(held - set(azure) - set(graph))]
    broken += [f"{kind} is in permissions.json, and the stack does not hold it" for kind in sorted((set(azure) | set(graph)) - held - BESIDES)]
    for shape, kinds in ((ACTION, azure), (GRAPH, graph)):
        for kind, needed in kinds.items():
            every = needed["read"] + needed["write"]
            broken += [f"{kind}: {one} is no exact permission" for one in every if not shape.fullmatch(one)]
            if not every and kind != "data.azuread_client_config":
                broken.append(f"{kind} takes nothing: that cannot be")
    registered = re.search(r"resource_providers_to_register\s*=\s*\[([^]]*)\]", text)
    for name in re.findall(r'"([\w.]+)"', registered[1] if registered else ""):
        if f"{name}/register/action" not in azure["provider azurerm"]["write"]:
            broken.append(f"the stack registers {name}, and the deployer may not")
    if not registered:
        broken.append("the stack does not say which resource providers it registers")
    roles = set(re.findall(r'^\s*role_definition_name\s*=\s*"([^"]+)"', text, re.M)) | set(re.findall(r'\brole\s*=\s*"([^"]+)"', text))
    broken += [f"the stack gives the role {role}, and the deployer may not" for role in sorted(roles - set(granted))]
    broken += [f"the deployer may give the role {role}, and the stack does not" for role in sorted(set(granted) - roles)]
    return broken


def problems_of_aws(permissions: dict, text: str) -> list[str]:
    """The same for AWS, whose permissions are named after the calls."""
    kinds, services, anywhere, apart = (permissions[name] for name in ("aws", "services", "anywhere", "apart"))
    held = {("data." if what == "data" else "") + kind for what, kind in re.findall(r'^(resource|data) "(aws_\w+)"', text, re.M)}
    broken = [f"{kind} is in the stack, and permissions.json does not say what it calls" for kind in sorted(held - set(kinds))]
    broken += [f"{kind} is in permissions.json, and the stack does not hold it" for kind in sorted(set(kinds) - held - BESIDES)]
    called = {call for needed in kinds.values() for call in needed["read"] + needed["write"]}
    broken += [f"{kind} calls nothing: that cannot be" for kind, needed in kinds.items() if not needed["read"] + needed["write"] and kind != "data.aws_partition"]
    broken += [f"{call} is no exact call" for call in sorted(called) if not CALL.fullmatch(call)]
    broken += [f"{call} would delete the key of data that is kept" for call in sorted(called) if call in ("kms:ScheduleKeyDeletion", "kms:DisableKey")]
    broken += [f"{call} knows no resource of its service" for call in sorted(called - set(anywhere)) if call.split(":")[0] not in services]
    broken += [f"{call} is listed beside the kinds, and none calls it" for call in sorted(set(anywhere + apart) - called)]
    return broken


CLOUDS = {"azure": problems, "aws": problems_of_aws}


def main() -> int:
    broken = []
    for cloud, check in CLOUDS.items():
        text = "\n".join(uncommented(file) for folder in folders(HERE / "stacks" / cloud) for file in sorted(folder.glob("*.tf")))
        broken += [f"{cloud}: {why}" for why in check(json.loads((HERE / "deployer" / cloud / "permissions.json").read_text()), text)]
    for why in broken:
        print(f"deployer: {why}", file=sys.stderr)
    if not broken:
        print("deployer: the published permissions cover every kind of resource that the stacks hold")
    return 1 if broken else 0


if __name__ == "__main__":
    takes_nothing(__doc__)
    sys.exit(main())
