"""Bad input gets a problem that names what to change, and stores nothing."""

from __future__ import annotations

import uuid

from .support import StackTest, order


class BadInput(StackTest):
    def problem(self, answer, status: int, code: str, *names: str):
        found, body = answer
        self.assertEqual(found, status, body)
        self.assertEqual(body["code"], code, body)
        for name in names:
            self.assertIn(name, str(body), body)

    def test_fields(self):
        cases = {
            "order_id": [None, "", " ", 5, [], "x" * 129, "\u200b", "o\u202e1", " o", "o\u3000"],
            "amount": [None, "", "0", 0, "-1", -5, "12,5", "abc", True, {}, "9" * 39, "1e3", "NaN", "0.001", 12.345],
            "currency": [None, "", "EURO", "eur", "XXQ", 978],
            "items": ["x", [1], [{"sku": "a"}], [{"sku": "a", "quantity": 0}], [{"sku": "a", "quantity": 1.5}]],
            "surprise": [1, "text", {"a": 1}, [1]],
        }
        for field, values in cases.items():
            for value in values:
                with self.subTest(field=field, value=value):
                    body = {**order(), field: value}
                    self.problem(self.post("/sagas/payment", body), 422, "invalid-input", field)
        for field in ("order_id", "amount", "currency"):
            with self.subTest(missing=field):
                body = order()
                del body[field]
                self.problem(self.post("/sagas/payment", body), 422, "invalid-input", field)

    def test_requests(self):
        self.problem(self.post("/sagas/unknown", order()), 404, "unknown-definition")
        self.problem(self.post("/sagas/payment", b"{"), 400, "invalid-json")
        self.problem(self.post("/sagas/payment", b"[]"), 400, "invalid-json")
        self.problem(self.post("/sagas/payment", b"\xff{}"), 400, "invalid-json")
        self.problem(self.post("/sagas/payment", order(), {"Content-Type": "text/plain"}), 415, "unsupported-media-type")
        self.problem(self.post("/sagas/payment", order(pad="x" * 65536)), 413, "too-large")
        self.problem(self.post("/sagas/payment", order(), {"Idempotency-Key": "k" * 256}), 400, "invalid-request", "Idempotency-Key")
        self.problem(self.post("/sagas/payment", order(), {"Idempotency-Key": "tab\there"}), 400, "invalid-request")
        self.problem(self.post("/sagas/payment", order(), {"Idempotency-Key": "k1, k2"}), 400, "invalid-request", "once")
        self.problem(self.post("/sagas/payment", order(), {"Content-Encoding": "gzip"}), 415, "unsupported-media-type", "Content-Encoding")
        self.problem(self.post("/sagas/payment?key=k", order()), 400, "invalid-request", "key")
        self.problem(self.get(f"/sagas/{uuid.uuid4()}"), 404, "unknown-saga")
        self.problem(self.get("/sagas/not-an-id"), 404, "unknown-saga")
        self.problem(self.get("/sagas?status=DONE"), 400, "invalid-request", "status")
        self.problem(self.get("/sagas?limit=0"), 400, "invalid-request", "limit")
        self.problem(self.get("/sagas?cursor=x"), 400, "invalid-request", "cursor")
        self.problem(self.get("/elsewhere"), 404, "not-found")

    def test_a_key_starts_one_saga(self):
        key, body = uuid.uuid4().hex, order()
        saga = self.start(body, key)
        self.problem(self.post("/sagas/payment", {**body, "amount": "1"}, {"Idempotency-Key": key}), 422, "key-reused")
        reordered = dict(reversed(body.items()))
        self.assertEqual(self.start(reordered, key, expect=200)["saga_id"], saga["saga_id"])
