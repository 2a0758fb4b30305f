#!/usr/bin/env python3
"""Runs a part of the tests, and starts and stops what it needs.

    python3 tests/run.py all        everything that CI runs: `make test`
    python3 tests/run.py unit       everything that needs no emulator
    python3 tests/run.py stack      the store contract and the end-to-end tests, on two local stacks of their own
    python3 tests/run.py deny       the dependency policy
    python3 tests/run.py bench      what the outbox costs, on a local stack of its own
    python3 tests/run.py localstack end-to-end tests on LocalStack in place of MiniStack, on a local stack of their own
    python3 tests/run.py endurance  what takes many minutes with outside services, on three local stacks, one after the other
    python3 tests/run.py packages   what `make package` left in target/package, read and run on a local stack of its own

`stack`, `bench` and `endurance` run the functions that `make package` builds for this machine, which are built first; where those cannot
run (anywhere but on Linux on x86-64) they run functions of the development profile, and say so. Each part ends with the
seconds that its phases took. Uses cargo-nextest where it is installed, else cargo test.
"""

from __future__ import annotations

import contextlib
import os
import platform
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import dynamodb_local

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "infra"))
from command_line import Parser, port_base  # noqa: E402

IN_CI = bool(os.environ.get("CI"))
# Beside the ports of `make up` and of the demo, so that all three can run at once.
PORTS_ABOVE, LOCALSTACK_ABOVE, PORTS_A_STACK = 200, 300, 20
PACKAGES = ROOT / "target" / "package"
# In `make test`: what keeps the cores busy, and beside it what mostly waits for an emulator, a provider or a network.
WORKING = ("format", "lint", "unit", "deny", "stack-test")
WAITING = ("terraform", "terraform-apply", "policy", "workflows")
# The end-to-end tests that take longest begin first.
LONGEST_FIRST = ("test_dead_letter_runs", "test_healing", "test_crashes", "test_dead_letters", "test_relay", "test_logs")


def main() -> int:
    parts = {"all": everything, "unit": unit, "stack": stack, "deny": deny, "bench": bench, "localstack": localstack, "endurance": endurance, "packages": packages}
    parser = Parser(description=__doc__)
    parser.add_argument("part", choices=parts)
    part = parser.parse_args().part
    status = parts[part]()
    PHASES.show(part)
    return status


class Phases:
    """How many seconds each part of a run took. A run inside another one adds its phases to the other's."""

    PLACE = "SAGA_TEST_PHASES"

    def __init__(self) -> None:
        self.outer = os.environ.get(self.PLACE)
        self.lines: list[str] = []

    @contextlib.contextmanager
    def phase(self, name: str):
        began = time.monotonic()
        try:
            yield
        finally:
            line = f"{time.monotonic() - began:7.0f} s  {name}"
            if self.outer:
                with open(self.outer, "a") as file:
                    file.write(f"{line}\n")
            else:
                self.lines.append(line)

    def show(self, part: str) -> None:
        if self.lines and not self.outer:
            print(f"\nwhere the time of `{part}` went:", *self.lines, sep="\n", flush=True)


PHASES = Phases()
Run = Callable[[list[str]], int]


# --- everything ----------------------------------------------------------------------------------------


def everything() -> int:
    """The targets that wait run beside those that work; what they say is shown when each has ended."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as beside, PHASES.phase("in all"):
        waiting = beside.submit(targets, WAITING, Path(folder))
        failed = targets(WORKING, Path(folder), shown=True)
        failed += waiting.result()
    if failed:
        print(f"FAILED: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def targets(names: tuple[str, ...], folder: Path, shown: bool = False) -> list[str]:
    """Makes these targets one after the other, until one fails."""
    for number, name in enumerate(names, 1):
        inner = folder / name
        with PHASES.phase(name if shown else f"{name}, beside the others"):
            if shown:
                print(f"make test: {name} ({number} of {len(names)})", flush=True)
            log = folder / f"{name}.log"
            with log.open("wb") as out:
                environment = {**os.environ, Phases.PLACE: str(inner)}
                pipe = None if shown else out
                status = subprocess.run(["make", "--no-print-directory", name], cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, check=False).returncode
            if not shown:
                print(f"make test: {name} (beside the others)\n{log.read_text(errors='replace')}", end="", flush=True)
        if inner.exists():
            PHASES.lines += [f"    {line}" for line in inner.read_text().splitlines()]
        if status:
            return [name]
    return []


def unit() -> int:
    with PHASES.phase("building and running the tests"):
        status = python_tests("packages") or python_tests("services") or cargo_test(["--workspace"])
    if status:
        return status
    with PHASES.phase("doc tests"):
        return run(["cargo", "test", "--workspace", "--locked", "--doc", "--quiet"])


# --- on a local stack ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stack:
    """A local stack of the tests' own, and the environment of what runs on it. With a `label`, each line says whose it is."""

    state: Path
    port_base: int
    label: str = ""

    def run(self, command: list[str]) -> int:
        return run(command, {"SAGA_ENDPOINTS": str(self.state / "endpoints.json")}, self.label)

    def make(self, command: str, *options: str) -> int:
        script = [sys.executable, str(ROOT / "localstack" / "stack.py"), command, "--port-base", str(self.port_base), "--state", str(self.state)]
        return run([*script, *options], {}, self.label)

    def python_tests(self, folder: str, files: str = "test_*.py") -> int:
        return python_tests(folder, files, self.run)


def a_stack(number: int = 0, label: str = "") -> Stack:
    return Stack(ROOT / "localstack" / (f".test{number}" if number else ".test"), port_base() + PORTS_ABOVE + number * PORTS_A_STACK, label)


def stack() -> int:
    """Each test has a stack to itself while it runs: two stacks take the tests' files from one list."""
    options = packaged_functions()
    if options is None:
        return 1
    jobs: queue.Queue[str] = queue.Queue()
    for job in ["contract", *sorted((file.stem for file in (ROOT / "tests" / "stack").glob("test_*.py")), key=order_of_start)]:
        jobs.put(job)
    stopped = threading.Event()
    stacks = [a_stack(), a_stack(1)]
    stacks = [Stack(one.state, one.port_base, f"[{number}] ") for number, one in enumerate(stacks, 1)]
    with ThreadPoolExecutor(len(stacks)) as pool:
        try:
            ran = [pool.submit(end_to_end, one, options, jobs, stopped, last=one is stacks[0]) for one in stacks]
            failed = [name for each in ran for name in each.result()]
        except BaseException:
            stopped.set()
            raise
    if failed:
        print(f"FAILED on a stack: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def order_of_start(name: str) -> tuple[int, str]:
    return (LONGEST_FIRST.index(name) if name in LONGEST_FIRST else len(LONGEST_FIRST), name)


def end_to_end(one: Stack, options: list[str], jobs: queue.Queue[str], stopped: threading.Event, last: bool) -> list[str]:
    """Takes job after job; what failed. The last one destroys what the others need."""
    failed = []
    with on(one, *options) as status:
        if status:
            return [f"{one.label}up"]
        while not stopped.is_set():
            try:
                job = jobs.get_nowait()
            except queue.Empty:
                break
            with PHASES.phase(one.label + job):
                if contract(one) if job == "contract" else one.python_tests("stack", f"{job}.py"):
                    failed.append(job)
        if last and not stopped.is_set():
            with PHASES.phase(f"{one.label}second plan and destroy"):
                if one.python_tests("terraform"):
                    failed.append("terraform")
    return failed


def contract(one: Stack) -> int:
    try:
        with dynamodb_local.running(ROOT / "localstack" / ".dynamodb-local", one.port_base + 7):  # beside the ports of the stack itself
            return cargo_test(["--package", "saga-tests", "--features", "stack"], only="stack", through=one.run)
    except SystemExit as why:
        print(why, file=sys.stderr)
        return 1


def bench() -> int:
    options = packaged_functions()
    return 1 if options is None else on_a_stack(lambda one: one.run([sys.executable, "tests/bench.py"]), *options)


def localstack() -> int:
    place = Stack(ROOT / "localstack" / ".test-localstack", port_base() + LOCALSTACK_ABOVE)
    return on_a_stack(lambda one: one.python_tests("localstack"), "--emulator", "localstack", place=place)


def endurance() -> int:
    """The services of the local stack; then the provider that was written from the contract alone; then a bank that forgets."""
    options = packaged_functions()
    if options is None:
        return 1
    failed = on_a_stack(lambda one: one.python_tests("endurance", "test_chaos.py") or one.python_tests("endurance", "test_services.py"), *options)
    with tempfile.TemporaryDirectory() as folder:
        port, services = port_base() + PORTS_ABOVE + PORTS_A_STACK - 1, Path(folder) / "services.toml"
        samples = (ROOT / "localstack" / "services.toml").read_text()
        services.write_text(samples.replace("{services}", f"http://127.0.0.1:{port}"))
        os.environ["SECOND_PROVIDER_PORT"] = str(port)
        failed = on_a_stack(lambda one: one.python_tests("endurance", "test_chaos.py"), *options, "--services", str(services)) or failed
        del os.environ["SECOND_PROVIDER_PORT"]
    return on_a_stack(lambda one: one.python_tests("endurance", "test_forgotten_keys.py"), "--packages", str(forgetful())) or failed


def forgetful() -> Path:
    """Packages of this tree, but that its definition of transfers has a bank that forgets."""
    import upgrade

    place = ROOT / "target" / "endurance"
    tree, definition = place / "tree", Path("shared/wire/definitions/transfer.toml")
    shutil.rmtree(tree, ignore_errors=True)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for file in filter(None, files):
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, tree / file, follow_symlinks=False)
    text = (tree / definition).read_text()
    (tree / definition).write_text(text.replace('call = "bank"', 'call = "bank"\nkey_lifetime = "50s"'))
    with PHASES.phase("functions whose bank forgets"):
        return upgrade.built(tree, place / "packages")


def packages() -> int:
    """Zips first: what they hold decides whether running them says anything."""
    return python_tests("packaged/zips") or on_a_stack(lambda one: one.python_tests("packaged/running"), "--packages", str(PACKAGES))


def packaged_functions() -> list[str] | None:
    """The option with which a stack runs what is deployed, once that is built; None when it cannot be built."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        print("NOT AS DEPLOYED: packages run on Linux on x86-64; these functions have the development profile", file=sys.stderr)
        return []
    with PHASES.phase("packages of the release profile"):
        status = run([sys.executable, "infra/package.py", "--arch", "x86_64"])
    return None if status else ["--packages", str(PACKAGES)]


def on_a_stack(work: Callable[[Stack], int], *options: str, place: Stack | None = None) -> int:
    one = place or a_stack()
    with on(one, *options) as status:
        return status or work(one)


@contextlib.contextmanager
def on(one: Stack, *options: str):
    """The status of `up`; the stack is stopped in any case."""
    try:
        with PHASES.phase(f"{one.label}stack up"):
            status = one.make("up", *options)
        yield status
    finally:
        one.make("down")


# --- the tools -----------------------------------------------------------------------------------------


def python_tests(folder: str, files: str = "test_*.py", through: Run | None = None) -> int:
    return (through or run)([sys.executable, "-m", "unittest", "discover", "-v", "-s", f"tests/{folder}", "-t", "tests", "-p", files])


def cargo_test(options: list[str], only: str | None = None, through: Run | None = None) -> int:
    """`only`: just the test files whose names begin so."""
    files = sorted((ROOT / "tests" / "tests").glob(f"{only}*.rs")) if only else []
    wanted = [part for file in files for part in ("--test", file.stem)]
    runner = ["nextest", "run"] if shutil.which("cargo-nextest") else ["test"]
    return (through or run)(["cargo", *runner, "--locked", "--no-fail-fast", *options, *wanted])


def deny() -> int:
    if not shutil.which("cargo-deny"):
        note = "cargo-deny is not installed: the dependency policy is NOT CHECKED (cargo install --locked cargo-deny)"
        print(f"SKIPPED: {note}", file=sys.stderr)
        return 1 if IN_CI else 0
    # The advisory database is fetched; where it cannot be, a copy may be named.
    database = os.environ.get("ADVISORY_DB")
    checks = ["licenses", "sources", "bans"]
    # All platforms' crates, of which a build fetches only its own.
    status = run(["cargo", "fetch", "--locked"]) or run(["cargo", "deny", "--offline", "check", *checks])
    if status:
        return status
    if not database:
        return run(["cargo", "deny", "check", "advisories"])
    # A copy is as old as it is; that it is used at all is said here.
    print(f"advisories: from the copy in {database}", flush=True)
    copy = f'[advisories]\ndb-path = "{database}"\nmaximum-db-staleness = "P365D"'
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as config:
        config.write((ROOT / "deny.toml").read_text().replace("[advisories]", copy))
        config.flush()
        return run(["cargo", "deny", "--offline", "--config", config.name, "check", "advisories"])


def run(command: list[str], environment: dict[str, str] | None = None, label: str = "") -> int:
    """The status of a command. With a label, its lines are shown behind it, each when it is whole."""
    print(f"{label}+ {' '.join(command)}", flush=True)
    environment = {**os.environ, **(environment or {})}
    if not label:
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace") as process:
        for line in process.stdout or ():
            print(f"{label}{line}", end="", flush=True)
    return process.returncode


if __name__ == "__main__":
    sys.exit(main())
