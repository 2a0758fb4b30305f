"""The replayer as an operator has it: the terminal command."""

from __future__ import annotations

import json
import subprocess
import uuid

from .proxy import Proxy, Rerouted
from .support import PATIENCE_SECONDS, StackTest, order, wait_for

from local_stack import packages  # (support says where it is)

DLQ = packages.binaries() / packages.DLQ


class Failing(Proxy):
    """Answers some actions with an error, until the test says otherwise."""

    def __init__(self, upstream: str, *actions: str):
        super().__init__(upstream)
        self.actions = actions

    def answer(self, target: str, body: bytes):
        if target.endswith(self.actions):
            return 500, {"__type": "InternalServerError", "message": "planted"}
        return None


class DeadLetters(StackTest):
    def command(self, *arguments: str) -> tuple[int, list[dict], str]:
        """Its exit code, what the replayer answered, request by request, and what it said besides."""
        command = [DLQ, "--json", "--endpoint", self.e["dead_letters"], *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def dlq(self, *arguments: str, expect: int = 0) -> list[dict]:
        code, answers, said = self.command(*arguments)
        self.assertEqual(code, expect, f"{answers} {said}")
        return answers

    def look(self, *arguments: str) -> list[dict]:
        """What the replayer shows, once nobody else holds some of it: the watch looks every minute."""
        def undisturbed():
            code, answers, _ = self.command(*arguments)
            return answers if code == 0 else None
        return wait_for(f"dlq {' '.join(arguments)}", undisturbed)

    def dead_letters(self, *filters: str) -> list[dict]:
        return [dead_letter for page in self.look("list", *filters) for dead_letter in page["letters"]]

    def dead_letter_of(self, saga_id: str, source: str) -> dict:
        """The one dead letter of a saga in a source."""
        def look():
            found = self.dead_letters("--saga", saga_id, "--source", source)
            return found[0] if found else None
        return wait_for(f"a dead letter of {saga_id} in {source}", look)

    def dry_run(self, dead_letter: dict) -> dict:
        """What is foreseen of a replay; a dead letter that the watch holds is unknown for the moment."""
        def foreseen():
            for report in self.command("replay", dead_letter["id"])[1]:
                self.assertTrue(report["dry_run"])
                return next((item for item in report["items"] if item["outcome"] != "unknown"), None)
        return wait_for(f"a dry run of {dead_letter['id']}", foreseen)

    def carry_out(self, act: str, *ids: str) -> dict[str, str]:
        """What became of each of these dead letters, once nobody else held it."""
        became: dict[str, str] = {}

        def again():
            missing = [one for one in ids if one not in became]
            for report in self.command(act, *missing, "--confirm", "--why", "the cause is gone", "--by", "the tests")[1]:
                became.update({item["id"]: item["outcome"] for item in report["items"] if item["outcome"] != "unknown"})
            return set(became) == set(ids)
        wait_for(f"dlq {act} {' '.join(ids)}", again)
        return became

    def replay(self, dead_letter: dict):
        self.assertEqual(self.dry_run(dead_letter)["outcome"], "tried")
        self.assertEqual(self.carry_out("replay", dead_letter["id"]), {dead_letter["id"]: "replayed"})

    def assert_replay_is_recorded(self, saga_id: str, verb: str = "replay"):
        lines = [line for line in self.saga(saga_id)["timeline"] if line["verb"] == verb]
        self.assertTrue(lines and "the tests" in lines[0]["note"], lines)

    def assert_gone(self, dead_letter: dict):
        self.dlq("show", dead_letter["id"], expect=1)
        self.assertEqual(self.dead_letters("--saga", dead_letter["saga_id"]), [])

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

        def cleared():
            if not self.dead_letters("--saga", saga_id):
                return True
            self.command("replay", "--saga", saga_id, "--confirm", "--why", "all of it", "--by", "the tests")
            return False
        wait_for(f"no dead letters of {saga_id}", cleared)
        self.assertEqual(self.saga(saga_id)["status"], before)

    def check_the_redrive_of_saga_events(self) -> None:
        """Every receive fails: SQS moves the message, it is listed, and a replay ends its saga."""
        url = self.queue_url("events_queue")
        attributes = self.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        # Each try in seconds, not in minutes.
        self.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "2"})
        try:
            with Failing(self.e["aws"], "TransactWriteItems") as proxy, Rerouted(self, proxy.url, "saga-events"):
                saga = self.started()
                dead_letter = self.dead_letter_of(saga["saga_id"], "events")
        finally:
            self.sqs("SetQueueAttributes", QueueUrl=url, Attributes=attributes)
        self.assertEqual((dead_letter["type"], dead_letter["verb"]), ("InventoryReserved", "complete"))
        self.assertIn("saga-events failed", dead_letter["reason"])
        self.replay(dead_letter)
        self.ended_soon(saga["saga_id"], "COMPLETED")
        self.assert_replay_is_recorded(saga["saga_id"])
        self.clear(saga["saga_id"])
        self.assert_gone(dead_letter)
