"""A store that asks to slow down, that fails, that never answers, or whose answer is lost: the caller learns what to
do, and the same request again takes effect once."""

from __future__ import annotations

import json
import time
import uuid

from .proxy import Proxy, Rerouted
from .support import StackTest, http, order


class Faulty(Proxy):
    """Does `fault` to the calls of one action, so often; then passes everything on."""

    def __init__(self, upstream: str, action: str, times: int, fault):
        super().__init__(upstream)
        self.action, self.times, self.fault = action, times, fault

    def answer(self, target: str, body: bytes):
        if not target.endswith(self.action) or self.times <= 0:
            return None
        self.times -= 1
        return self.fault()


def error(status: int, code: str):
    return lambda: (status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "planted"})


def silence():
    time.sleep(15)
    return 500, {}


class StoreFaults(StackTest):
    def start_through(self, fault, times: int) -> tuple[int, dict, dict]:
        """A start while the store is faulty, then the same again: status, headers and body of the first."""
        body, key = order(), uuid.uuid4().hex
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        with Faulty(self.e["aws"], "TransactWriteItems", times, fault) as proxy, Rerouted(self, proxy.url, "saga-initiator"):
            began = time.monotonic()
            status, found, answer = http.exchange("POST", self.e["api"] + "/sagas/payment", json.dumps(body).encode(), headers, seconds=60)
            print(f"\nanswered {status} after {time.monotonic() - began:.1f} s", flush=True)
            proxy.times = 0
            again, saga = self.post("/sagas/payment", body, headers)
        self.assertIn(again, (200, 201), saga)
        self.ended(saga["saga_id"], "COMPLETED")
        return status, found, json.loads(answer)

    def test_a_throttled_store_is_503_with_retry_after(self):
        status, headers, problem = self.start_through(error(400, "ThrottlingException"), times=99)
        self.assertEqual((status, problem["code"], headers.get("Retry-After")), (503, "busy", "1"))

    def test_a_store_that_never_answers_is_503_before_the_function_times_out(self):
        """Lambda would say 502, and no more."""
        status, headers, problem = self.start_through(silence, times=99)
        self.assertEqual((status, problem["code"], headers.get("Retry-After")), (503, "unavailable", "1"))

    def test_an_error_that_passes_is_not_the_callers(self):
        status, _, _ = self.start_through(error(500, "InternalServerError"), times=1)
        self.assertEqual(status, 201)
