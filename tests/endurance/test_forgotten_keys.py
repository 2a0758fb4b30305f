"""A bank that forgets its keys after a minute and is down for two, right after it has paid. The stack that this runs on has a definition
of transfers that says so: `key_lifetime = "50s"`."""

from __future__ import annotations

import time

from stack.support import wait_for
from stack.transfers import DONE, TransferTest

FORGETS = {"bank": {"forget_keys_after": {"seconds": 60}}}


class ForgottenKeys(TransferTest):
    def test_nothing_is_paid_twice_and_an_operator_ends_it(self):
        alerts = self.subscribe_to_alerts()
        paid, unpaid = self.transfer_whose_answer_is_lost(), self.transfer_that_is_never_asked()
        self.faults({"bank": {**FORGETS["bank"], "down": {}}})
        time.sleep(120)
        self.faults(FORGETS)
        for saga_id in (paid, unpaid):
            step = self.until(saga_id, "payout", "is held", lambda step: step.get("held_since"))
            self.assertEqual(step["state"], "ACTING", step)
            self.assertIn("forgotten", step["last_error"])
            sent = wait_for("the alert", lambda saga_id=saga_id: [text for text in self.alerts_seen(alerts) if saga_id in text], seconds=60)
            print(f"alert: {sent[0].splitlines()[0]}", flush=True)
        asked = self.asked()
        time.sleep(90)  # whatever is sent again meanwhile asks the bank nothing
        self.invoke("deadline-sweeper")
        time.sleep(10)
        self.assertEqual(self.asked(), asked)
        self.assertEqual((self.effects(paid)["bank"], self.effects(unpaid).get("bank")), ([1], None))
        self.answer(paid, "payout", expect=202, decision="accepted", reason="the bank's statement shows it")
        self.answer(unpaid, "payout", expect=202, decision="refused", reason="the bank's statement does not show it")
        self.ended_soon(paid, "COMPLETED")
        self.ended_soon(unpaid, "CANCELLED_VIA_COMPENSATION")
        self.assertEqual(self.effects(paid), DONE)
        self.assertEqual(self.effects(unpaid), {"ledger": [1, -1]})

    def transfer_whose_answer_is_lost(self) -> str:
        self.faults({"bank": {**FORGETS["bank"], "status": {"code": 503, "after_effect": True}}})
        saga_id = self.transfer()
        wait_for("the payout", lambda: self.effects(saga_id).get("bank"), seconds=60)
        return saga_id

    def transfer_that_is_never_asked(self) -> str:
        self.faults({"bank": {**FORGETS["bank"], "down": {}}})
        saga_id = self.transfer()
        self.until(saga_id, "payout", "is asked", lambda step: step["state"] == "ACTING")
        return saga_id

    def alerts_seen(self, url: str) -> list[str]:
        self.seen = [*getattr(self, "seen", []), *self.alerts_on(url)]
        return self.seen

    def asked(self) -> int:
        return self.read_ledger("SELECT COUNT(*) FROM requests WHERE service = 'bank'")[0][0]

