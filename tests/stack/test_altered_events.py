"""A captured event, changed in any one field, does nothing: it lies in the quarantine, its own saga stands where it stood,
and so does the saga that it was turned to; the event as it was sent then does what it says, once.

Three entrances: the topic, which brings the origin's events to the participant's queue; the webhook, which brings Azure's to
the ingress; and the queue of saga-events, behind it. What no entrance can see is a change of the checksum together with
what stands under it: that takes the topic's key, or a role on it, and who has that speaks for Azure's participants (README,
limits). Nobody out there speaks for AWS, whatever the checksum: see the last test."""

from __future__ import annotations

import base64
import contextlib
import copy
import json

from .support import StackTest, order, wait_for
from .tap import Tap


def changes(event: dict, another: str) -> dict[str, dict]:
    """The event, each time with one field changed."""
    verb = {"advance": "complete"}.get(event["sagaverb"], "advance")
    values = {
        "sagaid": another, "sagastep": event["sagastep"] - 1, "sagaverb": verb, "sagahop": event["sagahop"] + 1,
        "sagatarget": "aws" if event["sagatarget"] == "azure" else "azure", "sagaorigin": "aws" if event["sagaorigin"] == "azure" else "azure",
        "source": "saga.orchestrator" if event["sagaorigin"] == "azure" else "saga.participant.azure",
        "type": "PaymentCompensationRequested", "sagadef": "order", "sagasum": "0" * 16,
    }
    changed = {name: {**event, name: value} for name, value in values.items()}
    for name, value in {"saga_id": another, "order_id": "order-x", "amount": "1.00", "reserved_amount": "1.00", "currency": "JPY", "more": "x"}.items():
        changed[f"data.{name}"] = copy.deepcopy(event)
        changed[f"data.{name}"]["data"][name] = value
    return changed


class AlteredEvents(StackTest):
    def pending(self, tap: Tap, verb: str) -> tuple[dict, dict]:
        """A saga whose next event lies in our hand, and that event. For a bus that is closed to its target."""
        saga = self.start(order())
        event = tap.wait_for(sagaid=saga["saga_id"], sagaverb=verb)
        return self.saga(saga["saga_id"]), event

    def check(self, verb: str, closed: str, bring):
        """Each change of an event is brought, and kept; then the event."""
        with Tap(self) as tap:
            # Closed until all is judged: whatever is sent again meanwhile moves neither saga.
            with self.closed(closed):
                (saga, event), (another, turn) = (self.pending(tap, verb) for _ in range(2))
                changed = changes(event, another["saga_id"])
                for one in changed.values():
                    bring(one)
                self.all_quarantined(changed)
                for before in (saga, another):
                    self.assertEqual(self.saga(before["saga_id"]), before)
            for one in (event, turn):
                bring(one)
            for before in (saga, another):
                ended = self.ended_soon(before["saga_id"], "COMPLETED")
                # One event, however often it came.
                self.assertEqual(len({line["event_id"] for line in ended["timeline"] if line["verb"] == "complete"}), 1)
                payment = self.dynamo.payment(before["saga_id"])
                self.assertEqual((payment["Status"]["S"], payment["Amount"]["N"]), ("COMPLETED", "129.9"))

    def all_quarantined(self, changed: dict[str, dict]):
        missing = dict(changed)

        def look():
            kept = [message["body"] for message in self.queue_bodies("quarantine_queue")]
            queue = self.e["names"]["azure_quarantine_queue"]
            kept += [json.loads(base64.b64decode(text))["body"] for text in self.azure.take_messages(queue)]
            for body in kept:
                with contextlib.suppress(ValueError):  # what others left is no JSON
                    found = json.loads(body)
                    found = found.get("detail", found) if isinstance(found, dict) else found
                    for name in [name for name, event in missing.items() if event == found]:
                        del missing[name]
            return not missing
        try:
            wait_for("the quarantine of every changed event", look)
        except AssertionError:
            self.fail(f"changed, and not quarantined: {sorted(missing)}")

    def test_the_topic_and_the_participants_queue(self):
        self.check("advance", "azure", self.publish)

    def test_the_webhook(self):
        token = self.token()
        self.check("complete", "aws", lambda event: self.assertEqual(self.deliver(event, token)[0], 200))

    def test_the_queue_of_saga_events(self):
        self.check("complete", "aws", lambda event: self.send("events_queue", json.dumps({"detail-type": event["type"], "detail": event})))

    def test_nobody_out_there_speaks_for_aws(self):
        """Also with a valid token, and without a checksum: what AWS says, AWS hears from itself only."""
        with Tap(self) as tap, self.closed("azure"):
            saga, event = self.pending(tap, "advance")
            bare = {name: value for name, value in event.items() if name != "sagasum"}
            spoken = {
                "the opening event": bare,
                "a cancellation": {**bare, "sagaverb": "cancel", "type": "InventoryCancelRequested"},
                "its own cancellation": {**bare, "sagaverb": "cancel", "type": "PaymentCancelRequested", "sagastep": 0, "sagatarget": "aws"},
                "a completion": {**bare, "sagaverb": "complete", "type": "InventoryReserved", "sagastep": 2, "sagatarget": "aws"},
                "as another team": {**self.compensation(saga), "source": "saga.orchestrator"},
                "an alert": {"specversion": "1.0", "id": "1", "source": "saga.orchestrator", "type": "SagaAlertRaised", "data": {"subject": "x", "text": "x"}},
            }
            token = self.token()
            for one in spoken.values():
                self.assertEqual(self.deliver(one, token)[0], 200)
            self.all_quarantined(spoken)
            self.assertEqual(self.saga(saga["saga_id"]), saga)
        self.publish(event)
        self.ended_soon(saga["saga_id"], "COMPLETED")
