"""Three hundred transfers with a provider that does everything that providers do, while functions, handler and provider are killed.
Once with the provider of the local stack, and once with the one that was written from the published contract alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path
from random import Random

from stack.support import ROOT, alive, wait_for
from stack.transfers import Chaos

SAGAS = 300
PATIENCE_SECONDS = 1_500
FAULTS = {
    "*": {
        "apply_and_time_out": {"probability": 0.15, "hold": 12},
        "delay": {"probability": 0.1, "seconds": 20},
        "status": {"probability": 0.15, "code": [429, 500, 503], "retry_after": 1},
        "garbage": {"probability": 0.1},
        "die": {"probability": 0.02, "when": ["before", "after"]},
        "later": {"probability": 0.03, "seconds": 3},
    },
}
# The port of the second provider, where the stack was started with a services file that names it.
SECOND_PORT = os.environ.get("SECOND_PROVIDER_PORT")


@unittest.skipIf(SECOND_PORT, "this stack calls the second provider")
class OwnProvider(Chaos):
    def test_three_hundred_sagas_end_as_its_ledger_says(self):
        self.faults(FAULTS)
        kinds = [("dave", "120.50"), ("mallory", "75"), ("dave", "99"), ("dave", "7.25")]
        self.sagas_end_as_their_provider_says(SAGAS, kinds, seed=20261127, patience=PATIENCE_SECONDS)


@unittest.skipUnless(SECOND_PORT, "this stack calls the provider of the local stack")
class SecondProvider(Chaos):
    """It keeps a file of JSON lines, has its own ways to fail, and refuses what is over its limit."""

    LIMIT = "9000"

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.ledger = Path(folder.name) / "ledger.jsonl"
        self.process, self.lock, self.stopping = None, threading.Lock(), threading.Event()
        self.addCleanup(self.stop)
        super().setUp()

    def faults(self, faults: dict) -> None:
        self.restart("0.4" if faults else "0")

    def restart(self, chaos: str) -> None:
        with self.lock:
            self.kill()
            script = [str(ROOT / "localstack" / "services" / "second_provider.mjs"), "--port", SECOND_PORT, "--ledger", str(self.ledger)]
            self.process = subprocess.Popen(["node", *script, "--limit", self.LIMIT, "--chaos", chaos], stdout=subprocess.DEVNULL)
            self.chaos = chaos

    def kill(self) -> None:
        if self.process and alive(self.process.pid):
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        self.stopping.set()
        with self.lock:
            self.kill()

    def dies_now_and_then(self) -> None:
        chance = Random(20261127)
        while not self.stopping.wait(5 + 10 * chance.random()):
            if self.chaos != "0":
                self.restart(self.chaos)

    def lines(self) -> list[dict]:
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]

    def effects(self, saga_id: str) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for line in self.lines():
            if line["saga"] == saga_id and line["effect"]:
                found.setdefault(line["service"], []).append(line["effect"])
        return found

    def undone_unseen(self) -> list:
        undone = (line for line in self.lines() if line["verb"] == "undo" and line["service"] != "ledger")
        return [line for line in undone if line["found"] != "accepted"]

    def requests(self) -> str:
        return f"{len(self.lines())} decisions"

    def test_three_hundred_sagas_end_as_its_ledger_says(self):
        self.faults(FAULTS)
        wait_for("the second provider", self.ledger.exists, seconds=30)
        threading.Thread(target=self.dies_now_and_then, daemon=True).start()
        # What is over its limit is refused by the first step; what is cancelled, is undone.
        kinds = [("dave", "120.50"), ("dave", "9999"), ("dave", "99"), ("dave", "7.25")]
        self.sagas_end_as_their_provider_says(SAGAS, kinds, seed=20261127, patience=PATIENCE_SECONDS)
