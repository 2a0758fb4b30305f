"""Dead letters and alerts: what SQS's redrive moves is listed and replayed, and people are told."""

from __future__ import annotations

import uuid

from stack.dead_letters import DeadLetters
from stack.proxy import Rerouted
from stack.support import wait_for
from stack.test_dead_letters import Failing

from .events import event


class Letters(DeadLetters):
    def test_a_message_that_fails_its_receives_is_redriven_listed_and_replayed(self):
        url = self.queue_url("events_queue")
        attributes = self.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        # Each receive in seconds, not in minutes.
        self.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "2"})
        try:
            with Failing(self.e["aws"], "TransactWriteItems") as proxy, Rerouted(self, proxy.url, "saga-events"):
                saga = self.started()
                letter = self.letter_of(saga["saga_id"], "events")
        finally:
            self.sqs("SetQueueAttributes", QueueUrl=url, Attributes=attributes)
        self.assertEqual((letter["type"], letter["verb"]), ("InventoryReserved", "complete"))
        self.assertIn("saga-events failed", letter["reason"])
        self.replay(letter)
        self.ended_soon(saga["saga_id"], "COMPLETED")
        self.assert_replay_is_recorded(saga["saga_id"])
        self.clear(saga["saga_id"])
        self.assert_gone(letter)

    def test_an_alert_reaches_the_topic(self):
        """The webhook quarantines an event of a definition that it does not know; the watch, on its schedule, tells people."""
        alerts, unknown = self.subscribe_to_alerts(), {**event("aws"), "sagadef": f"unknown-{uuid.uuid4().hex[:8]}"}
        self.assertEqual(self.deliver(unknown)[0], 200)
        told: list[str] = []

        def heard():
            told.extend(self.alerts_on(alerts))
            return [one for one in told if unknown["sagaid"] in one or unknown["sagadef"] in one]
        wait_for("the alert", heard)
        self.carry_out("discard", self.letter_of(unknown["sagaid"], "quarantine")["id"])
