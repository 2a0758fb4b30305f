"""The outbox against a bus that misbehaves, with rows that nobody takes, and with a backlog."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from .processes import peak_mb
from .proxy import Proxy, Rerouted
from .support import StackTest, aws_json, order, wait_for

DAY_MS = 24 * 3600 * 1000


def now_ms() -> int:
    return int(time.time() * 1000)


def row(at: int, shard: int, kind: str = "PaymentReserved", body: str | None = None, saga: str | None = None) -> dict:
    """A row of the outbox whose grace has passed; its event is for nobody (a saga that does not exist)."""
    saga = saga or str(uuid.uuid4())
    event = {"specversion": "1.0", "id": f"{at:013}-{saga}-advance1", "source": "saga.orchestrator", "type": kind,
             "sagatarget": "nobody", "data": {"saga_id": saga}}
    return {"Shard": {"S": f"{shard:02}"}, "EventId": {"S": event["id"]}, "SagaId": {"S": saga}, "Type": {"S": kind},
            "Body": {"S": body or json.dumps(event)}, "At": {"N": str(at)}, "Queued": {"N": str(at)}}


KINDS = {"entries", "throttled", "500", "late", "lost"}


class BadBus(Proxy):
    """EventBridge on a bad day: refuses entries, throttles, fails, and answers too late or not at all."""

    def __init__(self, upstream: str, seed: int):
        super().__init__(upstream)
        self.chance, self.lock, self.well, self.kinds = random.Random(seed), threading.Lock(), False, set()

    def answer(self, target: str, body: bytes):
        if not target.endswith("PutEvents") or self.well:
            return None
        with self.lock:
            kind = self.chance.choice(["entries", "throttled", "500", "late", "lost", "well", "well"])
            self.kinds.add(kind)
        if kind == "throttled":
            return 400, {"__type": "ThrottlingException", "message": "planted"}
        if kind == "500":
            return 500, {"__type": "InternalException", "message": "planted"}
        if kind == "late":
            time.sleep(4)
            return 500, {}
        if kind in ("entries", "lost"):
            entries = json.loads(body)["Entries"]
            taken = [entry for entry in entries if kind == "lost" or self.chance.random() < 0.5]
            if taken:
                self.forward({"Entries": taken})
            if kind == "lost":
                return 500, {"__type": "InternalException", "message": "the answer was lost"}
            code = self.chance.choice(["InternalFailure", "ThrottlingException"])
            answers = [{"EventId": uuid.uuid4().hex} if entry in taken else {"ErrorCode": code, "ErrorMessage": "planted"} for entry in entries]
            return 200, {"FailedEntryCount": len(entries) - len(taken), "Entries": answers}
        return None

    def forward(self, body: dict):
        aws_json({"region": "eu-central-1", "aws": self.upstream}, "events", "AWSEvents.PutEvents", body, "1.1")


class BusFaults(StackTest):
    def test_every_event_arrives_and_none_twice_in_effect(self):
        stock = self.azure.stock("laptop")
        sagas = []
        with BadBus(self.e["aws"], 20261121) as bus, Rerouted(self, bus.url, "outbox-poller", "event-ingress"):
            with ThreadPoolExecutor(4) as pool:
                for saga in pool.map(self.start, [order(items=[{"sku": "laptop", "quantity": 1}]) for _ in range(10)]):
                    sagas.append((saga, "COMPLETED"))
                for saga in pool.map(self.start, [order("20000") for _ in range(10)]):
                    sagas.append((saga, "CANCELLED_VIA_COMPENSATION"))
            wait_for("every kind of fault, and an end in spite of them", lambda: self.invoke("outbox-poller") and bus.kinds >= KINDS and self.over(sagas) > 0)
            bus.well = True
            for saga, status in sagas:
                self.ended_soon(saga["saga_id"], status)
            self.assert_outboxes_empty()
        self.assertEqual(stock - self.azure.stock("laptop"), 10)
        ours = {saga["saga_id"] for saga, _ in sagas}
        self.assertEqual([row["EventId"]["S"] for row in self.dynamo.dead_rows() if row["SagaId"]["S"] in ours], [])

    def over(self, sagas) -> int:
        return sum(self.dynamo.payment(saga["saga_id"])["Status"]["S"] == status for saga, status in sagas)


class DeadRows(StackTest):
    def test_a_row_that_can_never_be_published_is_dead_and_the_others_are_out(self):
        alerts, at = self.subscribe_to_alerts(), now_ms() - 60_000
        large = row(at, 5, body=json.dumps({"data": "x" * 300_000}))
        self.dynamo.put_outbox_rows([large])
        others = [row(at + 1 + n, 5) for n in range(30)]
        self.dynamo.put_outbox_rows(others)
        self.invoke("outbox-poller")
        wait_for("the row to be dead", lambda: self.dead(large))
        self.assert_outboxes_empty()
        dead = self.dead(large)
        self.assertIn("300", dead["Reason"]["S"])
        self.assertEqual(dead["Body"], large["Body"], "it is kept whole")
        self.assertEqual(dead["From"]["S"], "05")
        reported = wait_for("the alert", lambda: [a for a in self.alerts_on(alerts) if large["EventId"]["S"] in a])
        self.assertEqual(len(reported), 1)

    def test_a_row_that_the_bus_refuses_is_dead_after_its_limit(self):
        """Nineteen of its twenty attempts are behind it; the bus answers the twentieth as it did the others."""
        at = now_ms() - 60_000
        refused, other = row(at, 6), row(at + 1, 6)
        refused["Attempts"], refused["NextAt"] = {"N": "19"}, {"N": str(at)}
        with RefusesOne(self.e["aws"], refused["SagaId"]["S"]) as bus, Rerouted(self, bus.url, "outbox-poller"):
            self.dynamo.put_outbox_rows([refused, other])
            self.invoke("outbox-poller")
            wait_for("the row to be dead", lambda: self.dead(refused))
            self.assert_outboxes_empty()
        self.assertIn("NotAuthorizedForSourceException", self.dead(refused)["Reason"]["S"])
        self.assertEqual(self.dead(refused)["Attempts"]["N"], "20")

    def test_a_dead_row_of_a_saga_shows_that_it_is_parked(self):
        with self.paused("azure"):
            saga = self.start(order())
            at = now_ms() - 60_000
            large = row(at, 7, body=json.dumps({"data": "x" * 300_000}), saga=saga["saga_id"])
            self.dynamo.put_outbox_rows([large])
            self.invoke("outbox-poller")
            found = wait_for("the flag", lambda: self.flags(saga)["parked"] and self.saga(saga["saga_id"]))
            self.assertIn("could not be published", found["flags"]["parked"])
            page = self.get("/sagas?flag=parked&limit=100")[1]["sagas"]
            self.assertIn(saga["saga_id"], [each["saga_id"] for each in page])
        ended = self.ended_soon(saga["saga_id"], "COMPLETED")
        self.assertIn("could not be published", ended["flags"]["parked"], "the dead row still lies there")

    def flags(self, saga: dict) -> dict:
        return self.saga(saga["saga_id"])["flags"]

    def dead(self, wanted: dict) -> dict | None:
        return next((found for found in self.dynamo.dead_rows() if found["EventId"] == wanted["EventId"]), None)


class RefusesOne(Proxy):
    """A bus that refuses the entries of one saga, in a way that might pass."""

    def __init__(self, upstream: str, saga: str):
        super().__init__(upstream)
        self.saga = saga

    def answer(self, target: str, body: bytes):
        if not target.endswith("PutEvents"):
            return None
        refusal = {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "planted"}
        entries = json.loads(body)["Entries"]
        answers = [refusal if self.saga in entry["Detail"] else {"EventId": uuid.uuid4().hex} for entry in entries]
        return 200, {"FailedEntryCount": answers.count(refusal), "Entries": answers}


class Counted(Proxy):
    """Counts the requests of the poller, and every event it publishes."""

    def __init__(self, upstream: str, remember: bool = True):
        super().__init__(upstream)
        self.lock, self.requests, self.events, self.remember = threading.Lock(), {}, [], remember

    def answer(self, target: str, body: bytes):
        action = target.split(".")[-1]
        with self.lock:
            self.requests[action] = self.requests.get(action, 0) + 1
            if action == "PutEvents" and self.remember:
                self.events += [json.loads(entry["Detail"])["id"] for entry in json.loads(body)["Entries"]]

    def answer_again(self, target: str, body: bytes):
        """A busy emulator answers late. The poller has sent it once."""


class Backlog(StackTest):
    COUNT = 2_000

    def test_four_workers_publish_a_backlog_once_and_in_order(self):
        at = now_ms() - DAY_MS // 2
        sagas = [str(uuid.uuid4()) for _ in range(self.COUNT // 2)]
        # Two events of each saga, in its one shard.
        rows = [row(at + n + 10_000 * nth, n % 16, saga=saga) for nth in range(2) for n, saga in enumerate(sagas)]
        with Counted(self.e["aws"]) as proxy, Rerouted(self, proxy.url, "outbox-poller"):
            self.dynamo.put_outbox_rows(rows)
            with ThreadPoolExecutor(4) as pool:
                reports = list(pool.map(lambda _: self.invoke("outbox-poller"), range(4)))
            wait_for("an empty outbox", lambda: not self.dynamo.outbox_rows() or reports.append(self.invoke("outbox-poller")))
            peak = peak_mb(self.e, "outbox-poller")
        wanted = [found["EventId"]["S"] for found in rows]
        self.assertEqual(len(proxy.events), len(set(proxy.events)), "no event is published twice")
        self.assertEqual(set(proxy.events), set(wanted))
        place = {event: index for index, event in enumerate(proxy.events)}
        for first, second in zip(wanted, wanted[self.COUNT // 2:]):
            self.assertLess(place[first], place[second])
        each = sum(proxy.requests.values()) / self.COUNT
        print(f"\n{self.COUNT} rows by four workers in {len(reports)} invocations: {each:.3f} requests an event, {proxy.requests}; peak memory of a worker {peak:.1f} MB", flush=True)
        self.assertLess(each, 0.3)
        self.assertTrue(0 < peak < 64, peak)
