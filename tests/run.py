#!/usr/bin/env python3
"""Runs a part of the tests, and starts and stops what it needs.

    python3 tests/run.py unit     everything that needs no emulator
    python3 tests/run.py stack    the store contract and the end-to-end tests, on a local stack of their own
    python3 tests/run.py deny     the dependency policy
    python3 tests/run.py bench    what the outbox costs, on a local stack of its own
    python3 tests/run.py localstack
                                  end-to-end tests on LocalStack in place of MiniStack, on a local stack of their own
    python3 tests/run.py packages what `make package` left in target/package, read and run on a local stack of its own

Uses cargo-nextest where it is installed, else cargo test.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import dynamodb_local

ROOT = Path(__file__).resolve().parent.parent
IN_CI = bool(os.environ.get("CI"))
# Beside the ports of `make up` and of the demo, so that all three can run at once.
PORT_BASE = int(os.environ.get("PORT_BASE") or 4566) + 200


def main() -> int:
    parts = {"unit": unit, "stack": stack, "deny": deny, "bench": bench, "localstack": localstack, "packages": packages}
    if len(sys.argv) != 2 or sys.argv[1] not in parts:
        print(__doc__, file=sys.stderr)
        return 2
    return parts[sys.argv[1]]()


def unit() -> int:
    return python_tests("packages") or cargo_test(["--workspace"]) or run(["cargo", "test", "--workspace", "--locked", "--doc", "--quiet"])


def stack() -> int:
    return on_a_stack(contract_and_end_to_end)


def contract_and_end_to_end() -> int:
    with dynamodb_local.running(ROOT / "localstack" / ".dynamodb-local", PORT_BASE + 6):
        contract = cargo_test(["--package", "saga-tests", "--features", "stack"], only="stack")
    # The last one destroys what the others need.
    return python_tests("stack") or contract or python_tests("terraform")


def bench() -> int:
    return on_a_stack(lambda: run([sys.executable, "tests/bench.py"]))


def localstack() -> int:
    return on_a_stack(lambda: python_tests("localstack"), "--emulator", "localstack", name=".test-localstack", port_base=PORT_BASE + 100)


def packages() -> int:
    """Zips first: what they hold decides whether running them says anything."""
    return python_tests("packaged/zips") or on_a_stack(lambda: python_tests("packaged/running"), "--packages", str(ROOT / "target" / "package"))


def python_tests(folder: str) -> int:
    return run([sys.executable, "-m", "unittest", "discover", "-v", "-s", f"tests/{folder}", "-t", "tests"])


def on_a_stack(work, *options: str, name: str = ".test", port_base: int = PORT_BASE) -> int:
    state = ROOT / "localstack" / name
    command = [sys.executable, str(ROOT / "localstack" / "stack.py")]
    place = ["--port-base", str(port_base), "--state", str(state)]
    try:
        status = run([*command, "up", *place, *options])
        if status:
            return status
        os.environ["SAGA_ENDPOINTS"] = str(state / "endpoints.json")
        return work()
    finally:
        run([*command, "down", *place])


def cargo_test(options: list[str], only: str | None = None) -> int:
    """`only`: just the test files whose names begin so."""
    files = sorted((ROOT / "tests" / "tests").glob(f"{only}*.rs")) if only else []
    targets = [part for file in files for part in ("--test", file.stem)]
    runner = ["nextest", "run"] if shutil.which("cargo-nextest") else ["test"]
    return run(["cargo", *runner, "--locked", "--no-fail-fast", *options, *targets])


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


def run(command: list[str]) -> int:
    print("+ " + " ".join(command), flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
