"""The part of the demo with outside services: a transfer that a ledger debits, a person screens, a bank pays out and a mail
gateway announces. The provider of the local stack plays all three, with faults that are switched on here. What happened is
read from the provider's own ledger, not from the sagas."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable

from local_stack import http
from local_stack.console import say


class Transfers:
    """Starts transfers, steers the provider's faults, and reads its ledger."""

    def __init__(self, endpoints: dict, run: str, wrong: type[Exception]):
        self.api, self.services, self.run, self.wrong = endpoints["api"], endpoints["services"], run, wrong

    def start(self, number: int, amount: str = "120.50", payee: str = "dave", account: str = "alice") -> dict:
        order = {"order_id": f"transfer-{self.run}-{number}", "amount": amount, "currency": "EUR", "account": account, "payee": payee}
        say(f"  POST /sagas/transfer {json.dumps(order)}")
        return self.post("/sagas/transfer", order, (201,), {"Idempotency-Key": order["order_id"]})

    def post(self, path: str, body: dict, expected: tuple[int, ...], headers: dict | None = None) -> dict:
        sent = {"Content-Type": "application/json", **(headers or {})}
        status, answer = http.request("POST", f"{self.api}{path}", json.dumps(body).encode(), sent, seconds=30.0)
        if status not in expected:
            raise self.wrong(f"POST {path} answered {status}, not {expected}: {answer[:500].decode(errors='replace')}")
        return json.loads(answer)

    def faults(self, faults: dict) -> None:
        say(f"  the provider's faults: {json.dumps(faults)}")
        status, answer = http.request("PUT", f"{self.services['provider']}/faults", json.dumps(faults).encode(), {"Content-Type": "application/json"})
        if status not in (200, 204):
            raise self.wrong(f"PUT /faults answered {status}: {answer[:300].decode(errors='replace')}")

    def step(self, saga_id: str, name: str) -> dict:
        saga = http.get_json(f"{self.api}/sagas/{saga_id}") or {}
        return next((step for step in saga.get("steps", []) if step["name"] == name), {})

    def wait(self, saga_id: str, name: str, what: str, holds: Callable[[dict], bool], seconds: float = 120.0) -> dict:
        deadline, heartbeat = time.monotonic() + seconds, time.monotonic() + 2
        while time.monotonic() < deadline:
            step = self.step(saga_id, name)
            if step and holds(step):
                say(f"    step {name} {what}: {step['state']}, attempts {step.get('attempts')}, last error {step.get('last_error')!r}")
                return step
            if time.monotonic() > heartbeat:
                say(f"    … waiting until step {name} {what}")
                heartbeat = time.monotonic() + 5
            time.sleep(0.2)
        raise self.wrong(f"step {name} of {saga_id} did not get there in {seconds} s: {self.step(saga_id, name)}")

    def effects(self, saga_id: str) -> dict[str, list[int]]:
        """What the provider's ledger says of a saga: for each service the effects, +1 done and -1 undone, in order."""
        with sqlite3.connect(f"file:{self.services['ledger']}?mode=ro", uri=True) as ledger:
            rows = ledger.execute("SELECT service, effect FROM effects WHERE saga = ? ORDER BY id", (saga_id,)).fetchall()
        found: dict[str, list[int]] = {}
        for service, effect in rows:
            found.setdefault(service, []).append(int(effect))
        return found


def play(endpoints: dict, run: str, wrong: type[Exception], title: Callable, follow: Callable, expect: Callable) -> None:
    transfers = Transfers(endpoints, run, wrong)
    everything = {"ledger": [1], "bank": [1], "mail": [1]}

    def ends(saga: dict, status: str, effects: dict) -> dict:
        saga = follow(endpoints, saga["saga_id"])
        expect("the saga's status", saga["status"], status)
        expect("the provider's own ledger", transfers.effects(saga["saga_id"]), effects)
        return saga

    title("6. A transfer: a ledger, a bank and a mail gateway do the work, over HTTP")
    ends(transfers.start(6), "COMPLETED", everything)

    title("7. A transfer to a payee that the bank refuses: the debit is undone at the ledger")
    ends(transfers.start(7, payee="mallory"), "CANCELLED_VIA_COMPENSATION", {"ledger": [1, -1]})

    title("8. The bank pays out and its answer is lost: it is asked again with the same key, and pays once")
    transfers.faults({"bank": {"apply_and_time_out": {"count": 1, "hold": 0}}})
    ends(transfers.start(8), "COMPLETED", everything)

    title("9. The bank is down for a while: the saga waits, and goes on by itself")
    transfers.faults({"bank": {"down": {"for_seconds": 8}}})
    ends(transfers.start(9), "COMPLETED", everything)
    transfers.faults({})

    title("10. 25,000 EUR: a person has to approve it")
    large = transfers.start(10, amount="25000")
    transfers.wait(large["saga_id"], "screening", "waits for an approval", lambda step: step.get("awaits") == "approval")
    answer = {"decision": "accepted", "reason": "known customer", "by": "demo"}
    say(f"  POST /sagas/{large['saga_id']}/steps/screening/answer {json.dumps(answer)}")
    transfers.post(f"/sagas/{large['saga_id']}/steps/screening/answer", answer, (200,))
    ends(large, "COMPLETED", everything)

    title("11. A cancel while nobody knows whether the ledger has debited: it did, and is asked to undo it")
    transfers.faults({"ledger": {"apply_and_time_out": {"count": 1, "hold": 0}}})
    unknown = transfers.start(11)
    transfers.wait(unknown["saga_id"], "debit", "has an unknown outcome", lambda step: step.get("attempts", 0) > 0)
    transfers.post(f"/sagas/{unknown['saga_id']}/cancel", {"reason": "the customer changed her mind"}, (202,))
    saga = follow(endpoints, unknown["saga_id"])
    found = transfers.effects(saga["saga_id"])
    if saga["status"] == "COMPLETED":
        expect("the ledger, since the cancel came too late", found, everything)
    else:
        expect("the saga's status", saga["status"], "CANCELLED_VIA_COMPENSATION")
        expect("the provider's own ledger", found, {"ledger": [1, -1]})
    transfers.faults({})
