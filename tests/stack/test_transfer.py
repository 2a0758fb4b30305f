"""Sagas whose work outside services do. What happened is read from the provider's own ledger: no double effect, no effect of a
cancelled saga, none missing of a completed one, and no undo of what was never accepted."""

from __future__ import annotations

from .support import wait_for
from .transfers import DONE, Chaos, TransferTest

CHAOS = {
    "*": {
        "apply_and_time_out": {"probability": 0.15, "hold": 1},
        "delay": {"probability": 0.1, "seconds": 3},
        "status": {"probability": 0.15, "code": [429, 500, 503], "retry_after": 1},
        "garbage": {"probability": 0.1},
    },
}


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


class TransferChaos(Chaos):
    def test_a_provider_that_misbehaves_while_processes_are_killed(self):
        self.faults(CHAOS)
        kinds = [("dave", "120.50"), ("mallory", "75"), ("dave", "9999")]
        self.sagas_end_as_their_provider_says(30, kinds, seed=20261126, patience=300)
