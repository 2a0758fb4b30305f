"""One act for many sagas, as an operator does it: a dry run, a few, then all, in requests that each go on where the last one ended."""

from __future__ import annotations

import os
import signal
import time

from .processes import function_processes
from .transfers import TransferTest

CANCELLED = "CANCELLED_VIA_COMPENSATION"


class Runs(TransferTest):
    SAGAS = 12

    def setUp(self):
        super().setUp()
        self.sagas = [self.transfer("10000.01") for _ in range(self.SAGAS)]
        for saga_id in self.sagas:
            self.until(saga_id, "screening", "awaits an approval", lambda step: step.get("awaits") == "approval")
        self.since = min(self.saga(saga_id)["created_at"] for saga_id in self.sagas)

    def test_a_dry_run_changes_nothing_and_a_run_goes_on_where_it_ended(self):
        request = {"filter": {"definition": "transfer", "since": self.since, "step": "screening"}, "step": "screening", "decision": "accepted"}
        before = [self.saga(saga_id) for saga_id in self.sagas]
        dry = self.run_once("answer", request)
        self.assertTrue(dry["dry_run"], dry)
        self.assertEqual((dry["done"], {item["saga_id"] for item in dry["items"]}), (self.SAGAS, set(self.sagas)))
        self.assertEqual([self.saga(saga_id) for saga_id in self.sagas], before)

        reports = self.run_to_its_end("answer", {**request, "confirm": True, "limit": 5})
        self.assertEqual([report["done"] for report in reports], [5, 5, 2])
        for saga_id in self.sagas:
            self.ended_soon(saga_id, "COMPLETED")
        again = self.run_once("answer", {**request, "confirm": True})
        self.assertEqual((again["done"], again["failed"]), (0, 0), again)

    def test_a_run_whose_function_dies_is_repeated(self):
        request = {"filter": {"definition": "transfer", "since": self.since}, "confirm": True, "rate_per_second": 10}
        self.run_once("cancel", {**request, "limit": 3})
        for pid in function_processes(self.e, "saga-initiator"):
            os.kill(pid, signal.SIGKILL)
        self.run_to_its_end("cancel", request)
        for saga_id in self.sagas:
            self.ended_soon(saga_id, CANCELLED)
            self.assertEqual(self.effects(saga_id), {"ledger": [1, -1]})

    def test_it_keeps_its_rate_and_stops_after_failures(self):
        ids = ["00000000-0000-8000-8000-00000000000%d" % number for number in range(5)] + self.sagas
        stopped = self.run_once("cancel", {"ids": ids, "confirm": True, "stop_after_failures": 3})
        self.assertEqual((stopped["ended"], stopped["failed"], stopped["done"]), ("failures", 3, 0), stopped)
        for saga_id in self.sagas:
            self.assertFalse(self.saga(saga_id)["flags"]["cancel_requested"])
        began = time.monotonic()
        sent = self.run_to_its_end("retransmit", {"ids": self.sagas, "confirm": True, "rate_per_second": 4})
        self.assertGreaterEqual(time.monotonic() - began, 2)
        self.assertEqual(sum(report["done"] for report in sent), self.SAGAS)
        overridden = self.run_to_its_end("resolve", {"ids": self.sagas, "to": "cancelled", "confirm": True})
        self.assertEqual(sum(report["done"] for report in overridden), self.SAGAS)
        for saga_id in self.sagas:
            self.ended_soon(saga_id, CANCELLED)
            self.assertEqual(self.effects(saga_id), {"ledger": [1, -1]})

    def run_once(self, act: str, request: dict) -> dict:
        status, report = self.post(f"/runs/{act}", {"by": "test", "reason": "as agreed", **request})
        self.assertEqual(status, 200, report)
        return report

    def run_to_its_end(self, act: str, request: dict) -> list[dict]:
        """Every report, from the first to the one without a `next`."""
        reports = [self.run_once(act, request)]
        while cursor := reports[-1].get("next"):
            reports.append(self.run_once(act, {**request, "cursor": cursor}))
        self.assertEqual([report["failed"] for report in reports], [0] * len(reports), reports)
        return reports
