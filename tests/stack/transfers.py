"""What tests of transfers share: starting one, the provider's switches, and the ledgers that the providers themselves keep."""

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
        rows = self.read_ledger("SELECT service, effect FROM effects WHERE saga = ? ORDER BY id", saga_id)
        found: dict[str, list[int]] = {}
        for service, effect in rows:
            found.setdefault(service, []).append(int(effect))
        return found

    def read_ledger(self, query: str, *values) -> list:
        """The provider's own ledger, without the provider."""
        with sqlite3.connect(f"file:{self.e['services']['ledger']}?mode=ro", uri=True) as ledger:
            return ledger.execute(query, values).fetchall()

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


class Chaos(TransferTest):
    """Transfers while their provider misbehaves and processes are killed. Every fault lasts until nine in ten sagas have ended, so
    that undos and later steps meet them, too."""

    def sagas_end_as_their_provider_says(self, count: int, kinds: list[tuple[str, str]], seed: int, patience: float):
        chance, sagas = random.Random(seed), []
        for number in range(count):
            payee, amount = kinds[number % len(kinds)]
            sagas.append(self.transfer(amount, payee))
            if number % 5 == 4:
                self.post(f"/sagas/{sagas[-1]}/cancel", {"reason": "chance"})
            if number % 6 == 5:
                time.sleep(chance.random())  # the moment of the crash is left to chance
                self.kill_functions()
        ended: set[str] = set()

        def most_ended() -> bool:
            ended.update(saga_id for saga_id in sagas if saga_id not in ended and self._ended(saga_id))
            return len(ended) >= 0.9 * count
        wait_for("the end of nine sagas in ten", most_ended, seconds=patience, pause=3)
        self.all_is_well()
        outcomes: dict[str, int] = {}
        for saga_id in sagas:
            saga = self.ended_or_held(saga_id)
            self.assertIn(saga["status"], TERMINAL, f"no fault of this test needs a person: {saga}")
            outcomes[saga["status"]] = outcomes.get(saga["status"], 0) + 1
            self.assert_as_the_provider_says(saga_id, saga["status"])
        self.assertEqual(self.undone_unseen(), [], "a service that promises `key` only was asked to undo what it had not accepted")
        self.assertEqual(set(outcomes), set(TERMINAL), "some must complete and some be cancelled, else half of this test says nothing")
        print(f"{count} transfers: {outcomes}; {self.requests()}", flush=True)

    def assert_as_the_provider_says(self, saga_id: str, status: str):
        found = self.effects(saga_id)
        for service, effects in found.items():
            self.assertIn(effects, ([1], [1, -1]), f"{saga_id}: {service} {effects}")
        in_effect = {service for service, effects in found.items() if sum(effects) == 1}
        self.assertEqual(in_effect, set(DONE) if status == "COMPLETED" else set(), f"{saga_id} {status} {found}")

    def kill_functions(self):
        for pid in [endpoints()["pids"]["azure_participant"], *function_processes(self.e)]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def all_is_well(self):
        self.faults({})

    def undone_unseen(self) -> list:
        """The undos of what was never accepted, at services that promise `key` only."""
        unseen = "SELECT service, act_key, found FROM decisions WHERE verb = 'undo' AND service <> 'ledger' AND found <> 'accepted'"
        return self.read_ledger(unseen)

    def requests(self) -> str:
        lines = self.read_ledger("SELECT COUNT(*), SUM(reply NOT LIKE '200%' OR reply IS NULL) FROM requests")
        return "{} requests so far, of which {} had no good answer".format(*lines[0])
