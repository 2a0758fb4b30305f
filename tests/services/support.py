"""Providers as processes of their own, and calls as a saga makes them."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SERVICES = Path(__file__).resolve().parents[2] / "localstack" / "services"
sys.path.append(str(SERVICES))


@dataclass(frozen=True)
class Answer:
    """Status 0: the connection was closed, or the answer broke off."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    @property
    def decision(self) -> str:
        return self.body["decision"] if self.status == 200 else f"status {self.status}"


def exchange(port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, seconds: float = 10.0) -> Answer:
    """One request on a connection of its own; redirects are shown, not followed."""
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, path, content, headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    except TimeoutError:
        raise
    except (OSError, http.client.HTTPException):
        return Answer(0, {}, b"")
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def a_call(given: dict[str, Any] | None = None, step: str = "debit", saga: str | None = None) -> dict[str, Any]:
    saga = saga or str(uuid.uuid4())
    return {
        "saga_id": saga, "definition": "transfer", "version": 1, "step": step, "key": f"{saga}.{step}.act", "input": given or {},
        "outputs": {}, "attempt": 1, "deadline_at": "2030-01-01T00:00:00Z",
    }


def undo_of(call: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**call, "key": call["key"].removesuffix(".act") + ".undo", "act_key": call["key"], "reason": "a later step refused", **changes}


class Provider:
    """A process on a free port. The ledger outlives it."""

    def __init__(self, folder: Path):
        self.folder, self.port, self.process = folder, free_port(), None

    def command(self) -> list[str]:
        raise NotImplementedError

    def effects(self) -> list[tuple[str, str, int]]:
        """Service, key of the act, +1 or -1: read from the file, not from the process."""
        raise NotImplementedError

    def refused(self) -> dict[str, Any]:
        """An input of `ledger` that is refused."""
        raise NotImplementedError

    def start(self) -> None:
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(self.command(), stdout=log, stderr=subprocess.STDOUT)
        log.close()
        self.wait()

    def wait(self) -> None:
        end = time.monotonic() + 20
        while exchange(self.port, "GET", "/status").status == 0:
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the provider does not answer: {(self.folder / 'log').read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def call(self, path: str, body: Any, seconds: float = 10.0, **headers: str) -> Answer:
        key = body["key"] if isinstance(body, dict) else "a-key"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return exchange(self.port, "POST", path, body, {"content-type": "application/json", "idempotency-key": key, **headers}, seconds)

    def net(self, service: str, key: str) -> list[int]:
        return [effect for of, act_key, effect in self.effects() if (of, act_key) == (service, key)]


class Faulty(Provider):
    """`provider.py`."""

    extra: list[str] = []

    def command(self) -> list[str]:
        script = [sys.executable, str(SERVICES / "provider.py"), "--port", str(self.port), "--ledger", str(self.folder / "ledger.sqlite"), "--seed", "1"]
        return [*script, *self.extra]

    def rows(self, query: str, *values: Any) -> list[tuple]:
        db = sqlite3.connect(self.folder / "ledger.sqlite")
        try:
            return db.execute(query, values).fetchall()
        finally:
            db.close()

    def effects(self) -> list[tuple[str, str, int]]:
        return self.rows("SELECT service, key, effect FROM effects ORDER BY id")

    def refused(self) -> dict[str, Any]:
        return {"account": "bob", "amount": "100.01"}

    def faults(self, faults: dict[str, Any]) -> None:
        answer = exchange(self.port, "PUT", "/faults", faults)
        assert answer.status == 200, answer


class Second(Provider):
    """`second_provider.mjs`."""

    extra: list[str] = []

    def command(self) -> list[str]:
        script = ["node", str(SERVICES / "second_provider.mjs"), "--port", str(self.port), "--ledger", str(self.folder / "ledger.jsonl"), "--limit", "10000"]
        return [*script, *self.extra]

    def effects(self) -> list[tuple[str, str, int]]:
        lines = (self.folder / "ledger.jsonl").read_text().splitlines()
        entries = [entry for entry in map(json.loads, lines) if entry["effect"]]
        return [(entry["service"], entry.get("act_key", entry["key"]), entry["effect"]) for entry in entries]

    def refused(self) -> dict[str, Any]:
        return {"account": "alice", "amount": "10000.01"}


class ProviderTest(unittest.TestCase):
    """Each class of tests has a provider, which a test may kill."""

    kind: type[Provider] = Faulty
    extra: list[str] = []
    provider: Provider

    @classmethod
    def setUpClass(cls) -> None:
        if cls.kind is Second and not shutil.which("node") and not os.environ.get("CI"):
            raise unittest.SkipTest("Node.js is not installed")
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.provider = cls.kind(Path(folder.name))
        cls.provider.extra = cls.extra
        cls.provider.start()
        cls.addClassCleanup(cls.stop)

    @classmethod
    def stop(cls) -> None:
        cls.provider.process.terminate()
        cls.provider.process.wait()

    def setUp(self) -> None:
        if self.provider.process.poll() is not None:
            self.provider.start()
        exchange(self.provider.port, "DELETE", "/faults")  # `second_provider.mjs` has none
        self.before = len(self.provider.effects())

    def effects(self) -> list[tuple[str, str, int]]:
        """Those of this test."""
        return self.provider.effects()[self.before:]
