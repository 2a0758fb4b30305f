"""A service that is paused and resumed, on each cloud: nothing is asked of it meanwhile, and every saga goes on afterwards."""

from __future__ import annotations

import time

from .support import wait_for
from .transfers import DONE, TransferTest


class Pauses(TransferTest):
    def change(self, service: str, what: str) -> dict:
        status, said = self.post(f"/services/{service}/{what}", {"by": "test", "reason": "its database is moved"})
        self.assertEqual(status, 202 if service in ("bank", "mail") else 200, said)
        return said

    def tearDown(self):
        for service in ("ledger", "bank"):
            self.post(f"/services/{service}/resume", {"by": "test", "reason": "the test is over"})
        super().tearDown()

    def asked(self, service: str) -> int:
        return self.read_ledger("SELECT COUNT(*) FROM requests WHERE service = ?", service)[0][0]

    def test_nothing_is_asked_of_it_until_it_is_resumed(self):
        for service, step in (("ledger", "debit"), ("bank", "payout")):
            with self.subTest(service=service):
                said = self.change(service, "pause")
                self.assertEqual((said["name"], said["state"]), (service, "paused"), said)
                # A pause reaches the other cloud as an event.
                time.sleep(5)
                before = self.asked(service)
                saga_id = self.transfer()
                held_up = self.until(saga_id, step, "shows the pause", lambda step: step.get("paused"))
                self.assertIn("its database is moved", held_up["last_error"])
                self.assertEqual((held_up["attempts"], held_up["held_since"]), (0, None))
                status, listed = self.get("/services")
                self.assertEqual(status, 200)
                states = {one["name"]: one["state"] for one in listed["services"]}
                self.assertEqual((states[service], states["mail"]), ("paused", "active"))
                self.assertEqual(self.asked(service), before)
                self.change(service, "resume")
                wait_for("the end", lambda: self._ended(saga_id), seconds=150)
                self.assertEqual(self.effects(saga_id), DONE)

    def test_a_service_that_is_not_bound_cannot_be_paused(self):
        status, said = self.post("/services/nobody/pause", {"by": "test", "reason": "r"})
        self.assertEqual(status, 404, said)
        self.assertIn("ledger", said["detail"])

    def test_what_was_never_paused_stays_as_it_is(self):
        status, said = self.post("/services/mail/resume", {"by": "test", "reason": "r"})
        self.assertEqual((status, said["state"], said["since"]), (200, "active", None), said)
