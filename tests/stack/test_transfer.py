"""Sagas whose work outside services do. What happened is read from the provider's own ledger: no double effect, no effect of a
cancelled saga, none missing of a completed one, and no undo of what was never accepted."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time

from .processes import function_processes
from .support import TERMINAL, StackTest, endpoints, http, order, wait_for

DONE = {"ledger": [1], "bank": [1], "mail": [1]}
CHAOS = {
    "*": {
        "apply_and_time_out": {"probability": 0.15, "hold": 1},
        "delay": {"probability": 0.1, "seconds": 3},
        "status": {"probability": 0.15, "code": [429, 500, 503], "retry_after": 1},
        "garbage": {"probability": 0.1},
    },
}
# How many sagas meet a provider that misbehaves while processes are killed. TRANSFER_SAGAS=300 is the long run: the provider is
# later than any timeout, dies, and puts decisions off, too (which is polled every five minutes).
SAGAS = int(os.environ.get("TRANSFER_SAGAS", "30"))
LONG = "TRANSFER_SAGAS" in os.environ
if LONG:
    CHAOS["*"].update({
        "delay": {"probability": 0.1, "seconds": 20},
        "die": {"probability": 0.02, "when": ["before", "after"]},
        "later": {"probability": 0.05, "seconds": 3},
    })


class TransferTest(StackTest):
    def setUp(self):
        super().setUp()
        self.faults({})
        self.addCleanup(self.faults, {})

    def faults(self, faults: dict) -> None:
        def put():
            url = self.e["services"]["provider"] + "/faults"
            status, _ = http.request("PUT", url, json.dumps(faults).encode(), {"Content-Type": "application/json"})
            return status in (200, 204)
        wait_for("the provider takes its faults", put, seconds=30)

    def transfer(self, amount="120.50", payee="dave", account="alice") -> str:
        body = order(amount, payee=payee, account=account)
        return self.start(body, definition="transfer")["saga_id"]

    def effects(self, saga_id: str) -> dict[str, list[int]]:
        with sqlite3.connect(f"file:{self.e['services']['ledger']}?mode=ro", uri=True) as ledger:
            rows = ledger.execute("SELECT service, effect FROM effects WHERE saga = ? ORDER BY id", (saga_id,)).fetchall()
        found: dict[str, list[int]] = {}
        for service, effect in rows:
            found.setdefault(service, []).append(int(effect))
        return found

    def step(self, saga_id: str, name: str) -> dict:
        return next(step for step in self.saga(saga_id)["steps"] if step["name"] == name)

    def until(self, saga_id: str, name: str, what: str, holds) -> dict:
        def look():
            step = self.step(saga_id, name)
            return step if holds(step) else None
        return wait_for(f"step {name} of {saga_id} {what}", look, seconds=120)

    def answer(self, saga_id: str, name: str, expect: int = 200, **answer) -> dict:
        body = {"by": "test", "reason": "as agreed", **answer}
        status, said = self.post(f"/sagas/{saga_id}/steps/{name}/answer", body)
        self.assertEqual(status, expect, said)
        return said


class Transfer(TransferTest):
    def test_it_is_debited_paid_out_and_announced_once(self):
        saga_id = self.transfer()
        saga = self.ended_soon(saga_id, "COMPLETED")
        self.assertEqual(self.effects(saga_id), DONE)
        self.assertEqual([step["state"] for step in saga["steps"]], ["DONE"] * 4)
        self.assertEqual([step.get("kind") for step in saga["steps"]], ["call", "wait", "call", "call"])
        self.assert_outboxes_empty()

    def test_what_the_bank_refuses_is_undone_at_the_ledger(self):
        saga_id = self.transfer(payee="mallory")
        saga = self.ended_soon(saga_id, "CANCELLED_VIA_COMPENSATION")
        self.assertEqual(self.effects(saga_id), {"ledger": [1, -1]})
        self.assertEqual([step["state"] for step in saga["steps"]][:3], ["UNDONE", "UNDONE", "REFUSED"])

    def test_what_the_ledger_refuses_ends_the_saga_with_its_reason(self):
        saga_id = self.transfer(amount="100.01", account="bob")
        saga = self.ended_soon(saga_id, "CANCELLED_VIA_COMPENSATION")
        self.assertEqual(self.effects(saga_id), {})
        self.assertEqual(saga["steps"][0]["state"], "REFUSED")
        self.assertTrue(saga["reason"], saga)

    def test_a_payout_whose_answer_is_lost_is_made_once(self):
        self.faults({"bank": {"apply_and_time_out": {"count": 1, "hold": 0}}})
        saga_id = self.transfer()
        self.ended_soon(saga_id, "COMPLETED")
        self.assertEqual(self.effects(saga_id), DONE)

    def test_much_money_waits_for_a_person(self):
        accepted, refused = self.transfer("10000.01"), self.transfer("10000.01")
        for saga_id in (accepted, refused):
            self.until(saga_id, "screening", "awaits an approval", lambda step: step.get("awaits") == "approval")
        self.answer(accepted, "screening", decision="accepted")
        self.answer(refused, "screening", decision="refused", reason="too risky")
        self.ended_soon(accepted, "COMPLETED")
        saga = self.ended_soon(refused, "CANCELLED_VIA_COMPENSATION")
        self.assertIn("too risky", saga["reason"])
        self.assertEqual((self.effects(accepted), self.effects(refused)), (DONE, {"ledger": [1, -1]}))
        # The same answer again is known; another one comes too late and changes nothing.
        self.answer(accepted, "screening", decision="accepted")
        self.answer(accepted, "screening", expect=409, decision="refused")

    def test_a_service_that_is_bound_wrongly_leads_to_no_compensation_and_heals(self):
        for status in (404, 401):
            with self.subTest(status=status):
                self.faults({"ledger": {"status": {"code": status}}})
                saga_id = self.transfer()
                held = self.until(saga_id, "debit", "is held", lambda step: step.get("held_since"))
                self.assertIn(str(status), held["last_error"])
                self.assertEqual(held["state"], "ACTING")
                self.assertTrue(self.saga(saga_id)["flags"]["held"])
                self.faults({})
                self.answer(saga_id, "debit", decision="refused", reason="nothing was debited")
                self.ended_soon(saga_id, "CANCELLED_VIA_COMPENSATION")
                self.assertEqual(self.effects(saga_id), {})

    def test_a_cancel_while_the_outcome_is_unknown_ends_without_an_effect(self):
        self.faults({"ledger": {"apply_and_time_out": {"count": 1, "hold": 0}, "delay": {"at_least": 3, "seconds": 4}}})
        saga_id = self.transfer()
        self.until(saga_id, "debit", "has an unknown outcome", lambda step: step.get("attempts", 0) > 0 or step["state"] == "DONE")
        status, said = self.post(f"/sagas/{saga_id}/cancel", {"reason": "changed her mind"})
        self.assertIn(status, (202, 409), said)
        self.faults({})
        saga = self.ended_soon(saga_id)
        self.assertEqual(self.effects(saga_id), DONE if saga["status"] == "COMPLETED" else {"ledger": [1, -1]})


class Overrides(TransferTest):
    """Overrides to CANCELLED that meet a call. They are enacted together, because each waits for the sweeper."""

    def resolve(self, saga_id: str, expect: int = 200, **more) -> dict:
        status, said = self.post(f"/sagas/{saga_id}/resolve", {"to": "cancelled", "by": "test", "reason": "an error of ours", **more})
        self.assertEqual(status, expect, said)
        return said

    def test_they_end_as_the_protocol_says(self):
        unknown, undoing, paid = self.while_the_outcome_is_unknown(), self.while_the_undo_is_not_confirmed(), self.past_the_pivot()
        self.faults({})
        for saga_id, effects, states in (
            (unknown, {"ledger": [1, -1]}, ["UNDONE", "REFUSED"]),
            (undoing, {"ledger": [1, -1]}, ["UNDONE", "UNDONE", "REFUSED"]),
            (paid, {"ledger": [1, -1], "bank": [1], "mail": [1]}, ["UNDONE", "DONE", "DONE", "DONE"]),
        ):
            saga = self.ended_soon(saga_id, "CANCELLED_VIA_COMPENSATION")
            wait_for(f"the undo of {saga_id}", lambda: self.step(saga_id, "debit")["state"] == "UNDONE")
            self.assertEqual(self.effects(saga_id), effects)
            saga = self.saga(saga_id)
            self.assertEqual([step["state"] for step in saga["steps"]][:len(states)], states, saga)
        self.assertIn("contradicted", {entry["outcome"] for entry in saga["timeline"]}, "an effect that cannot be undone is shown")

    def while_the_outcome_is_unknown(self) -> str:
        self.faults({"ledger": {"status": {"code": 503, "after_effect": True}}})
        saga_id = self.transfer()
        self.until(saga_id, "debit", "has an unknown outcome", lambda step: step["state"] == "ACTING" and step.get("attempts", 0) > 0)
        self.assertEqual(self.effects(saga_id), {"ledger": [1]})
        self.resolve(saga_id)
        self.assertTrue(self.saga(saga_id)["flags"]["closing"])
        return saga_id

    def while_the_undo_is_not_confirmed(self) -> str:
        self.faults({"ledger": {"status": {"code": 503, "verb": "undo"}}})
        saga_id = self.transfer(payee="mallory")
        self.until(saga_id, "debit", "is being undone", lambda step: step["state"] == "UNDOING" and step.get("attempts", 0) > 0)
        self.resolve(saga_id)
        return saga_id

    def past_the_pivot(self) -> str:
        self.faults({"mail": {"status": {"code": 503}}})
        saga_id = self.transfer()
        wait_for("the payout", lambda: self.effects(saga_id).get("bank"))
        said = self.resolve(saga_id, expect=409)
        self.assertEqual(said["code"], "past-pivot", said)
        self.assertIn("payout", said["detail"])
        self.resolve(saga_id, force=True)
        return saga_id


class TransferChaos(TransferTest):
    def test_a_provider_that_misbehaves_while_processes_are_killed(self):
        chance = random.Random(20261126)
        self.faults(CHAOS)
        kinds = [("dave", "120.50"), ("mallory", "75"), ("dave", "9999")]
        sagas, cancelled = [], set()
        for number in range(SAGAS):
            payee, amount = kinds[number % len(kinds)]
            sagas.append(self.transfer(amount, payee))
            if number % 5 == 4:
                self.post(f"/sagas/{sagas[-1]}/cancel", {"reason": "chance"})
                cancelled.add(sagas[-1])
            if number % 6 == 5:
                time.sleep(chance.random())  # the moment of the crash is left to chance
                for pid in [endpoints()["pids"]["azure_participant"], *function_processes(self.e)]:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
        if LONG:  # most calls come after the last start, and meet the faults, too
            ended = set()

            def most_ended():
                ended.update(saga_id for saga_id in sagas if saga_id not in ended and self._ended(saga_id))
                return len(ended) >= 0.9 * len(sagas)
            wait_for("the end of nine sagas in ten", most_ended, pause=5)
        self.faults({})
        held = []
        for saga_id in sagas:
            saga = self.ended_or_held(saga_id)
            if saga["status"] not in TERMINAL:
                held.append(saga_id)
                continue
            found = self.effects(saga_id)
            for service, effects in found.items():
                self.assertIn(effects, ([1], [1, -1]), f"{saga_id}: {service} {effects}")
            in_effect = {service for service, effects in found.items() if sum(effects) == 1}
            wanted = set(DONE) if saga["status"] == "COMPLETED" else set()
            self.assertEqual(in_effect, wanted, saga)
        self.assertEqual(held, [], "no fault of this test needs a person")
        with sqlite3.connect(f"file:{self.e['services']['ledger']}?mode=ro", uri=True) as ledger:
            undone = ledger.execute("SELECT service, act_key, found FROM decisions WHERE verb = 'undo' AND service <> 'ledger' AND found <> 'accepted'")
            self.assertEqual(undone.fetchall(), [], "a service that promises `key` only was asked to undo what it had not accepted")

    def ended_or_held(self, saga_id: str) -> dict:
        rounds = 0

        def look():
            nonlocal rounds
            rounds += 1
            if rounds % 30 == 0:
                self.invoke("deadline-sweeper")
                self.invoke("outbox-poller")
            saga = self.saga(saga_id)
            return saga if saga["flags"].get("held") else self._ended(saga_id)
        return wait_for(f"the end of {saga_id}", look)
