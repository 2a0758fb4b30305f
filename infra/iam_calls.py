#!/usr/bin/env python3
"""Which AWS calls each function makes, read from its code.

    infra/iam_calls.py            compare with infra/modules/saga-aws/tests/calls.json
    infra/iam_calls.py --write    write that file anew

The file is the other half of a comparison: the module's test holds each role's policy against it, so an
action that the code does not need, or a call that the role does not allow, fails one of the two.

How: a call is `client.<operation>()` in an adapter (shared/aws/src and its folders). A function makes it when its
code names the adapter, and it, the use cases it names (shared/app/src, and what they name) or another adapter that
it names call the adapter's method. A function's code is its src without src/bin, which are commands of people, with
credentials of their own, and the client of outside services (shared/runtime/src/service_client) where it names that.
Naming something of a folder that is no file of it names all its files.
Methods are distinguished by name, so two ports of one function with a method of the same name count as both.
A transaction is the actions of its items. What the reading cannot account for is an error, not a guess.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from command_line import Parser

ROOT = Path(__file__).resolve().parent.parent
CALLS = ROOT / "infra" / "modules" / "saga-aws" / "tests" / "calls.json"
SERVICES = {"dynamodb": "dynamodb", "eventbridge": "events", "secretsmanager": "secretsmanager", "sns": "sns", "sqs": "sqs",
            "sts": "sts"}
ITEMS = {"put": "PutItem", "update": "UpdateItem", "delete": "DeleteItem", "condition_check": "ConditionCheckItem"}
ITEM = r"\bTransactWriteItem::builder\(\)\s*\.\s*(?:set_)?(\w+)\("
# `transact` is the one place that decides about a saga. With definitions it commits whatever the origin decides; without
# them only a mark on the saga or a line of its timeline: `commit` then puts the one item, and makes none of the
# transaction's. The origin reads entities for these two commands alone.
TRANSACT, STEERS, READS = "transact", re.compile(r"\bSagas::new\("), re.compile(r"\bCommand::(?:Event|Resolve)\b")


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
        opening, brackets = match.end(), 0
        # The semicolon of an array's type ends nothing.
        while opening < len(text) and (brackets or text[opening] not in "{;"):
            brackets += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text[opening], 0)
            opening += 1
        if text[opening:opening + 1] != "{":
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


def named(text: str, crate: str) -> list[tuple[str, ...]]:
    """The paths below `crate` that a text names, each branch of a `use` tree by itself."""
    found = []

    def branch(at: int, path: tuple[str, ...]) -> int:
        while match := re.compile(r"\s*(\w+|\*)(\s*::)?").match(text, at):
            path, at = (*path, match[1]), match.end()
            if not match[2]:
                found.append(path)
                return at
        if not (match := re.compile(r"\s*\{").match(text, at)):
            found.append(path)
            return at
        at = match.end()
        while not (closing := re.compile(r"\s*\}").match(text, at)):
            if at >= len(text):
                raise Unaccounted(f"`use {crate}::` has no end")
            at = branch(at, path)
            # What is between a branch and the next is a name after `as`.
            at = re.compile(r"[^,}]*,?\s*").match(text, at).end()
        return closing.end()

    for match in re.finditer(rf"\b{crate}::", text):
        branch(match.end(), ())
    return found


def modules_of(path: tuple[str, ...], known: set[str]) -> set[str]:
    """The files that a path means: the longest that it begins with, or all of a folder."""
    for length in range(len(path), 0, -1):
        name = "/".join(path[:length])
        below = {one for one in known if one.startswith(f"{name}/")}
        if name in known or below:
            return {name} & known | below
    return set()


def modules_named(text: str, crate: str, known: set[str]) -> set[str]:
    return {module for path in named(text, crate) for module in modules_of(path, known)}


def called_in(text: str, own: set[str]) -> set[str]:
    """The methods that a text calls, but for its own (functions of the same file, called on `self`)."""
    calls = re.findall(r"(\bself\s*)?\.\s*(\w+)(?:::<[^()]*>)?\(", text)
    return {method for itself, method in calls if not (itself and method in own)}


class Adapter:
    """One file of shared/aws/src: what its functions call, and which others they use."""

    def __init__(self, name: str, text: str):
        self.name, self.text = name, text
        self.service = service_of(text)
        # Each function's own actions, the functions of this file that it uses, and the methods that it calls elsewhere.
        self.functions: dict[str, tuple[set[str], set[str], set[str]]] = {}
        everything = bodies(text)
        defined, seen, items = {function for function, _ in everything}, 0, 0
        for function, body in everything:
            operations = re.findall(r"\bclient\s*\.\s*(\w+)\(\)", body)
            written = re.findall(ITEM, body)
            seen, items = seen + len(operations), items + len(written)
            if unknown := set(written) - set(ITEMS):
                raise Unaccounted(f"{name}: a transaction's item is {', '.join(sorted(unknown))}")
            actions = {action for operation in operations for action in self._actions(operation)}
            actions |= {f"{self.service}:{ITEMS[item]}" for item in written}
            uses = set(re.findall(r"(?:\bself\s*\.\s*|\bSelf::|(?<![\w.:]))(\w+)\(", body)) & defined
            before = self.functions.get(function, (set(), set(), set()))
            self.functions[function] = (before[0] | actions, before[1] | uses, before[2] | called_in(body, defined))
        # Every request ends in `.send()`, every item begins with its builder; one more of them would be one not seen.
        if seen != (sent := len(re.findall(r"\.send\(\)", text))):
            raise Unaccounted(f"{name}: {seen} calls were recognised, but there are {sent} times .send()")
        if items != (built := text.count("TransactWriteItem::builder")):
            raise Unaccounted(f"{name}: {items} items of transactions were recognised, but {built} are built")
        if seen and not self.service:
            raise Unaccounted(f"{name} calls a client of an unknown service")

    def _actions(self, operation: str) -> set[str]:
        if operation.startswith("transact_write"):
            return set()  # the items' actions, found where the items are made
        if operation == "transact_get_items":
            return {"dynamodb:GetItem"}
        # SQS and SNS know a batch by the action of its entries.
        words = operation.removesuffix("_batch") if self.service in ("sqs", "sns") else operation
        return {self.service + ":" + "".join(word.capitalize() for word in words.split("_"))}

    def calling(self) -> set[str]:
        return {name for name, (actions, _, _) in self.functions.items() if actions}

    def reached(self, called: set[str], marks_only: bool) -> set[str]:
        """The functions called from outside, and those that they use themselves."""
        todo, done = called & set(self.functions), set()
        while todo:
            name = todo.pop()
            done.add(name)
            if not (marks_only and name == "commit"):
                todo |= self.functions[name][1] - done
        return done


def files(folder: str, *without: str) -> dict[str, str]:
    """The code of a folder's files by their path in it; `mod.rs` is its folder."""
    root = ROOT / folder
    names = {path: path.relative_to(root).with_suffix("").as_posix().removesuffix("/mod") for path in sorted(root.rglob("*.rs"))}
    return {name: code_of(path) for path, name in names.items() if name not in without and not name.startswith("bin/")}


def calls() -> dict[str, list[str]]:
    adapters = {name: Adapter(name, text) for name, text in files("shared/aws/src", "lib").items()}
    # The caller of a service on Azure commits to Azure's store.
    use_cases = files("shared/app/src", "lib", "ports", "call_service/participant")
    clients = {name: text for name, text in files("shared/runtime/src").items() if name.startswith("service_client")}
    answer: dict[str, list[str]] = {}
    every_reached: dict[str, set[str]] = {name: set() for name in adapters}
    for folder in sorted((ROOT / "functions").iterdir()):
        own = files(f"functions/{folder.name}/src")
        if "main" not in own:
            continue
        code = "\n".join(own.values())
        if "aws_sdk_" in code:
            raise Unaccounted(f"{folder.name} uses an AWS client itself: calls belong into an adapter")
        used = modules_named(code, "saga_aws", set(adapters))
        if not used:
            continue  # runs on the other cloud
        todo, cases = modules_named(code, "saga_app", set(use_cases)), set()
        while todo:
            name = todo.pop()
            cases.add(name)
            todo |= modules_named(use_cases[name], "crate", set(use_cases)) - cases
        texts = [*own.values(), *(use_cases[name] for name in sorted(cases))]
        texts += [clients[name] for name in sorted(modules_named(code, "saga_runtime", set(clients))) if not name.endswith("/tests")]
        called = set().union(*(called_in(text, {name for name, _ in bodies(text)}) for text in texts))
        around = "\n".join([*own.values(), *(use_cases[name] for name in cases - {TRANSACT})])
        steers = STEERS.search(around)
        if not (steers and READS.search(around)):
            called.discard("entities")
        marks_only = not steers and not re.search(r"\.\s*commit\(", around)
        answer[folder.name] = sorted(reach(adapters, used, called, marks_only, every_reached))
        if not answer[folder.name]:
            raise Unaccounted(f"{folder.name} builds {', '.join(sorted(used))}, but no call was found")
    for name, adapter in adapters.items():
        if left := adapter.calling() - every_reached[name]:
            raise Unaccounted(f"shared/aws/src/{name}.rs calls AWS in {', '.join(sorted(left))}, which no function was seen to use")
    return answer


def reach(adapters: dict[str, Adapter], used: set[str], called: set[str], marks_only: bool, every: dict[str, set[str]]) -> set[str]:
    """The actions of the functions of these adapters that are called, also by one another."""
    actions, todo, seen = set(), [(name, called) for name in sorted(used)], set()
    while todo:
        name, called = todo.pop()
        if (name, frozenset(called)) in seen:
            continue
        seen.add((name, frozenset(called)))
        adapter = adapters[name]
        done = adapter.reached(called, marks_only)
        every[name] |= done
        actions |= set().union(*(adapter.functions[function][0] for function in done))
        called_there = set().union(*(adapter.functions[function][2] for function in done))
        todo += [(other, called_there) for other in modules_named(adapter.text, "crate", set(adapters))]
    return actions


def main(arguments: list[str]) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args(arguments)
    try:
        found = calls()
    except Unaccounted as why:
        print(f"iam: {why}", file=sys.stderr)
        return 1
    text = json.dumps(found, indent=2) + "\n"
    if asked.write:
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
