"""No log of either cloud holds what a saga carries or what an operator wrote: sagas with a word of their own in every free
text complete, are compensated, cancelled, overridden, quarantined and dead-lettered, and then every log is searched for it."""

from __future__ import annotations

import base64
import json
import uuid

from .support import StackTest, ask, order, wait_for

from local_stack.storage import bucket_of  # noqa: E402 (support says where it is)


class Logs(StackTest):
    def setUp(self):
        super().setUp()
        self.word = f"payload{uuid.uuid4().hex[:12]}"
        # An amount that stands nowhere else. Gold is paid in any fraction.
        self.amount = f"{uuid.uuid4().int % 9000 + 1000}.{uuid.uuid4().int % 900000 + 100000}"
        self.sagas: list[str] = []

    def begin(self, definition: str = "payment", **more) -> dict:
        body = {**order(self.amount), "currency": "XAU", "order_id": f"order {self.word}", **more}
        saga = self.start(body, f"{self.word} {uuid.uuid4().hex}", definition=definition)
        self.sagas.append(saga["saga_id"])
        return saga

    def poisoned(self) -> str:
        """A saga whose message dies at the participant: its step's row is of a version that nobody reads."""
        with self.paused("azure_participant"):
            saga = self.begin()["saga_id"]
            row = f"step|{saga}|1"
            self.azure.put_row(bucket_of("inventory"), row, {"Format": "99", "Format@odata.type": "Edm.Int64", "Reason": self.word})
        wait_for("the flag `parked`", lambda: self.saga(saga)["flags"]["parked"])
        wait_for("its dead letter", lambda: self.dead_letters_of(saga))
        self.azure.delete_row(bucket_of("inventory"), row)
        replay = {"filter": {"saga": saga}, "confirm": True, "reason": f"mended {self.word}", "by": "the tests"}

        def replayed():
            # What was sent again meanwhile may lie there, too.
            self.dead_letters("POST", "/replay", replay)
            return not self.dead_letters_of(saga)
        wait_for("the replay", replayed)
        return saga

    def dead_letters_of(self, saga: str) -> list[dict]:
        return self.dead_letters("GET", f"?saga={saga}")["letters"]

    def dead_letters(self, method: str, path: str, body: dict | None = None) -> dict:
        raw = json.dumps(body).encode() if body else None
        status, answer, _ = ask(method, f"{self.e['dead_letters']}/dead-letters{path}", raw, {"Content-Type": "application/json"})
        self.assertEqual(status, 200, answer)
        return json.loads(answer)

    def test_no_log_holds_what_a_saga_carries(self):
        poisoned = self.poisoned()
        with self.paused("azure_participant"):
            cancelled, resolved, outside = self.begin()["saga_id"], self.begin()["saga_id"], self.begin()
            self.assertEqual(self.post(f"/sagas/{cancelled}/cancel", {"reason": f"no longer {self.word}"})[0], 202)
            override = {"to": "cancelled", "reason": f"because {self.word}", "by": f"operator {self.word}"}
            self.assertEqual(self.post(f"/sagas/{resolved}/resolve", override)[0], 200)
            event = self.compensation(outside)
            event["data"]["reason"] = f"fraud {self.word}"
            self.publish(event)
            # Before the participant goes on: which of two paths is the faster one is not this test's business.
            wait_for("the compensation", lambda: self.saga(outside["saga_id"])["status"] == "CANCELLED_VIA_COMPENSATION")
        completed = self.begin()["saga_id"]
        compensated = self.begin(items=[{"sku": f"sku-{self.word}", "quantity": 1}])["saga_id"]
        refused = self.begin("order", destination=f"nowhere {self.word}")["saga_id"]
        for bad in ({"order_id": self.word, "amount": self.word, "currency": self.word, self.word: self.word}, f"{{{self.word}".encode()):
            self.assertIn(self.post("/sagas/payment", bad)[0], (400, 422))

        # What is understood nowhere, at each entrance; and values of the wrong type, which parsers like to quote.
        ours = {
            "specversion": "1.0", "id": uuid.uuid4().hex, "source": "saga.participant.azure", "type": "InventoryReserved", "sagaid": self.word,
            "sagadef": "payment", "sagaver": 1, "sagastep": 2, "sagaverb": "complete", "sagatarget": "aws", "sagaorigin": "azure", "data": {},
        }
        strange = [f"{self.word} is no event", json.dumps({**ours, "specversion": {"a": self.word}}), json.dumps([self.word]), json.dumps(ours),
                   json.dumps({**ours, "sagaid": str(uuid.uuid4()), "data": self.word}), json.dumps({**ours, "sagastep": self.word})]
        token = self.token()
        for text in strange:
            self.assertEqual(self.deliver(text.encode(), token)[0], 200)
            self.send("events_queue", text)
            self.azure.put_message(self.e["names"]["azure_queue"], base64.b64encode(text.encode()).decode())
        self.quarantined(len(strange))

        for saga, end in {
            poisoned: "COMPLETED", completed: "COMPLETED", compensated: "CANCELLED_VIA_COMPENSATION", refused: "CANCELLED_VIA_COMPENSATION",
            resolved: "CANCELLED_VIA_COMPENSATION", outside["saga_id"]: "CANCELLED_VIA_COMPENSATION", cancelled: None,
        }.items():
            self.ended_soon(saga, end)
        logs = wait_for("every saga in the logs of both clouds", self.logs_of_all, pause=2)
        for name, text in logs.items():
            for secret in (self.word, self.amount, self.e["eventgrid"]["key"], self.e["azurite"]["key"], self.e["oidc"]["client_secret"], token):
                at = text.find(secret)
                self.assertEqual(at, -1, f"{name} holds {secret}: …{text[max(0, at - 200):at + 100]}…")

        self.assert_named(logs)

    def assert_named(self, logs: dict[str, str]):
        """Each line about an event of these sagas says which, for which step, of which trace, and what became of it."""
        seen = 0
        for name, text in logs.items():
            for raw in text.splitlines():
                try:
                    line = json.loads(raw)
                except ValueError:
                    continue
                saga = line.get("saga_id") if isinstance(line, dict) else None
                # Ours: another team's event names no trace of ours.
                if saga not in self.sagas or saga not in line.get("event_id", ""):
                    continue
                seen += 1
                named = {"outcome", "verb"}
                if line["verb"] not in ("complete", "cancelled"):
                    named |= {"step"}
                if line.get("type") != "SagaMessageParked":  # It names the message that came to rest, and no more of it.
                    named |= {"trace_id"}
                self.assertLessEqual(named, line.keys(), f"{name}: {raw}")
                self.assertIn(line.get("step", 0), range(4), f"{name}: {raw}")
        self.assertGreater(seen, 4 * len(self.sagas))

    def quarantined(self, each: int):
        """Of each entrance, so many."""
        seen = {"event-ingress": 0, "saga-events": 0, "azure-participant": 0}

        def look():
            kept = self.queue_bodies("quarantine_queue")
            kept += [json.loads(base64.b64decode(text)) for text in self.azure.take_messages(self.e["names"]["azure_quarantine_queue"])]
            for message in kept:
                seen[message["entrance"]] += self.word in message["body"]
            return all(count >= each for count in seen.values())
        try:
            wait_for("all that is strange in the quarantine", look)
        except AssertionError:
            self.fail(f"quarantined so far: {seen}")

    def logs_of_all(self) -> dict[str, str] | None:
        """The logs, once every saga is in those of both clouds: the search would find something."""
        logs = self.logs()
        aws, azure = (" ".join(text for name, text in logs.items() if name.startswith(part)) for part in ("/aws/lambda/", "azure-participant"))
        return logs if all(saga in aws and saga in azure for saga in self.sagas) else None
