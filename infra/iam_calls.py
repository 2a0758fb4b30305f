#!/usr/bin/env python3
"""Which AWS calls each function makes, read from its code.

    infra/iam_calls.py            compare with infra/modules/saga-aws/tests/calls.json
    infra/iam_calls.py --write    write that file anew

The file is the other half of a comparison: the module's test holds each role's policy against it, so an
action that the code does not need, or a call that the role does not allow, fails one of the two.

How: a call is `client.<operation>()` in an adapter (shared/aws/src). A function makes it when its `main.rs`
builds the adapter and the use cases it names (shared/app/src, and what they name) call the adapter's method.
Methods are told apart by name, so two ports of one function with a method of the same name count as both.
A transaction is the actions of its items. What the reading cannot account for is an error, not a guess.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CALLS = ROOT / "infra" / "modules" / "saga-aws" / "tests" / "calls.json"
SERVICES = {"dynamodb": "dynamodb", "eventbridge": "events", "sns": "sns", "sqs": "sqs", "sts": "sts"}
ITEMS = {"set_put": "PutItem", "set_update": "UpdateItem", "set_delete": "DeleteItem", "set_condition_check": "ConditionCheckItem"}


class Unaccounted(Exception):
    """The code is written in a way that this reading does not follow."""


def code_of(path: Path) -> str:
    """The file without comments and without its tests."""
    text = re.sub(r"^\s*//.*$", "", path.read_text(), flags=re.M)
    return text.split("#[cfg(test)]")[0]


def bodies(text: str) -> list[tuple[str, str]]:
    """Each function's name and body, nested blocks included."""
    found = []
    for match in re.finditer(r"\bfn\s+(\w+)", text):
        opening = text.find("{", match.end())
        semicolon = text.find(";", match.end())
        if opening < 0 or -1 < semicolon < opening and "(" not in text[semicolon:opening]:
            continue
        depth, at = 0, opening
        while at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
            if depth == 0:
                break
        found.append((match[1], text[opening:at]))
    return found


def service_of(text: str) -> str | None:
    match = re.search(r"use aws_sdk_(\w+)::(?:Client\b|\{[^}]*\bClient\b)", text)
    return SERVICES[match[1]] if match else None


class Adapter:
    """One file of shared/aws/src: what its methods call, and which of its own functions they use."""

    def __init__(self, path: Path):
        self.name, text = path.stem, code_of(path)
        self.service = service_of(text)
        self.methods: dict[str, tuple[set[str], set[str]]] = {}
        seen = 0
        for name, body in bodies(text):
            operations = re.findall(r"\bclient\s*\.\s*(\w+)\(\)", body)
            seen += len(operations)
            actions = {action for operation in operations for action in self._actions(operation)}
            actions |= {f"{self.service}:{action}" for setter, action in ITEMS.items() if f".{setter}(" in body}
            uses = set(re.findall(r"\bself\s*\.\s*(\w+)\(", body))
            before = self.methods.get(name, (set(), set()))
            self.methods[name] = (before[0] | actions, before[1] | uses)
        # Every request ends in `.send()`; one more of them than calls would be a call not seen.
        if seen != len(re.findall(r"\.send\(\)", text)):
            raise Unaccounted(f"{path.name}: {seen} calls were recognised, but there are {text.count('.send()')} times .send()")
        if seen and not self.service:
            raise Unaccounted(f"{path.name} calls a client of an unknown service")

    def _actions(self, operation: str) -> set[str]:
        if operation.startswith("transact_write"):
            return set()  # the items' actions, found where the items are made
        if operation == "transact_get_items":
            return {"dynamodb:GetItem"}
        # SQS and SNS know a batch by the action of its entries.
        words = operation.removesuffix("_batch") if self.service in ("sqs", "sns") else operation
        return {self.service + ":" + "".join(word.capitalize() for word in words.split("_"))}

    def makes_calls(self) -> bool:
        return any(actions for actions, _ in self.methods.values())

    def reached(self, called: set[str]) -> set[str]:
        """The actions of the methods called from outside, and of those that they use themselves."""
        actions, todo, done = set(), [name for name in self.methods if name in called], set()
        while todo:
            name = todo.pop()
            if name in done:
                continue
            done.add(name)
            actions |= self.methods[name][0]
            todo += [used for used in self.methods[name][1] if used in self.methods]
        return actions


def modules_named(text: str, crate: str, known: set[str]) -> set[str]:
    """The modules of `crate` that a text names, also inside braces."""
    named = set()
    for match in re.finditer(rf"\b{crate}::(\{{[^;]*\}}|\w+)", text):
        named |= set(re.findall(r"\w+", match[1])) & known
    return named


def calls() -> dict[str, list[str]]:
    adapters = {path.stem: Adapter(path) for path in sorted((ROOT / "shared/aws/src").glob("*.rs")) if path.stem != "lib"}
    use_cases = {path.stem: code_of(path) for path in (ROOT / "shared/app/src").glob("*.rs") if path.stem not in ("lib", "ports")}
    answer, built = {}, set()
    for folder in sorted((ROOT / "functions").iterdir()):
        main = folder / "src" / "main.rs"
        if not main.exists():
            continue
        own = "\n".join(code_of(path) for path in sorted((folder / "src").rglob("*.rs")))
        if "aws_sdk_" in own:
            raise Unaccounted(f"{folder.name} uses an AWS client itself: calls belong into an adapter")
        used = modules_named(code_of(main), "saga_aws", set(adapters))
        if not used:
            continue  # runs on the other cloud
        built |= used
        todo, reached = modules_named(own, "saga_app", set(use_cases)), set()
        while todo:
            name = todo.pop()
            reached.add(name)
            todo |= modules_named(use_cases[name], "crate", set(use_cases)) - reached
        text = own + "\n".join(use_cases[name] for name in sorted(reached))
        called = set(re.findall(r"\.\s*(\w+)\(", text))
        answer[folder.name] = sorted(set().union(*(adapters[name].reached(called) for name in used)))
        if not answer[folder.name]:
            raise Unaccounted(f"{folder.name} builds {', '.join(sorted(used))}, but no call was found")
    for name, adapter in adapters.items():
        if adapter.makes_calls() and name not in built:
            raise Unaccounted(f"shared/aws/src/{name}.rs makes calls, but no function's main.rs builds it")
    return answer


def main(arguments: list[str]) -> int:
    try:
        found = calls()
    except Unaccounted as why:
        print(f"iam: {why}", file=sys.stderr)
        return 1
    text = json.dumps(found, indent=2) + "\n"
    if arguments == ["--write"]:
        CALLS.write_text(text)
    elif not CALLS.exists() or CALLS.read_text() != text:
        known = json.loads(CALLS.read_text()) if CALLS.exists() else {}
        for name in sorted(set(found) | set(known)):
            new, old = set(found.get(name, [])), set(known.get(name, []))
            if new != old:
                print(f"iam: {name}: the code also calls {sorted(new - old)}, and no longer {sorted(old - new)}", file=sys.stderr)
        print("iam: change the policies, then run infra/iam_calls.py --write", file=sys.stderr)
        return 1
    print(f"iam: the calls of {len(found)} functions are as the policies were tested with")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
