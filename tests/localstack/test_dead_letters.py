"""Dead letters and alerts: what SQS's redrive moves is listed and replayed, and people are alerted."""

from __future__ import annotations

import uuid

from stack.dead_letters import DeadLetters
from stack.support import wait_for

from .events import event


class Redrive(DeadLetters):
    def test_a_message_that_fails_its_receives_is_redriven_listed_and_replayed(self):
        self.check_the_redrive_of_saga_events()

    def test_an_alert_reaches_the_topic(self):
        """The webhook quarantines an event of a definition that it does not know; the watch, on its schedule, tells people."""
        alerts, unknown = self.subscribe_to_alerts(), {**event("aws"), "sagadef": f"unknown-{uuid.uuid4().hex[:8]}"}
        self.assertEqual(self.deliver(unknown)[0], 200)
        reported: list[str] = []

        def heard():
            reported.extend(self.alerts_on(alerts))
            return [one for one in reported if unknown["sagaid"] in one or unknown["sagadef"] in one]
        wait_for("the alert", heard)
        self.carry_out("discard", self.dead_letter_of(unknown["sagaid"], "quarantine")["id"])
