#!/usr/bin/env python3
"""The main job, shown: sagas that complete and that are compensated, across both clouds, on this machine.

    python3 localstack/demo.py

Sets everything up, starts a local stack of its own (100 ports above PORT_BASE, so that it stands beside one that
`make up` started), runs the sagas through the function URL, prints each timeline as it happens, reads the end state
back from DynamoDB and Azurite themselves, and stops the stack. Exit status 0: everything was as it should be.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from argparse import ArgumentTypeError
from pathlib import Path

import demo_transfer
from local_stack import http
from local_stack.console import Problem, say
from local_stack.read_back import Azure, Dynamo

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "infra"))
from command_line import Parser, port_base  # noqa: E402

STATE = HERE / ".demo"
PATIENCE_SECONDS = 150
LIMIT_REASON = "over the limit"


class Wrong(Exception):
    """Something is not as it should be."""


def main() -> int:
    say("saga-bridge demo: a payment on AWS and an inventory on Azure, in one saga")
    try:
        stack("up")
        endpoints = json.loads((STATE / "endpoints.json").read_text())
        play(endpoints)
    except Wrong as wrong:
        print(f"\nNOT AS IT SHOULD BE: {wrong}\nThe logs are in {STATE / 'logs'}", flush=True)
        return 1
    except Problem as problem:
        print(problem.report(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; stopping what was started", flush=True)
        return 130
    finally:
        stack("down")
    print("\nAll sagas ended as they should, and both clouds agree. Nothing is left running.", flush=True)
    return 0


def stack(command: str) -> None:
    line = [sys.executable, str(HERE / "stack.py"), command, "--port-base", str(port_base() + 100), "--state", str(STATE)]
    if subprocess.run(line, check=False).returncode:
        raise Wrong(f"`{' '.join(line[1:3])}` failed; it said why above")


def play(endpoints: dict) -> None:
    dynamo, azure = Dynamo(endpoints), Azure(endpoints)
    before = azure.stock("keyboard")
    run = uuid.uuid4().hex[:8]

    title("1. An order of 129.90 EUR for two keyboards")
    order = {"order_id": f"demo-{run}-1", "amount": "129.90", "currency": "EUR", "items": [{"sku": "keyboard", "quantity": 2}]}
    first = start(endpoints, order, f"demo-{run}-1", expect=201)
    first = follow(endpoints, first["saga_id"])
    expect("the saga's status", first["status"], "COMPLETED")

    title("2. An order of 15,000 EUR, over the inventory's limit")
    second = start(endpoints, {"order_id": f"demo-{run}-2", "amount": "15000", "currency": "EUR"}, f"demo-{run}-2", expect=201)
    second = follow(endpoints, second["saga_id"])
    expect("the saga's status", second["status"], "CANCELLED_VIA_COMPENSATION")
    if LIMIT_REASON not in (second["reason"] or ""):
        raise Wrong(f"the reason is {second['reason']!r}")
    say(f"  compensated, because {second['reason']}")

    title("3. The first order again, with the same Idempotency-Key")
    again = start(endpoints, order, f"demo-{run}-1", expect=200)
    expect("the saga", again["saga_id"], first["saga_id"])
    say("  answered with the same saga; nothing was started")

    title("4. The first order's event delivered to Azure once more")
    publish_again(endpoints, first, order)
    first = follow(endpoints, first["saga_id"], until=lambda saga: any(line["outcome"] == "repeated" for line in saga["timeline"]))
    say("  Azure answered again, AWS had heard it: a line in the timeline, and no second effect")

    title("5. A four-step order to a place that shipping does not know: undone from the last step back")
    far = {"order_id": f"demo-{run}-5", "amount": "50.00", "currency": "EUR", "destination": "ATLANTIS", "items": [{"sku": "keyboard", "quantity": 1}]}
    third = start(endpoints, far, f"demo-{run}-5", expect=201, saga="order")
    third = follow(endpoints, third["saga_id"])
    expect("the saga's status", third["status"], "CANCELLED_VIA_COMPENSATION")
    say(f"  compensated, because {third['reason']}")

    title("What DynamoDB and Azurite say themselves")
    expect(f"LocalPayments {third['saga_id']}", dynamo.payment(third["saga_id"])["Status"]["S"], "CANCELLED_VIA_COMPENSATION")
    expect(f"Azure step {third['saga_id']}|1", azure.step(third["saga_id"], 1)["State"], "UNDONE")
    for saga, payment, step in ((first, "COMPLETED", "DONE"), (second, "CANCELLED_VIA_COMPENSATION", "REFUSED")):
        expect(f"LocalPayments {saga['saga_id']}", dynamo.payment(saga["saga_id"])["Status"]["S"], payment)
        expect(f"Azure step {saga['saga_id']}|1", azure.step(saga["saga_id"], 1)["State"], step)
    expect("keyboards taken from stock", before - azure.stock("keyboard"), 2)
    demo_transfer.play(endpoints, run, Wrong, title, follow, expect)
    expect("rows in SagaOutbox", dynamo.outbox_rows(), 0)
    expect("rows in the Azure outbox", azure.outbox_rows(), 0)


def start(endpoints: dict, order: dict, key: str, expect: int, saga: str = "payment") -> dict:
    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
    say(f"  POST /sagas/{saga} {json.dumps(order)}")
    status, body = http.request("POST", f"{endpoints['api']}/sagas/{saga}", json.dumps(order).encode(), headers, seconds=30.0)
    if status != expect:
        raise Wrong(f"POST /sagas/{saga} answered {status}, not {expect}: {body[:500].decode(errors='replace')}")
    started = json.loads(body)
    say(f"  {status}, saga {started['saga_id']}, {started['status']}")
    return started


def follow(endpoints: dict, saga_id: str, until=lambda saga: saga["status"] in ("COMPLETED", "CANCELLED_VIA_COMPENSATION")) -> dict:
    """Prints the timeline's lines as they come, until the condition holds."""
    shown, deadline, heartbeat = 0, time.monotonic() + PATIENCE_SECONDS, time.monotonic() + 2
    while time.monotonic() < deadline:
        saga = http.get_json(f"{endpoints['api']}/sagas/{saga_id}")
        for line in (saga or {}).get("timeline", [])[shown:]:
            note = f": {line['note']}" if line["note"] else ""
            say(f"    {line['at']}  {line['cloud']:5}  {line['verb']} {line['step_name'] or 'saga'}  {line['outcome']}{note}")
            shown += 1
        if saga and until(saga):
            say(f"  {saga['status']}")
            return saga
        if time.monotonic() > heartbeat:
            say("    … waiting for the other cloud")
            heartbeat = time.monotonic() + 5
        time.sleep(0.1)
    raise Wrong(f"saga {saga_id} did not get there within {PATIENCE_SECONDS} s")


def publish_again(endpoints: dict, saga: dict, order: dict) -> None:
    """The event that opened the inventory's step, with the id that it had the first time."""
    opening = saga["timeline"][0]
    event = {
        "specversion": "1.0", "id": opening["event_id"], "source": "saga.orchestrator", "type": "PaymentReserved",
        "subject": f"saga/{saga['saga_id']}/advance", "time": saga["created_at"], "datacontenttype": "application/json",
        "sagaid": saga["saga_id"], "sagadef": "payment", "sagaver": 1, "sagastep": 1, "sagaverb": "advance",
        "sagatarget": "azure", "sagaorigin": "aws", "sagahop": 1,
        "data": {**order, "saga_id": saga["saga_id"], "reserved_amount": order["amount"]},
    }
    grid = endpoints["eventgrid"]
    headers = {"Content-Type": "application/cloudevents+json", "aeg-sas-key": grid["key"]}
    status, body = http.request("POST", f"{grid['topic']}?api-version=2018-01-01", json.dumps(event).encode(), headers)
    if status != 200:
        raise Wrong(f"the topic answered {status}: {body[:500].decode(errors='replace')}")
    say(f"  published {event['id']} again")


def title(text: str) -> None:
    print(f"\n{text}", flush=True)


def expect(what: str, found, wanted) -> None:
    if found != wanted:
        raise Wrong(f"{what} is {found!r}, not {wanted!r}")
    say(f"  {what}: {found}")


if __name__ == "__main__":
    parser = Parser(description=__doc__)
    parser.parse_args()
    try:
        port_base()
    except ArgumentTypeError as wrong:
        parser.error(str(wrong))
    sys.exit(main())
