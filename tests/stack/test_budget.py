"""What a saga costs on AWS, counted: every request that the deployed functions send passes through here."""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .support import StackTest, http, order, wait_for

FUNCTIONS = ("saga-initiator", "outbox-poller", "saga-events", "event-ingress")
# The budget of a completed two-step saga with full batches.
MAX_REQUESTS = 3.5
# 12 by design, plus 2: the payment's own Status is settled in the transaction that completes the saga.
MAX_WRITE_UNITS = 14


class Budget(StackTest):
    def test_requests_and_write_units_of_a_completed_saga(self):
        counter = Counting(self.e["aws"])
        with counter, self.functions_through(counter.url):
            self.run_sagas(3)  # new processes fetch keys and open connections
            counter.reset()
            self.run_sagas(1)
            alone = counter.report("one saga alone", 1)
            counter.reset()
            self.run_sagas(200, together=40)
            together = counter.report("200 sagas at once", 200)
        full = counter.full_batches(200)
        print(f"\n{alone}\n{together}\nfull batches of 10: {full:.2f} requests a saga", flush=True)
        self.assertLessEqual(full, MAX_REQUESTS)
        self.assertLessEqual(counter.write_units / 200, MAX_WRITE_UNITS)
        self.assertLess(counter.largest_item, 1024, "an item over 1 KB costs every write again")

    def run_sagas(self, count: int, together: int = 1):
        with ThreadPoolExecutor(together) as pool:
            sagas = list(pool.map(lambda _: self.start(order()), range(count)))
            # Only the functions pass through the proxy; what this test asks goes to the emulator itself.
            list(pool.map(lambda saga: wait_for("COMPLETED", lambda: self.dynamo.payment(saga["saga_id"])["Status"]["S"] == "COMPLETED"), sagas))
        self.assert_outboxes_empty()

    def functions_through(self, url: str):
        test = self

        class Rerouted:
            def __enter__(self):
                self.before = {name: test.environment(name) for name in FUNCTIONS}
                for name, variables in self.before.items():
                    test.environment(name, {**variables, "AWS_ENDPOINT_URL": url})

            def __exit__(self, *_):
                for name, variables in self.before.items():
                    test.environment(name, variables)
        return Rerouted()

    def environment(self, function: str, variables: dict | None = None) -> dict:
        scope = f"test/20260101/{self.e['region']}/lambda/aws4_request"
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00",
        }
        url = f"{self.e['aws']}/2015-03-31/functions/{function}/configuration"
        if variables is None:
            status, answer = http.request("GET", url, headers=headers)
        else:
            body = json.dumps({"Environment": {"Variables": variables}}).encode()
            status, answer = http.request("PUT", url, body, headers)
        self.assertEqual(status, 200, answer)
        return json.loads(answer)["Environment"]["Variables"]


class Counting:
    """A proxy that passes everything on and counts requests, write units and the largest item."""

    def __init__(self, upstream: str):
        host = upstream.removeprefix("http://")
        counting, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with lock:
                    counting.note(self.headers.get("X-Amz-Target") or "SNS.Publish", body)
                connection = HTTPConnection(host, timeout=30)
                connection.request("POST", self.path, body, {name: value for name, value in self.headers.items() if name.lower() != "host"})
                answer = connection.getresponse()
                content = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
                connection.close()

            def log_message(self, *_):
                pass
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.reset()

    def reset(self):
        self.requests, self.write_units, self.largest_item = Counter(), 0, 0

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def note(self, target: str, raw: bytes):
        action = target.split(".")[-1]
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
        """Two PutEvents and one BatchWriteItem for ten sagas; the rest as it was counted."""
        batched = ("PutEvents", "BatchWriteItem")
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
