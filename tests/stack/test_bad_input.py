"""Bad input gets a problem that names what to change, and stores nothing."""

from __future__ import annotations

import json
import uuid
from urllib.parse import urljoin

from .support import StackTest, ask, http, order, wait_for


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
        self.problem(self.post("/sagas/payment", order(), {"Idempotency-Key": "k1, k2"}), 400, "invalid-request", "one key")
        self.problem(self.post("/sagas/payment", order(), {"Content-Encoding": "gzip"}), 415, "unsupported-media-type", "Content-Encoding")
        self.problem(self.post("/sagas/payment?key=k", order()), 400, "invalid-request", "key")
        self.problem(self.get(f"/sagas/{uuid.uuid4()}"), 404, "unknown-saga")
        self.problem(self.get("/sagas/not-an-id"), 404, "unknown-saga")
        self.problem(self.get("/sagas?status=DONE"), 400, "invalid-request", "status")
        self.problem(self.get("/sagas?limit=0"), 400, "invalid-request", "limit")
        self.problem(self.get("/sagas?cursor=x"), 400, "invalid-request", "cursor")
        self.problem(self.get("/elsewhere"), 404, "not-found")

    def test_what_an_answer_refers_to_is_there(self):
        """Resolved against the request's URL, as a client does it (RFC 9457, 3.1.1)."""
        asked = [
            (self.e["api"], "GET", "/elsewhere"), (self.e["api"], "GET", "/sagas?limit=0"), (self.e["api"], "GET", "/sagas/not-an-id"),
            (self.e["api"], "POST", "/sagas/payment"), (self.e["api"], "POST", f"/sagas/{uuid.uuid4()}/resolve"), (self.e["api"], "GET", "/problems/none"),
            (self.e["dead_letters"], "GET", "/elsewhere"), (self.e["dead_letters"], "GET", "/dead-letters?limit=0"),
            (self.e["dead_letters"], "GET", "/dead-letters/poison.7"), (self.e["dead_letters"], "POST", "/dead-letters/replay"),
        ]
        for base, method, path in asked:
            with self.subTest(method=method, path=path):
                url = base + path
                status, body, _ = ask(method, url, b"{" if method == "POST" else None, {"Content-Type": "application/json"})
                problem = json.loads(body)
                self.assertGreaterEqual(status, 400, problem)
                page = urljoin(url, problem["type"])
                self.assertTrue(page.startswith(base), f"{problem['type']} leads from {url} to {page}")
                status, text, _ = ask("GET", page)
                self.assertEqual((status, text.decode().split("\n")[0]), (200, f"# {problem['code']}"))
        url = f"{self.e['api']}/sagas/payment"

        def created():
            # Without a key each request starts a saga of its own, so an answer that was lost is no matter.
            status, headers, body = http.exchange("POST", url, json.dumps(order()).encode(), {"Content-Type": "application/json"}, seconds=60)
            return (headers["Location"], json.loads(body)["saga_id"]) if status == 201 else None
        location, saga = wait_for("a saga", created)
        self.assertEqual(json.loads(ask("GET", urljoin(url, location))[1])["saga_id"], saga)

    def test_a_key_starts_one_saga(self):
        key, body = uuid.uuid4().hex, order()
        saga = self.start(body, key)
        self.problem(self.post("/sagas/payment", {**body, "amount": "1"}, {"Idempotency-Key": key}), 422, "key-reused")
        reordered = dict(reversed(body.items()))
        self.assertEqual(self.start(reordered, key, expect=200)["saga_id"], saga["saga_id"])
