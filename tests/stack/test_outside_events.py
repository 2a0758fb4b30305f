"""Events written by other people's SDKs, and what cannot be understood."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from http.client import HTTPConnection
from urllib.parse import urlsplit

from .support import UNANSWERED, StackTest, ask, order, wait_for


class OutsidePublishers(StackTest):
    def pending(self) -> dict:
        saga = self.start(order())
        self.assertEqual(saga["status"], "PENDING_AZURE_CONFIRMATION")
        return saga

    def cancelled(self, saga: dict) -> dict:
        return wait_for("the override", lambda: self.is_status(saga, "CANCELLED_VIA_COMPENSATION"))

    def is_status(self, saga: dict, status: str):
        found = self.saga(saga["saga_id"])
        return found if found["status"] == status else None

    def heard(self, saga: dict, event_id: str, times: int = 1) -> dict:
        """The saga, once its timeline says that the event came so often."""
        def lines():
            found = self.saga(saga["saga_id"])
            came = sum(line["times"] for line in found["timeline"] if line["event_id"] == event_id)
            return found if came >= times else None
        return wait_for(f"event {event_id} in the timeline", lines)

    def test_a_cloud_event_without_our_attributes_compensates_a_pending_payment(self):
        with self.paused("azure_participant"):
            saga = self.pending()
            event = self.compensation(saga)
            self.publish(event)
            found = self.cancelled(saga)
            self.assertEqual(found["reason"], "fraud suspected")
            self.assertEqual(self.dynamo.payment(saga["saga_id"])["Status"]["S"], "CANCELLED_VIA_COMPENSATION")
            self.publish(event)
            again = self.heard(saga, event["id"], times=2)
        final = self.ended(saga["saga_id"], "CANCELLED_VIA_COMPENSATION")
        self.assertEqual({**again, "timeline": 0, "flags": 0, "steps": 0}, {**final, "timeline": 0, "flags": 0, "steps": 0})
        self.assertNotEqual(self.azure.step(saga["saga_id"], 1)["State"], "DONE")

    def test_event_grids_own_schema_does_the_same(self):
        with self.paused("azure_participant"):
            saga = self.pending()
            event = {
                "id": uuid.uuid4().hex, "subject": f"saga/{saga['saga_id']}/compensation",
                "eventType": "PaymentCompensationRequested", "eventTime": "2026-11-21T00:00:00Z", "dataVersion": "1.0",
                "data": {"saga_id": saga["saga_id"], "order_id": saga["input"]["order_id"], "reason": "out of stock"},
            }
            status, answer = self.deliver([event])
            self.assertEqual(status, 200, answer)
            self.assertEqual(self.cancelled(saga)["reason"], "out of stock")
        self.ended(saga["saga_id"], "CANCELLED_VIA_COMPENSATION")

    def test_after_the_end_it_changes_nothing_but_the_timeline(self):
        saga = self.ended(self.start(order(items=[{"sku": "keyboard", "quantity": 1}]))["saga_id"], "COMPLETED")
        stock = self.azure.stock("keyboard")
        event = self.compensation(saga)
        self.publish(event)
        found = self.heard(saga, event["id"])
        self.assertEqual({**found, "timeline": 0}, {**saga, "timeline": 0})
        self.assertEqual(self.dynamo.payment(saga["saga_id"])["Status"]["S"], "COMPLETED")
        self.assertEqual(self.azure.stock("keyboard"), stock)

    def test_the_handshakes(self):
        for origin, wanted in (("eventgrid.azure.net", 200), ("evil.example", 403)):
            self.assertEqual(ask("OPTIONS", self.e["ingress"], headers={"WebHook-Request-Origin": origin})[0], wanted)
        self.assertEqual(allowed("OPTIONS", self.e["ingress"], {"WebHook-Request-Origin": "eventgrid.azure.net"}), (200, "POST"))
        self.assertEqual(allowed("GET", self.e["ingress"], {}), (405, "OPTIONS, POST"))
        validation = [{
            "id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "subject": "", "dataVersion": "1",
            "eventTime": "2026-11-21T00:00:00Z", "data": {"validationCode": "512d38b6"},
        }]
        status, answer = self.deliver(validation)
        self.assertEqual((status, json.loads(answer)), (200, {"validationResponse": "512d38b6"}))

    def test_nobody_delivers_without_a_token(self):
        saga = self.ended(self.start(order())["saga_id"], "COMPLETED")
        for token in ("", "x", "eyJhbGciOiJub25lIn0.e30."):
            status, _ = self.deliver(self.compensation(saga), token=token)
            self.assertEqual(status, 401)


def kept(message: dict) -> bytes:
    """What a message of the quarantine holds of a body."""
    if "body_base64" in message:
        return base64.b64decode(message["body_base64"])
    return message["body"].encode()


def allowed(method: str, url: str, headers: dict) -> tuple[int, str | None]:
    """Status and the methods that the answer names."""
    def answered():
        parts = urlsplit(url)
        connection = HTTPConnection(parts.netloc, timeout=60)
        try:
            connection.request(method, parts.path or "/", headers=headers)
            answer = connection.getresponse()
            answer.read()
        except OSError:
            return None
        finally:
            connection.close()
        return None if answer.status in UNANSWERED else (answer.status, answer.getheader("Allow"))
    return wait_for(f"an answer of {url}", answered)


class Quarantine(StackTest):
    def setUp(self):
        super().setUp()
        self.queue_bodies("quarantine_queue")

    def quarantined(self, marker: str) -> dict:
        found: list[dict] = []

        def look():
            found.extend(self.queue_bodies("quarantine_queue"))
            return next((message for message in found if marker in message.get("body", "")), None)
        return wait_for(f"{marker} in the quarantine", look)

    def test_events_that_the_ingress_cannot_understand(self):
        marker = uuid.uuid4().hex
        cases = {
            "no event": marker.encode(),
            "no CloudEvent": {"detail": {"a": marker}, "detail-type": "x"},
            "an unknown type": {"specversion": "1.0", "id": marker, "source": "s", "type": "Nonsense", "data": {"saga_id": str(uuid.uuid4())}},
            "no saga": {"specversion": "1.0", "id": marker, "source": "s", "type": "PaymentCompensationRequested", "data": {}},
            "Azure speaking for AWS": self.ours(marker, sagaorigin="aws"),
            "an unknown version": self.ours(marker, sagaver=7),
            "a step's turn from outside": {"specversion": "1.0", "id": marker, "source": "s", "type": "PaymentReserved", "data": {"saga_id": str(uuid.uuid4())}},
            "one name twice": f'{{"specversion":"1.0","id":"{marker}","source":"s","type":"PaymentCompensationRequested","data":{{"saga_id":"a","saga_id":"b"}}}}'.encode(),
            "more than the bus takes": {**self.ours(marker), "data": {"reason": "x" * 300_000}},
        }
        for name, body in cases.items():
            with self.subTest(name):
                self.assertEqual(self.deliver(body)[0], 200)
                message = self.quarantined(marker)
                self.assertEqual(message["entrance"], "event-ingress")
                self.assertTrue(message["reason"])

    def ours(self, marker: str, **changed) -> dict:
        return {
            "specversion": "1.0", "id": marker, "source": "saga.participant.azure", "type": "InventoryReserved",
            "sagaid": str(uuid.uuid4()), "sagadef": "payment", "sagaver": 1, "sagastep": 2, "sagaverb": "complete",
            "sagatarget": "aws", "sagaorigin": "azure", "sagahop": 2, "data": {}, **changed,
        }

    def read_back(self, body: bytes) -> list[dict]:
        """The messages that keep this body, when all of it is kept, byte for byte."""
        found: list[dict] = []

        def whole():
            found.extend(self.queue_bodies("quarantine_queue"))
            digest = hashlib.sha256(body).hexdigest()
            parts = {message["part"]: message for message in found if message.get("body_sha256") == digest}
            if parts and len(parts) == parts[min(parts)]["parts"]:
                messages = [parts[number] for number in sorted(parts)]
            else:
                messages = [message for message in found if "part" not in message and kept(message) == body]
            return messages if b"".join(map(kept, messages)) == body else None
        return wait_for("the body in the quarantine", whole)

    def test_whatever_comes_is_kept_byte_for_byte(self):
        marker = uuid.uuid4().hex
        # Of what is called JSON, a function URL hands on the text, and what is no UTF-8 has no bytes any more.
        kind = "application/cloudevents+json"
        cases = {
            "characters that SQS refuses": f'{{"marker":"{marker}\ufffe\uffff\u2028"}}'.encode(),
            "UTF-16": f'{{"marker":"{marker}"}}'.encode("utf-16"),
            "no text": marker.encode() + bytes(range(256)),
            "a large text": f'{{"marker":"{marker}{"ü" * 300_000}"}}'.encode(),
            "large, and no text": marker.encode() + bytes(range(256)) * 3_000,
        }
        for name, body in cases.items():
            with self.subTest(name):
                self.assertEqual(self.deliver(body, content_type=kind)[0], 200)
                for message in self.read_back(body):
                    self.assertEqual(message["entrance"], "event-ingress")
                    self.assertEqual(message["headers"], {"content-type": kind})

    def test_a_body_in_binary_mode_is_kept_with_its_attributes(self):
        body = json.dumps({"saga_id": str(uuid.uuid4()), "order_id": "o-1"}).encode()
        attributes = {"ce-specversion": "1.0", "ce-id": "e-1", "ce-source": "/team", "ce-type": "PaymentCompensationRequested"}
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.token()}", **attributes}
        self.assertEqual(ask("POST", self.e["ingress"], body, headers)[0], 200)
        [message] = self.read_back(body)
        self.assertEqual(message["headers"], {"content-type": "application/json", **attributes})

    def test_what_no_queue_takes_holds_up_no_neighbour(self):
        bad = {"specversion": "1.0", "id": uuid.uuid4().hex, "source": "s", "type": "\ufffe\uffff", "data": {}}
        for ensure_ascii in (False, True):
            with self.subTest(escaped=ensure_ascii), self.paused("azure_participant"):
                def written(value, escaped=ensure_ascii):
                    return json.dumps(value, ensure_ascii=escaped, separators=(",", ":")).encode()
                saga_id = self.start(order())["saga_id"]
                good = self.compensation(self.saga(saga_id))
                good["data"]["reason"] = "fraud \ufffe\uffff"
                self.assertEqual(self.deliver(written([bad, good]))[0], 200)
                wait_for("the override", lambda saga_id=saga_id: self.saga(saga_id)["status"] == "CANCELLED_VIA_COMPENSATION")
                self.read_back(written(bad))
            self.ended(saga_id, "CANCELLED_VIA_COMPENSATION")

    def test_the_end_of_a_subscription_is_no_event_of_a_saga(self):
        kind, source = "Microsoft.EventGrid.SubscriptionDeletedEvent", "/subscriptions/" + uuid.uuid4().hex
        data = {"eventSubscriptionId": source + "/providers/Microsoft.EventGrid/eventSubscriptions/to-aws"}
        for event in (
            {"specversion": "1.0", "id": "d", "source": source, "subject": "", "type": kind, "data": data},
            {"id": "d", "topic": source, "subject": "", "eventType": kind, "eventTime": "2026-11-21T00:00:00Z", "data": data, "dataVersion": "1"},
        ):
            status, answer = self.deliver([event])
            self.assertEqual((status, json.loads(answer)), (200, {"admitted": 0, "quarantined": 0}))

    def test_an_event_of_an_unknown_saga_on_the_events_queue(self):
        marker = uuid.uuid4().hex
        self.assertEqual(self.deliver(self.ours(marker))[0], 200)
        message = self.quarantined(marker)
        self.assertEqual(message["entrance"], "saga-events")
        self.assertIn("there is no saga", message["reason"])

    def test_a_poison_message_on_the_events_queue_does_not_fail_its_neighbours(self):
        marker = uuid.uuid4().hex
        self.send("events_queue", f"{marker} is not JSON")
        saga = self.ended(self.start(order())["saga_id"], "COMPLETED")
        self.assertTrue(saga)
        self.assertEqual(self.quarantined(marker)["entrance"], "saga-events")

    def test_what_the_azure_participant_cannot_understand_and_the_alert(self):
        marker = uuid.uuid4().hex
        alerts = self.subscribe_to_alerts()
        self.azure.put_message(self.e["names"]["azure_queue"], base64.b64encode(f"{marker} is no event".encode()).decode())

        def look():
            taken = [base64.b64decode(m).decode() for m in self.azure.take_messages(self.e["names"]["azure_quarantine_queue"])]
            return next((json.loads(message) for message in taken if marker in message), None)
        message = wait_for("the message in Azure's quarantine", look)
        self.assertEqual(message["entrance"], "azure-participant")
        self.assertIn(marker, message["body"])

        def alert():
            return next((m for m in self.queue_bodies(alerts) if "azure-participant" in json.dumps(m)), None)
        wait_for("the alert", alert)
