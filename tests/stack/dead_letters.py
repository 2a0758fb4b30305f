"""The replayer as an operator has it: the terminal command."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from pathlib import Path

from .support import ROOT, StackTest, order, wait_for

BINARIES = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release"
DLQ = BINARIES / "dlq"


class DeadLetters(StackTest):
    def dlq(self, *arguments: str, expect: int = 0) -> list[dict]:
        """What the replayer answered, request by request."""
        done = subprocess.run([DLQ, "--json", "--endpoint", self.e["dead_letters"], *arguments], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        self.said = done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def letters(self, *filters: str) -> list[dict]:
        return [letter for page in self.dlq("list", *filters) for letter in page["letters"]]

    def letter_of(self, saga_id: str, source: str, seconds: float = 120) -> dict:
        """The one dead letter of a saga in a source."""
        def look():
            found = self.letters("--saga", saga_id, "--source", source)
            return found[0] if found else None
        return wait_for(f"a letter of {saga_id} in {source}", look, seconds)

    def replay(self, letter: dict) -> dict:
        dry = self.dlq("replay", letter["id"])[0]
        self.assertTrue(dry["dry_run"])
        self.assertEqual(dry["items"][0]["outcome"], "tried", dry)
        report = self.dlq("replay", letter["id"], "--confirm", "--why", "the cause is gone", "--by", "the tests")[0]
        self.assertEqual((report["done"], report["items"][0]["outcome"]), (1, "replayed"), report)
        return report

    def assert_replay_is_recorded(self, saga_id: str, verb: str = "replay"):
        lines = [line for line in self.saga(saga_id)["timeline"] if line["verb"] == verb]
        self.assertTrue(lines and "the tests" in lines[0]["note"], lines)

    def assert_gone(self, letter: dict):
        self.dlq("show", letter["id"], expect=1)
        self.assertEqual(self.letters("--saga", letter["saga_id"]), [])

    def event_to_azure(self, saga: dict) -> dict:
        line = saga["timeline"][0]
        return {
            "specversion": "1.0", "id": line["event_id"], "source": "saga.orchestrator", "type": "PaymentReserved",
            "subject": f"saga/{saga['saga_id']}/advance", "time": "2026-11-21T02:00:00.123Z", "sagaid": saga["saga_id"], "sagadef": "payment",
            "sagaver": 1, "sagastep": 1, "sagaverb": "advance", "sagatarget": "azure", "sagaorigin": "aws", "sagahop": 1,
            "data": {"saga_id": saga["saga_id"], **saga["input"]},
        }

    def answer_of_azure(self, saga: dict, event_id: str) -> dict:
        return {**self.event_to_azure(saga), "source": "saga.participant.azure", "type": "InventoryReserved", "sagastep": 2,
                "sagaverb": "complete", "sagatarget": "aws", "sagaorigin": "azure", "sagahop": 2, "id": event_id}

    def dead_row(self, event: dict) -> dict:
        """As the relay leaves it in the outbox."""
        return {
            "Shard": {"S": "dead"}, "EventId": {"S": event["id"]}, "SagaId": {"S": event["sagaid"]}, "Type": {"S": event["type"]},
            "Body": {"S": json.dumps(event)}, "At": {"N": "1795226400123"}, "From": {"S": "07"}, "Attempts": {"N": "9"},
            "Reason": {"S": "refused by the bus"}, "DeadAt": {"N": "1795226500000"}, "ExpiresAt": {"N": "1803002500"},
        }

    def ended_saga(self) -> dict:
        return self.ended(self.start(order())["saga_id"], "COMPLETED")

    def started(self) -> dict:
        return self.start(order(items=[{"sku": "keyboard", "quantity": 1}]))

    def clear(self, saga_id: str):
        """What the sweeper sent again meanwhile may have fallen out, too: replaying it all changes nothing."""
        before = self.saga(saga_id)["status"]
        for _ in range(3):
            if not self.letters("--saga", saga_id):
                break
            self.dlq("replay", "--saga", saga_id, "--confirm", "--why", "all of it", "--by", "the tests")
        self.assertEqual(self.saga(saga_id)["status"], before)
