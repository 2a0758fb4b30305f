#!/usr/bin/env python3
"""Upgrades a running local stack in place, and back, while sagas run; nothing may be lost or torn.

    python3 tests/upgrade.py OLD NEW [--sagas 400] [--back]

OLD and NEW are folders of packages, as `make package` writes them, or git revisions. A revision is built in a worktree under
target/upgrade with the development profile, unless its packages are there already; `.` stands for the tree as it is now.

The stack starts with the functions of OLD on the infrastructure of this tree. While sagas are started all the time, each function in
turn gets the code of NEW, the handler on Azure too, in an order that leaves both releases side by side in both directions. `--back` then
returns to OLD in the same way. After each direction every saga must have ended, on both clouds alike, and no message may lie in an
outbox, a quarantine or a dead-letter store.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "localstack"), str(ROOT / "infra")]

import packing  # noqa: E402
from command_line import Parser, port_base  # noqa: E402
from local_stack import http, packages  # noqa: E402
from local_stack.read_back import aws_rest  # noqa: E402
from stack.support import TERMINAL, UNANSWERED, StackTest, endpoints, order, wait_for  # noqa: E402

STATE = ROOT / "localstack" / ".upgrade"
BUILDS = ROOT / "target" / "upgrade"
PORTS_ABOVE = 400
CANCELLED = "CANCELLED_VIA_COMPENSATION"
SKU = "keyboard"
PARTICIPANT = packages.PARTICIPANT
# saga-events writes what the others read, and azure-participant what saga-events hears of: first one of them is ahead, then the other.
FORWARD = (
    (PARTICIPANT, "new"), (PARTICIPANT, "old"), ("saga-events", "new"), ("outbox-poller", "new"), ("event-ingress", "new"),
    ("saga-initiator", "new"), (PARTICIPANT, "new"), ("saga-events", "old"), ("deadline-sweeper", "new"), ("saga-events", "new"),
    ("dlq-replayer", "new"),
)
BACK = tuple((name, "old") for name in ("saga-events", "deadline-sweeper", PARTICIPANT, "saga-initiator", "event-ingress", "outbox-poller", "dlq-replayer"))


def say(text: str) -> None:
    print(f"upgrade: {text}", flush=True)


# --- packages ---


def packages_of(what: str) -> Path:
    """The folder of packages that `what` names."""
    if (Path(what) / f"{PARTICIPANT}.zip").exists():
        return Path(what).resolve()
    if what == ".":
        return built(ROOT, BUILDS / "here")
    commit = subprocess.run(["git", "rev-parse", "--verify", f"{what}^{{commit}}"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    if not commit:
        raise SystemExit(f"upgrade: {what} is neither a folder of packages nor a git revision")
    folder, tree = BUILDS / commit[:12], BUILDS / f"{commit[:12]}-tree"
    if (folder / f"{PARTICIPANT}.zip").exists():
        return folder
    if not tree.exists():
        subprocess.run(["git", "worktree", "add", "--detach", str(tree), commit], cwd=ROOT, check=True)
    try:
        return built(tree, folder)
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=False)


def built(tree: Path, folder: Path) -> Path:
    """The tree may be of a time before the development profile had its name."""
    say(f"building the functions of {tree} (some minutes the first time)")
    names = (*packages.LAMBDAS, PARTICIPANT)
    profile = {"inherits": '"dev"', "debug": "false", "strip": "true"}
    settings = [word for name, value in profile.items() for word in ("--config", f"profile.{packages.PROFILE}.{name}={value}")]
    command = ["cargo", "build", "--locked", "--profile", packages.PROFILE, *settings, *(f"--package={name}" for name in names)]
    subprocess.run([*command, "--target-dir", str(ROOT / "target")], cwd=tree, check=True)
    binaries = ROOT / "target" / packages.PROFILE
    for name in packages.LAMBDAS:
        packing.write(folder / packages.architecture() / f"{name}.zip", packages.Programs(binaries, None).function(name))
    app = packing.function_app(tree / "functions" / PARTICIPANT, (binaries / PARTICIPANT).read_bytes())
    packing.write(folder / f"{PARTICIPANT}.zip", packing.zipped(app, level=1))
    return folder


# --- the load ---


class Load:
    """Starts sagas of every kind until it is stopped."""

    def __init__(self, test: StackTest, seed: int):
        self.test, self.chance, self.stopping = test, random.Random(seed), threading.Event()
        self.lock, self.sagas, self.retried, self.failures = threading.Lock(), {}, 0, []
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(2)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(120)

    def run(self):
        while not self.stopping.is_set():
            try:
                self.one()
            except Exception as error:  # every failure is reported in the end
                self.failures.append(f"{type(error).__name__}: {error}")
            time.sleep(0.2)

    def one(self):
        with self.lock:
            kind = self.chance.choice(("completes",) * 4 + ("refused", "sold out", "four steps", "undone", "cancelled", "overridden", "overdue"))
        definition = "order" if kind in ("four steps", "undone") else "payment"
        amount = "20000" if kind == "refused" else "50.00"
        sku = "sold-out" if kind == "sold out" else SKU
        body = order(amount, items=[{"sku": sku, "quantity": 1}], **({"destination": "ATLANTIS" if kind == "undone" else "DE"} if definition == "order" else {}))
        key = uuid.uuid4().hex
        saga = self.started(definition, body, key)
        if saga is None:
            return
        with self.lock:
            self.sagas[saga["saga_id"]] = kind
        if kind == "cancelled":
            self.asked(f"/sagas/{saga['saga_id']}/cancel", {"reason": "changed my mind"}, (202, 409))
        elif kind == "overridden":
            time.sleep(self.chance.random())
            self.asked(f"/sagas/{saga['saga_id']}/resolve", {"to": "cancelled", "reason": "the customer called", "by": "ops@example.com"}, (200, 409))
        elif kind == "overdue":
            try:
                self.test.dynamo.make_overdue(saga["saga_id"], int(time.time() * 1000) - 1_000)
            except Exception:  # it has ended, and has no deadline any more
                return
            self.invoked("deadline-sweeper")

    def started(self, definition: str, body: dict, key: str) -> dict | None:
        """A start whose answer was lost is repeated with its key, as a client would."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        for _ in range(60):
            status, answer = http.request("POST", f"{self.test.e['api']}/sagas/{definition}", json.dumps(body).encode(), headers, seconds=60)
            if status in (200, 201):
                return json.loads(answer)
            if status not in UNANSWERED and status != 500:
                self.failures.append(f"a start was answered with {status}: {answer[:300].decode(errors='replace')}")
                return None
            with self.lock:
                self.retried += 1
            time.sleep(0.5)
        self.failures.append("a start had no answer")
        return None

    def asked(self, path: str, body: dict, fine: tuple[int, ...]):
        for _ in range(60):
            status, answer = http.request("POST", self.test.e["api"] + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, seconds=60)
            if status in fine:
                return
            if status not in UNANSWERED and status != 500:
                break
            time.sleep(0.5)
        self.failures.append(f"{path} was answered with {status}: {answer[:300].decode(errors='replace')}")

    def invoked(self, function: str):
        scope = f"test/20260101/{self.test.e['region']}/lambda/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"}
        http.request("POST", f"{self.test.e['aws']}/2015-03-31/functions/{function}/invocations", b"{}", headers, seconds=60)

    def count(self) -> int:
        with self.lock:
            return len(self.sagas)


# --- deploying ---


class Deployer:
    def __init__(self, test: StackTest, releases: dict[str, Path]):
        self.test, self.releases = test, releases

    def deploy(self, function: str, release: str):
        if function == PARTICIPANT:
            self.deploy_handler(packing.entries((self.releases[release] / f"{function}.zip").read_bytes()))
        else:
            self.deploy_function(function, (self.releases[release] / packages.architecture() / f"{function}.zip").read_bytes())

    def deploy_function(self, name: str, package: bytes):
        aws_rest(self.test.e, "lambda", "PUT", f"/2015-03-31/functions/{name}/code", {"ZipFile": base64.b64encode(package).decode()})

    def deploy_handler(self, files: list[packing.Entry]):
        """The files of the Function App are replaced and the handler is ended, which its host starts again."""
        for entry in files:
            file = STATE / "functionapp" / entry.name
            fresh = file.with_name(file.name + ".new")
            fresh.write_bytes(entry.content)
            os.chmod(fresh, entry.mode & 0o777)
            fresh.replace(file)
        pid = endpoints()["pids"]["azure_participant"]
        os.kill(pid, signal.SIGKILL)
        wait_for("the new handler", lambda: endpoints()["pids"].get("azure_participant") not in (None, pid), seconds=120)


# --- what must be so in the end ---


class Checks:
    def __init__(self, test: StackTest, stock: int):
        self.test, self.stock = test, stock

    def wait_until_all_ended(self, sagas: dict[str, str], load: Load):
        """Looks at those that are open; the schedules are run every few seconds, as they are once a minute."""
        open_sagas, begun, rounds = set(sagas), time.monotonic(), 0
        while open_sagas:
            with ThreadPoolExecutor(2) as pool:
                ended = dict(zip(open_sagas, pool.map(self.ended, list(open_sagas))))
            open_sagas = {saga for saga in open_sagas if not ended[saga]}
            rounds += 1
            if not open_sagas:
                break
            if time.monotonic() - begun > 600:
                raise SystemExit(f"upgrade: {len(open_sagas)} sagas have not ended after ten minutes: {sorted(open_sagas)[:5]}")
            if rounds % 2 == 0:
                load.invoked("deadline-sweeper")
                load.invoked("outbox-poller")
                say(f"{len(open_sagas)} of {len(sagas)} sagas are open")
            time.sleep(2)

    def ended(self, saga_id: str) -> bool:
        status, answer = http.request("GET", f"{self.test.e['api']}/sagas/{saga_id}", seconds=60)
        if status in UNANSWERED:
            return False
        if status != 200:
            raise SystemExit(f"upgrade: GET /sagas/{saga_id} was answered with {status}: {answer[:300].decode(errors='replace')}")
        saga = json.loads(answer)
        return saga["status"] in TERMINAL and not saga["flags"]["closing"]

    def torn(self, sagas: dict[str, str]) -> tuple[list[str], collections.Counter]:
        """All or nothing, by the business rows and the steps in the stores of both clouds, and what the sagas came to."""
        wrong, outcomes, taken = [], collections.Counter(), 0
        effects, steps = self.effects(), self.steps()
        for saga_id, kind in sagas.items():
            saga = self.test.saga(saga_id)
            done = saga["status"] == "COMPLETED"
            outcomes[f"{kind}: {'completed' if done else 'cancelled'}"] += 1
            wanted = {"payment": "COMPLETED" if done else CANCELLED}
            if done and kind == "four steps":
                wanted |= {"shipment": "BOOKED", "receipt": "STORED"}
            found = {entity: status for entity, status in effects[saga_id].items() if done or entity == "payment" or status in ("BOOKED", "STORED")}
            far = {step["step"] for step in saga["steps"] if step["cloud"] == "azure"}
            at_rest = steps[saga_id]
            whole = set(at_rest) == far and set(at_rest.values()) == {"DONE"} if done else "DONE" not in at_rest.values()
            if found != wanted or not whole:
                wrong.append(f"{saga_id} ({kind}) is {saga['status']}: its entities are {effects[saga_id]}, Azure's steps {at_rest}")
            expected = {"completes": True, "four steps": True, "refused": False, "sold out": False, "undone": False}.get(kind)
            if expected not in (None, done):
                wrong.append(f"{saga_id} ({kind}) is {saga['status']}: {saga['reason']}")
            if saga["flags"]["parked"]:
                wrong.append(f"{saga_id} ({kind}) has a parked message: {saga['flags']['parked']}")
            taken += done
        if self.stock - self.test.azure.stock(SKU) != taken:
            wrong.append(f"{self.stock - self.test.azure.stock(SKU)} of {SKU} were taken by {taken} completed sagas")
        return wrong, outcomes

    def effects(self) -> dict[str, dict[str, str]]:
        """The status of every entity of every saga, by its kind."""
        found: dict[str, dict[str, str]] = collections.defaultdict(dict)
        for item in self.test.dynamo.items("payments_table"):
            kind, _, saga_id = item["TransactionId"]["S"].rpartition("#")
            found[saga_id][kind or "payment"] = item["Status"]["S"]
        for row in self.test.azure.rows("entity|receipt|"):
            found[row["RowKey"].split("|")[2]]["receipt"] = row["Status"]
        return found

    def steps(self) -> dict[str, dict[int, str]]:
        """The state of every step on Azure."""
        found: dict[str, dict[int, str]] = collections.defaultdict(dict)
        for row in self.test.azure.rows("step|"):
            _, saga_id, index = row["RowKey"].split("|")
            found[saga_id][int(index)] = row["State"]
        return found

    def left_over(self) -> list[str]:
        self.test.assert_outboxes_empty()
        left = [f"a dead row: {row}" for row in self.test.dynamo.dead_rows()]
        status, answer = http.request("GET", f"{self.test.e['dead_letters']}/dead-letters?limit=100", seconds=120)
        if status != 200:
            return [*left, f"the list of dead letters was answered with {status}: {answer[:300].decode(errors='replace')}"]
        page = json.loads(answer)
        left += [f"a dead letter: {dead_letter}" for dead_letter in page["letters"]] + [f"not looked at: {notice}" for notice in page.get("notices", [])]
        for queue in ("events_dlq", "destination_dlq", "quarantine_queue"):
            if count := self.test.waiting(queue):
                left.append(f"{count} messages in {queue}")
        return left


def logged_errors(test: StackTest) -> collections.Counter:
    """What the functions of both clouds logged as errors, by how often."""
    found = collections.Counter()
    for name, text in test.logs().items():
        for raw in text.splitlines():
            if '"ERROR"' not in raw:
                continue
            with contextlib.suppress(ValueError):
                line = json.loads(raw)
                said = f"{line.get('message', '')}: {line.get('error', '')}".strip(": ")
                found[f"{name}: {re.sub(r'[0-9a-f]{8}-[0-9a-f-]{27}', 'SAGA', said)[:300]}"] += 1
    return found


def run(releases: dict[str, Path], sagas: int, back: bool, seed: int) -> int:
    test = StackTest()
    test.setUp()
    deployer, checks = Deployer(test, releases), Checks(test, test.azure.stock(SKU))
    wrong: list[str] = []
    everything: dict[str, str] = {}
    directions = [("forward", FORWARD), *([("back", BACK)] if back else [])]
    for direction, steps in directions:
        begun = time.monotonic()
        with Load(test, seed) as load:
            each = max(1, sagas // (len(steps) + 1))
            wait_for("the first sagas", lambda: load.count() >= each or load.failures, pause=0.5)
            for number, (function, release) in enumerate(steps, start=2):
                deployer.deploy(function, release)
                say(f"{direction}: {function} is {release} now, {load.count()} sagas started")
                wait_for("more sagas", lambda goal=each * number: load.count() >= goal, pause=0.5)
        everything |= load.sagas
        say(f"{direction}: {load.count()} sagas in {time.monotonic() - begun:.0f} s, {load.retried} starts repeated; waiting for their ends")
        checks.wait_until_all_ended(everything, load)
        torn, outcomes = checks.torn(everything)
        wrong += [f"{direction}: {what}" for what in [*load.failures, *torn, *checks.left_over()]]
        say(f"{direction}: all {len(everything)} sagas have ended after {time.monotonic() - begun:.0f} s")
        for outcome, count in sorted(outcomes.items()):
            say(f"  {count:4} {outcome}")
    errors = logged_errors(test)
    for message, count in errors.most_common(20):
        say(f"  logged {count} times: {message}")
    # One release does not understand what the other wrote.
    wrong += [f"logged: {message}" for message in errors if "cannot read" in message or "cannot be read" in message or "left out" in message]
    for what in wrong:
        say(f"WRONG: {what}")
    say(f"{len(wrong)} wrong" if wrong else f"nothing was lost, nothing was torn: {len(everything)} sagas")
    return 1 if wrong else 0


def main() -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("old", help="folder of packages, or git revision")
    parser.add_argument("new", help="folder of packages, git revision, or `.`")
    parser.add_argument("--sagas", type=int, default=400, help="sagas to start in each direction (400)")
    parser.add_argument("--back", action="store_true", help="return to OLD afterwards")
    parser.add_argument("--seed", type=int, default=20261126, help="of the kinds of sagas")
    arguments = parser.parse_args()
    releases = {"old": packages_of(arguments.old), "new": packages_of(arguments.new)}

    stack = [sys.executable, str(ROOT / "localstack" / "stack.py")]
    place = ["--port-base", str(port_base() + PORTS_ABOVE), "--state", str(STATE)]
    try:
        if status := subprocess.run([*stack, "up", *place, "--packages", str(releases["old"])], check=False).returncode:
            return status
        os.environ["SAGA_ENDPOINTS"] = str(STATE / "endpoints.json")
        return run(releases, arguments.sagas, arguments.back, arguments.seed)
    finally:
        subprocess.run([*stack, "down", *place], check=False)


if __name__ == "__main__":
    sys.exit(main())
