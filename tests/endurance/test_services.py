"""What takes minutes: a binding that is mended, a pause of five minutes, and a service that hangs beside others."""

from __future__ import annotations

import math
import time

from stack.dead_letters import DeadLetters
from stack.support import wait_for
from stack.transfers import DONE, TransferTest

# A service that is bound wrongly is asked again every five minutes.
HEALS_WITHIN_SECONDS = 420
SERVICES = ("ledger", "bank", "mail")


class Healing(TransferTest):
    def test_every_saga_goes_on_by_itself_once_the_binding_is_mended(self):
        wrong = {"ledger": {"status": {"code": 404}}, "bank": {"status": {"code": 401}}, "mail": {"redirect": {"code": 307}}}
        steps = {"ledger": "debit", "bank": "payout", "mail": "notification"}
        sagas: dict[str, list[str]] = {}
        for service, fault in wrong.items():
            self.faults({service: fault})
            sagas[service] = [self.transfer() for _ in range(5)]
            for saga_id in sagas[service]:
                held = self.until(saga_id, steps[service], "is held", lambda step: step.get("held_since"))
                self.assertEqual(held["state"], "ACTING", held)
        self.faults({})
        began = time.monotonic()
        for service, of_service in sagas.items():
            for saga_id in of_service:
                saga = wait_for(f"{saga_id} to end", lambda: self._ended(saga_id), seconds=HEALS_WITHIN_SECONDS, pause=1)
                self.assertEqual(saga["status"], "COMPLETED", saga)
                self.assertEqual(self.effects(saga_id), DONE)
                self.assertFalse(saga["flags"].get("held"), saga)
        print(f"healed by themselves within {time.monotonic() - began:.0f} s: 5 sagas each of a 404, a 401 and a redirect", flush=True)


class Pauses(TransferTest, DeadLetters):
    SECONDS = 300

    def test_five_minutes_with_sagas_in_every_state(self):
        sagas = self.in_every_state()
        for service in SERVICES:
            status, said = self.post(f"/services/{service}/pause", {"by": "test", "reason": "the providers are moved"})
            self.assertIn(status, (200, 202), said)
        # A pause reaches the other cloud as an event, and an attempt that had begun may end.
        time.sleep(15)
        self.faults({})
        sagas += [self.transfer() for _ in range(5)]
        before, until = self.asked(), time.monotonic() + self.SECONDS
        while time.monotonic() < until:
            time.sleep(5)
            self.assertEqual(self.asked(), before, "an attempt reached a service that is paused")
        self.assertEqual(self.dead_letters(), [])
        for service in SERVICES:
            status, said = self.post(f"/services/{service}/resume", {"by": "test", "reason": "they are back"})
            self.assertIn(status, (200, 202), said)
        outcomes: dict[str, int] = {}
        began = time.monotonic()
        for saga_id in sagas:
            saga = wait_for(f"{saga_id} to end", lambda: self._ended(saga_id), seconds=600, pause=1)
            outcomes[saga["status"]] = outcomes.get(saga["status"], 0) + 1
            found = self.effects(saga_id)
            self.assertTrue(all(effects in ([1], [1, -1]) for effects in found.values()), f"{saga_id} {found}")
            in_effect = {service for service, effects in found.items() if sum(effects) == 1}
            self.assertEqual(in_effect, set(DONE) if saga["status"] == "COMPLETED" else set(), f"{saga_id} {found}")
        self.assertEqual(self.dead_letters(), [])
        print(f"paused for {self.SECONDS} s without an attempt, then {outcomes} within {time.monotonic() - began:.0f} s", flush=True)

    def in_every_state(self) -> list[str]:
        """Sagas that are asked, undone, stopped, held and waiting when the pause comes, and one past its pivot."""
        unknown = {"status": {"code": 503, "after_effect": True}}
        self.faults({"ledger": {"status": {"code": 503, "verb": "undo"}}, "bank": {}})
        undoing = [self.transfer(payee="mallory") for _ in range(3)]
        for saga_id in undoing:
            self.until(saga_id, "debit", "is being undone", lambda step: step["state"] == "UNDOING")
        self.faults({"mail": unknown})
        past_pivot = [self.transfer() for _ in range(3)]
        for saga_id in past_pivot:
            wait_for("the payout", lambda: self.effects(saga_id).get("bank"), seconds=60)
        self.faults({"bank": unknown, "mail": unknown})
        paying = [self.transfer() for _ in range(3)]
        for saga_id in paying:
            wait_for("the payout", lambda: self.effects(saga_id).get("bank"), seconds=60)
        waiting = [self.transfer("10000.01") for _ in range(3)]
        for saga_id in waiting:
            self.until(saga_id, "screening", "awaits an approval", lambda step: step.get("awaits"))
        self.faults({"bank": unknown, "mail": unknown, "ledger": {"status": {"code": 404}}})
        held = [self.transfer()]
        self.until(held[0], "debit", "is held", lambda step: step.get("held_since"))
        self.faults({"bank": unknown, "mail": unknown, "ledger": unknown})
        acting, stopping = [self.transfer() for _ in range(3)], [self.transfer() for _ in range(3)]
        for saga_id in (*acting, *stopping):
            self.until(saga_id, "debit", "has an unknown outcome", lambda step: step.get("attempts", 0) > 0)
        for saga_id in stopping:
            self.post(f"/sagas/{saga_id}/cancel", {"reason": "changed her mind"})
        for saga_id in waiting:
            self.answer(saga_id, "screening", decision="accepted")
        return [*undoing, *past_pivot, *paying, *waiting, *held, *acting, *stopping]

    def asked(self) -> int:
        return self.read_ledger("SELECT COUNT(*) FROM requests")[0][0]


class Bulkhead(TransferTest):
    """A service of the same cloud hangs, with two hundred sagas that wait for it, and another one goes on as before. What is measured is
    the time from a saga's start to its payout; blocks with and without the hanging service take turns, so that a slow minute of the
    machine counts for both."""

    WAITING, BLOCK, EVERY_SECONDS = 200, 60, 0.7

    def test_a_service_that_hangs_does_not_slow_the_others(self):
        self.payouts(20)  # the functions are warm
        quiet = self.payouts(self.BLOCK)
        began = time.time()
        self.faults({"mail": {"hang": {"seconds": 30}}})
        for _ in range(self.WAITING):
            self.transfer()
        self.paid_out(began, self.WAITING)
        beside = self.payouts(self.BLOCK) + self.payouts(self.BLOCK)
        self.assertEqual(self.count("mail", began), 0, "they wait for the service that hangs")
        hung = self.read_ledger("SELECT COUNT(*) FROM requests WHERE service = 'mail' AND at > ?", began)[0][0]
        self.faults({})
        waiting = self.WAITING + 2 * self.BLOCK
        wait_for("the service to be done with all", lambda: self.count("mail", began) == waiting, seconds=900, pause=1)
        quiet += self.payouts(self.BLOCK)
        ratio = p95(beside) / p95(quiet)
        print(f"payouts beside a service that hangs ({hung} requests, {self.WAITING} sagas and more wait for it): p95 {p95(beside):.3f} s, "
              f"without it {p95(quiet):.3f} s ({ratio - 1:+.0%}); medians {median(beside):.3f} s and {median(quiet):.3f} s", flush=True)
        self.assertLess(ratio, 1.25)

    def payouts(self, count: int) -> list[float]:
        """Starts so many, one after the other, and says how long after its start each was paid out."""
        first, began = time.time(), {}
        for number in range(count):
            time.sleep(max(0.0, first + number * self.EVERY_SECONDS - time.time()))
            at = time.time()
            began[self.transfer()] = at
        self.paid_out(first, count)
        rows = self.read_ledger("SELECT saga, at FROM effects WHERE service = 'bank' AND at > ?", first)
        return [at - began[saga_id] for saga_id, at in rows if saga_id in began]

    def paid_out(self, since: float, count: int):
        wait_for("the payouts", lambda: self.count("bank", since) >= count, seconds=300, pause=0.5)

    def count(self, service: str, since: float) -> int:
        return self.read_ledger("SELECT COUNT(*) FROM effects WHERE service = ? AND at > ?", service, since)[0][0]


def p95(values: list[float]) -> float:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
