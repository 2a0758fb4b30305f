"""What is lost, slow or silent, and what an operator does meanwhile: every saga ends, and never torn."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid

from .proxy import Rerouted
from .support import StackTest, ask, bucket_of, emulator_log, endpoints, order, wait_for

CANCELLED = "CANCELLED_VIA_COMPENSATION"


def now_ms() -> int:
    return int(time.time() * 1000)


class Healing(StackTest):
    """Nobody touches a saga; the schedules of the stack are all there is."""

    def setUp(self):
        super().setUp()
        self.stock = self.azure.stock("laptop")

    def some_sagas(self, count: int = 3) -> list[tuple[dict, str]]:
        accepted = [(self.start(order(items=[{"sku": "laptop", "quantity": 1}])), "COMPLETED") for _ in range(count)]
        return accepted + [(self.start(order("20000")), CANCELLED) for _ in range(count)]

    def all_end(self, sagas):
        for saga, status in sagas:
            self.ended(saga["saga_id"], status)
        self.assert_outboxes_empty()
        taken = sum(status == "COMPLETED" for _, status in sagas)
        self.assertEqual(self.stock - self.azure.stock("laptop"), taken)

    def test_the_webhook_is_down_for_a_while(self):
        # Nothing listens on port 9: the ingress can pass nothing on, and answers 503.
        with Rerouted(self, "http://127.0.0.1:9", "event-ingress"):
            sagas = self.some_sagas()
            wait_for("Azure to have acted", lambda: self.acted(sagas[0][0]["saga_id"]))
            for saga, _ in sagas:
                self.assertEqual(self.saga(saga["saga_id"])["status"], "PENDING_AZURE_CONFIRMATION")
        self.all_end(sagas)

    def test_the_api_destinations_target_is_down_and_every_message_on_either_queue_is_purged_once(self):
        """One after the other, and then one wait: only retransmission, a minute and more later, can heal any of them."""
        before = self.given_up()
        with self.paused("azure"):
            sagas = self.some_sagas()
            # What the destination could not deliver, MiniStack drops.
            wait_for("the destination to give up", lambda: self.given_up() >= before + len(sagas))
            for saga, _ in sagas:
                self.assertEqual(self.saga(saga["saga_id"])["status"], "PENDING_AZURE_CONFIRMATION")
        with Rerouted(self, "http://127.0.0.1:9", "saga-events"), self.paused("azure_participant"):
            before = self.queued()
            more = self.some_sagas()
            wait_for("their events to be on Azure's queue", lambda: self.queued() >= before + len(more))
            self.azure.take_messages(self.e["names"]["azure_queue"])
            os.kill(endpoints()["pids"]["azure_participant"], signal.SIGKILL)  # what it held is lost, too
        with Rerouted(self, "http://127.0.0.1:9", "saga-events"):
            before = self.waiting("events_queue")
            last = self.some_sagas()
            wait_for("Azure's answers to be on the queue of saga-events", lambda: self.waiting("events_queue") >= before + len(last))
            self.sqs("PurgeQueue", QueueUrl=self.queue_url("events_queue"))
        self.all_end(sagas + more + last)

    def given_up(self) -> int:
        """How many deliveries of the API destination MiniStack has dropped; LocalStack would wait for its answer."""
        lines = emulator_log().read_text(errors="replace").splitlines()
        return sum("API destination" in line and ("delivery failed" in line or "dropped" in line) for line in lines)

    def queued(self) -> int:
        """How many events Event Grid has put on the participant's queue."""
        _, status = ask("GET", f"{self.e['eventgrid']['topic'].removesuffix('/api/events')}/status")[:2]
        return next(one["delivered"] for one in json.loads(status)["subscriptions"] if one["name"] == "to-azure-participant")

    def test_the_handler_is_killed_between_commit_and_publish(self):
        """Killed as soon as its step is seen in the table: what it has not published by then waits in its outbox."""
        for _ in range(2):
            sagas = self.some_sagas(1)
            wait_for("the step", lambda: self.acted(sagas[0][0]["saga_id"]), pause=0)
            os.kill(endpoints()["pids"]["azure_participant"], signal.SIGKILL)
            self.all_end(sagas)
            self.stock = self.azure.stock("laptop")


class Deadlines(StackTest):
    def overdue(self, saga: dict):
        self.dynamo.make_overdue(saga["saga_id"], now_ms() - 1_000)
        self.invoke("deadline-sweeper")

    def test_a_saga_past_its_deadline_is_stuck_and_reported_once_and_not_torn(self):
        alerts, stock = self.subscribe_to_alerts(), self.azure.stock("laptop")
        # Its turn is lost: were it late only, it could come before the cancel, and the saga complete.
        with self.closed("azure"):
            saga = self.start(order(items=[{"sku": "laptop", "quantity": 1}]))
            self.overdue(saga)
            found = self.saga(saga["saga_id"])
            self.assertEqual((found["status"], found["flags"]["cancel_requested"]), ("PENDING_AZURE_CONFIRMATION", True))
            self.assertEqual(self.dynamo.payment(saga["saga_id"])["Status"]["S"], "PENDING_AZURE_CONFIRMATION")
            wait_for("the flag `stuck`", lambda: self.swept(saga)["flags"]["stuck"])
            page = self.get("/sagas?flag=stuck&limit=100")[1]["sagas"]
            self.assertIn(saga["saga_id"], [each["saga_id"] for each in page])
            for _ in range(3):
                self.dynamo.make_due(saga["saga_id"], now_ms() - 1_000)
                self.assertTrue(self.swept(saga)["flags"]["stuck"])
            wait_for("its turn to be sent", lambda: self.dynamo.outbox_rows() == 0)
        self.dynamo.make_due(saga["saga_id"], now_ms() - 1_000)  # after so many looks the next would be minutes away
        ended = self.ended_soon(saga["saga_id"], CANCELLED)
        self.assertFalse(ended["flags"]["stuck"])
        self.assertEqual(self.dynamo.payment(saga["saga_id"])["Status"]["S"], CANCELLED)
        self.assertNotEqual(self.azure.step(saga["saga_id"], 1)["State"], "DONE")
        self.assertEqual(self.azure.stock("laptop"), stock)
        reported: list[str] = []

        def once():
            reported.extend(alert for alert in self.alerts_on(alerts) if saga["saga_id"] in alert and "stuck" in alert)
            return reported
        wait_for("the alert", once)
        while self.waiting(alerts):
            once()
        self.assertEqual(len(reported), 1, reported)

    def test_a_saga_past_its_deadline_completes_where_azure_had_acted(self):
        with Rerouted(self, "http://127.0.0.1:9", "event-ingress"):
            saga = self.start(order(items=[{"sku": "laptop", "quantity": 1}]))
            wait_for("Azure to have acted", lambda: self.acted(saga["saga_id"]))
            self.overdue(saga)
            self.assertEqual(self.saga(saga["saga_id"])["status"], "PENDING_AZURE_CONFIRMATION")
        self.ended_soon(saga["saga_id"], "COMPLETED")
        self.assertEqual(self.azure.step(saga["saga_id"], 1)["State"], "DONE")

    def swept(self, saga: dict) -> dict:
        self.invoke("deadline-sweeper")
        return self.saga(saga["saga_id"])


class Operators(StackTest):
    def resolve(self, saga: dict, to: str):
        return self.post(f"/sagas/{saga['saga_id']}/resolve", {"to": to, "reason": "the customer called", "by": "ops@example.com"})

    def test_resolved_as_cancelled_while_azure_is_down(self):
        stock = self.azure.stock("laptop")
        with self.paused("azure"):
            saga = self.start(order(items=[{"sku": "laptop", "quantity": 1}]))
            self.assertEqual(self.resolve(saga, "cancelled")[0], 200)
            found = self.saga(saga["saga_id"])
            self.assertEqual((found["status"], found["flags"]["closing"]), (CANCELLED, True))
            self.assertEqual(found["flags"]["resolved_by"], "ops@example.com")
            self.assertEqual(self.resolve(saga, "cancelled")[0], 200, "again is no error")
        self.ended_soon(saga["saga_id"], CANCELLED)
        self.assertEqual(self.azure.stock("laptop"), stock)

    def test_resolved_as_cancelled_after_azure_had_acted(self):
        stock = self.azure.stock("laptop")
        with Rerouted(self, "http://127.0.0.1:9", "event-ingress"):
            saga = self.start(order(items=[{"sku": "laptop", "quantity": 1}]))
            wait_for("Azure to have acted", lambda: self.acted(saga["saga_id"]))
            self.assertEqual(self.resolve(saga, "cancelled")[0], 200)
        self.ended_soon(saga["saga_id"], CANCELLED)
        self.assertEqual(self.azure.stock("laptop"), stock)
        self.assertEqual(self.azure.step(saga["saga_id"], 1)["State"], "UNDONE")
        self.assert_outboxes_empty()

    def test_cancels_and_overrides_race_with_confirmations(self):
        stock, ids = self.azure.stock("laptop"), []
        for n in range(12):
            saga = self.start(order(items=[{"sku": "laptop", "quantity": 1}]))
            ids.append(saga["saga_id"])
            time.sleep(0.05 * (n % 6))  # who comes first is left to chance
            if n % 2:
                self.assertIn(self.post(f"/sagas/{saga['saga_id']}/cancel", {"reason": "changed my mind"})[0], (202, 409))
            else:
                self.assertIn(self.resolve(saga, "cancelled")[0], (200, 409))
        completed = 0
        for saga_id in ids:
            saga = wait_for(f"the end of {saga_id}", lambda saga_id=saga_id: self._ended(saga_id))
            done = saga["status"] == "COMPLETED"
            completed += done
            self.assertEqual(self.dynamo.payment(saga_id)["Status"]["S"], saga["status"])
            self.assertEqual(self.azure.step(saga_id, 1)["State"] == "DONE", done, "never a mix")
        self.assertEqual(stock - self.azure.stock("laptop"), completed)

    def test_too_late_is_409_with_the_final_state_and_repeats_are_no_error(self):
        saga = self.start(order())
        self.ended_soon(saga["saga_id"], "COMPLETED")
        for answer in (self.post(f"/sagas/{saga['saga_id']}/cancel", {}), self.resolve(saga, "cancelled")):
            self.assertEqual(answer[0], 409, answer)
            self.assertIn("COMPLETED", answer[1]["detail"])
        self.assertEqual(self.resolve({"saga_id": str(uuid.uuid4())}, "cancelled")[0], 404)


class Parked(StackTest):
    def test_a_message_that_fails_at_every_try_shows_on_its_saga(self):
        """The step's row is one of a later version, which this one does not touch: the handler fails five times."""
        alerts = self.subscribe_to_alerts()
        with self.paused("azure"):
            saga = self.start(order())
            place = bucket_of("inventory"), f"step|{saga['saga_id']}|1"
            self.azure.put_row(*place, {"Format": 9})
        reason = wait_for("the flag `parked`", lambda: self.saga(saga["saga_id"])["flags"]["parked"])
        self.assertIn("failed at every try", reason)
        wait_for("the alert", lambda: [alert for alert in self.alerts_on(alerts) if saga["saga_id"] in alert and "parked" in alert])
        self.azure.delete_row(*place)
        # The next retransmission heals it. Its dead letter lies there still, until somebody deals with it.
        ended = self.ended_soon(saga["saga_id"], "COMPLETED")
        self.assertIn("failed at every try", ended["flags"]["parked"])
        discard = {"filter": {"saga": saga["saga_id"]}, "confirm": True, "reason": "it was healed", "by": "the tests"}

        def no_longer_parked():
            # A dead letter that the watch holds at the moment is left for another time.
            ask("POST", f"{self.e['dead_letters']}/dead-letters/discard", json.dumps(discard).encode(), {"Content-Type": "application/json"})
            return self.saga(saga["saga_id"])["flags"]["parked"] is None
        wait_for("the flag to go", no_longer_parked)
