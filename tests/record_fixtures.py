#!/usr/bin/env python3
"""Records what a release stores and sends, taken from a running local stack, so that later releases can be held to reading it.

    make up PACKAGES=…                      the functions of the release
    SAGA_ENDPOINTS=localstack/.state/endpoints.json python3 tests/record_fixtures.py tests/stored/fixtures/release_…

Brings sagas, rows and messages of every kind about and writes each to a file of its own: items of DynamoDB with their attribute values,
rows of Table storage with their types, messages as they lie on their queues. What a release does not have is left out, and said. The
stack is used up by it: run `make down` afterwards.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import sys
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "localstack"), str(ROOT / "infra")]

from command_line import Parser  # noqa: E402
from local_stack import http  # noqa: E402
from local_stack.storage import ACCOUNT, sign  # noqa: E402
from stack.dead_letters import DeadLetters, Failing  # noqa: E402
from stack.proxy import Proxy, Rerouted  # noqa: E402
from stack.standin import Reconfigured  # noqa: E402
from stack.support import bucket_of, order, wait_for  # noqa: E402
from stack.tap import Tap  # noqa: E402

CANCELLED = "CANCELLED_VIA_COMPENSATION"
STOCK = [{"sku": "keyboard", "quantity": 1}]
OPERATOR = {"reason": "the customer called", "by": "ops@example.com"}


def say(text: str) -> None:
    print(f"fixtures: {text}", flush=True)


def written(content: dict, depth: int = 0) -> str:
    """JSON, one member a line, and one line for each item of a list."""
    pad, end = " " * (depth + 1), " " * depth
    if isinstance(content, dict) and content and depth < 100 and (depth == 0 or len(json.dumps(content)) > 140):
        lines = (f"{pad}{json.dumps(name)}: {written(value, depth + 1)}" for name, value in sorted(content.items()))
        return "{\n" + ",\n".join(lines) + f"\n{end}}}"
    if isinstance(content, list) and len(json.dumps(content)) > 140:
        return "[\n" + ",\n".join(pad + written(value, 100) for value in content) + f"\n{end}]"
    return json.dumps(content, ensure_ascii=False, sort_keys=True)


class Answering(Proxy):
    """Answers some requests in the emulator's place, late if so wished, and keeps what it was asked."""

    def __init__(self, upstream: str, *actions: str):
        super().__init__(upstream)
        self.actions, self.own, self.late, self.bodies = actions, None, 0.0, []
        self.only = b""

    def answer(self, target: str, body: bytes):
        if not target.endswith(self.actions) or self.only not in body:
            return None
        self.bodies.append(body)
        time.sleep(self.late)
        return self.own


class Recorder(DeadLetters):
    def runTest(self):
        raise NotImplementedError

    def into(self, folder: Path, only: list[str]):
        self.folder = folder
        parts = (
            self.sagas_that_end, self.open_sagas, self.overridden, self.repeated, self.parked, self.on_their_way, self.aws_outbox, self.azure_outbox,
            self.event_grid, self.quarantines, self.dead_letter_queue, self.discarded, self.rows,
        )
        for part in parts:
            if only and part.__name__ not in only:
                continue
            say(part.__name__.replace("_", " "))
            self.setUp()
            try:
                part()
            except Exception as error:
                say(f"NOT RECORDED, {part.__name__}: {type(error).__name__}: {error}")
            self.doCleanups()

    # --- files ---

    def keep(self, name: str, content) -> None:
        text = content if isinstance(content, str) else written(content)
        text = re.sub(r"(127\.0\.0\.1|localhost):\d+", "localhost", text)
        file = self.folder / (name if "." in name.rpartition("/")[2] else f"{name}.json")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.rstrip("\n") + "\n")
        say(f"  {file.relative_to(self.folder)}")

    def item(self, saga_id: str) -> dict:
        table = self.e["names"]["sagas_table"]
        return self.dynamo._call("GetItem", {"TableName": table, "Key": {"SagaId": {"S": saga_id}}, "ConsistentRead": True})["Item"]

    def keep_saga(self, name: str, saga_id: str) -> None:
        """The item, and what the release that wrote it says of it."""
        while True:
            item, shown = self.item(saga_id), self.saga(saga_id)
            if item == self.item(saga_id):
                break
        self.keep(f"sagas/{name}", {"item": item, "shown": shown})

    # --- sagas ---

    def a_saga(self, amount: str = "50.00", definition: str = "payment", **more) -> str:
        return self.start(order(amount, items=STOCK, **more), definition=definition)["saga_id"]

    def sagas_that_end(self):
        kinds = {
            "completed": (self.a_saga(), "COMPLETED"),
            "refused": (self.a_saga("15000"), CANCELLED),
            "order_completed": (self.a_saga(definition="order", destination="DE"), "COMPLETED"),
            "order_undone": (self.a_saga(definition="order", destination="ATLANTIS"), CANCELLED),
        }
        for name, (saga_id, status) in kinds.items():
            self.ended_soon(saga_id, status)
            self.keep_saga(name, saga_id)
            self.keep(f"entities/payment_{name}", self.dynamo.payment(saga_id))

    def open_sagas(self):
        with self.closed("azure"):
            pending, cancelled, overdue = (self.a_saga() for _ in range(3))
            self.keep_saga("pending", pending)
            self.keep("entities/payment_pending", self.dynamo.payment(pending))
            self.assertEqual(self.post(f"/sagas/{cancelled}/cancel", {"reason": "changed my mind"})[0], 202)
            self.keep_saga("cancel_requested", cancelled)
            self.dynamo.make_overdue(overdue, int(time.time() * 1000) - 1_000)
            self.invoke("deadline-sweeper")
            self.keep_saga("past_its_deadline", overdue)

            def stuck():
                with contextlib.suppress(Exception):
                    self.dynamo.make_due(overdue, int(time.time() * 1000) - 1_000)
                self.invoke("deadline-sweeper")
                return self.saga(overdue)["flags"]["stuck"]
            wait_for("the flag `stuck`", stuck)
            self.keep_saga("stuck", overdue)
        for saga_id, name in ((cancelled, "cancelled"), (overdue, "cancelled_by_the_deadline")):
            with contextlib.suppress(Exception):
                self.dynamo.make_due(saga_id, int(time.time() * 1000) - 1_000)
            self.ended_soon(saga_id, CANCELLED)
            self.keep_saga(name, saga_id)

    def overridden(self):
        with self.closed("azure"):
            closing, forward, outsider = (self.a_saga() for _ in range(3))
            self.assertEqual(self.post(f"/sagas/{closing}/resolve", {"to": "cancelled", **OPERATOR})[0], 200)
            self.keep_saga("closing", closing)
            self.assertEqual(self.post(f"/sagas/{forward}/resolve", {"to": "completed", **OPERATOR})[0], 200)
            self.keep_saga("resolved_completed", forward)
            self.assertEqual(self.deliver(self.compensation(self.saga(outsider)))[0], 200)
            wait_for("the override", lambda: self.saga(outsider)["status"] == CANCELLED)
            self.keep_saga("closing_by_another_team", outsider)
        self.ended_soon(closing, CANCELLED)
        self.keep_saga("resolved_cancelled", closing)
        self.ended_soon(outsider, CANCELLED)
        self.keep_saga("cancelled_by_another_team", outsider)

    def repeated(self):
        with Tap(self) as tap:
            saga_id = self.a_saga()
            event = tap.wait_for(sagaid=saga_id, sagaverb="complete")
            self.ended_soon(saga_id, "COMPLETED")
            saga = self.saga(saga_id)
            self.put_event(event)
            wait_for("the repeat", lambda: any(line["outcome"] == "repeated" for line in self.saga(saga_id)["timeline"]))
            self.keep_saga("repeated", saga_id)
            falls = {**event, "id": f"{event['id']}-x", "type": "PaymentCompensationRequested", "sagaverb": "compensate", "sagastep": 0}
            falls.pop("sagasum", None)
            self.put_event(falls)
            with contextlib.suppress(AssertionError):
                wait_for("the contradiction", lambda: len(self.saga(saga_id)["timeline"]) > len(saga["timeline"]), seconds=30)
            self.keep_saga("contradicted", saga_id)
            for number in range(30):
                late = {**event, "id": f"{1795226400000 + number}-{saga_id}-late{number}"}
                late.pop("sagasum", None)
                self.put_event(late)
            wait_for("lines to be dropped", lambda: "Dropped" in self.item(saga_id), seconds=60)
            self.keep_saga("long_timeline", saga_id)

    def parked(self):
        """The step's row is of a later version, which this one leaves as it is: it fails at every try."""
        place = bucket_of("inventory")
        with self.paused("azure_participant"):
            sagas = [self.a_saga() for _ in range(2)]
            for saga_id in sagas:
                self.azure.put_row(place, f"step|{saga_id}|1", {"Format": "99", "Format@odata.type": "Edm.Int64"})
        dead_letters = [self.dead_letter_of(saga_id, "poison") for saga_id in sagas]
        for saga_id in sagas:
            wait_for("the flag `parked`", lambda saga_id=saga_id: self.saga(saga_id)["flags"]["parked"])
        self.keep_saga("parked", sagas[0])
        self.keep("messages/azure_poison_queue.txt", self.peek(self.e["names"]["azure_poison_queue"])[0])
        for saga_id in sagas:
            self.azure.delete_row(place, f"step|{saga_id}|1")
        for act, saga_id, dead_letter in zip(("replay", "discard"), sagas, dead_letters):
            became = {"replay": "replayed", "discard": "discarded"}[act]
            self.assertEqual(self.carry_out(act, dead_letter["id"]), {dead_letter["id"]: became})
            self.ended_soon(saga_id, "COMPLETED")
            self.keep_saga(became, saga_id)

    # --- events on their way ---

    def on_their_way(self):
        with Answering(self.e["aws"], "PutEvents") as seen, Rerouted(self, seen.url, "outbox-poller", "event-ingress"):
            name, url, arn = self.new_queue("taken")
            for rule in ("saga-to-aws", "saga-to-azure"):
                self.rule("PutTargets", Rule=rule, Targets=[{"Id": name, "Arn": arn}])
            done, undone = self.a_saga(), self.a_saga("15000")
            self.ended_soon(done, "COMPLETED")
            self.ended_soon(undone, CANCELLED)
            for rule in ("saga-to-aws", "saga-to-azure"):
                self.rule("RemoveTargets", Rule=rule, Ids=[name])
        entries = [entry for body in seen.bodies for entry in json.loads(body)["Entries"]]
        for verb, saga_id in (("advance", done), ("complete", done), ("compensate", undone)):
            entry = next(entry for entry in entries if (detail := json.loads(entry["Detail"]))["sagaid"] == saga_id and detail["sagaverb"] == verb)
            self.keep(f"messages/event_bridge_entry_{verb}", entry)
        bodies: list[str] = []
        while found := self.sqs("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in found:
                self.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                bodies.append(message["Body"])
        for verb, saga_id in (("complete", done), ("compensate", undone)):
            self.keep(f"messages/events_queue_{verb}", next(body for body in bodies if (detail := json.loads(body)["detail"]).get("sagaid") == saga_id and detail["sagaverb"] == verb))
        queue = self.e["names"]["azure_queue"]
        with self.paused("azure_participant"):
            saga_id = self.a_saga()
            text = wait_for("the message on Azure's queue", lambda: next((t for t in self.peek(queue) if saga_id in base64.b64decode(t).decode()), None))
            self.keep("messages/azure_queue.txt", text)
        self.ended_soon(saga_id, "COMPLETED")

    def rule(self, action: str, **body) -> dict:
        return self.events(action, EventBusName=self.e["names"]["bus"], **body)

    def peek(self, queue: str) -> list[str]:
        answer = self.azure._queue("GET", f"{queue}/messages", query="peekonly=true&numofmessages=32")
        return [message.findtext("MessageText") or "" for message in ElementTree.fromstring(answer)]

    # --- outboxes ---

    def outbox_item(self, saga_id: str, *attributes: str) -> dict | None:
        found = [item for item in self.dynamo.outbox_items() if item.get("SagaId", {}).get("S") == saga_id and all(name in item for name in attributes)]
        return found[0] if found else None

    def aws_outbox(self):
        with Answering(self.e["aws"], "PutEvents") as bus, Rerouted(self, bus.url, "outbox-poller"):
            bus.own, bus.late = (500, {"__type": "InternalException", "message": "planted"}), 1.0
            saga_id = self.a_saga()
            self.keep("outbox/pending", wait_for("the row", lambda: self.outbox_item(saga_id), pause=0.02))

            def lease():
                return next((item for item in self.dynamo.outbox_items() if item["EventId"]["S"] == "!lease"), None)
            at = int(time.time() * 1000) - 60_000
            other = str(uuid.uuid4())
            event = {"specversion": "1.0", "id": f"{at:013}-{other}-advance1", "source": "saga.orchestrator", "type": "PaymentReserved", "sagatarget": "nobody", "data": {}}
            self.dynamo.put_outbox_rows([{"Shard": {"S": "03"}, "EventId": {"S": event["id"]}, "SagaId": {"S": other}, "Type": {"S": event["type"]},
                                          "Body": {"S": json.dumps(event)}, "At": {"N": str(at)}, "Queued": {"N": str(at)}}])
            threading.Thread(target=lambda: self.invoke("outbox-poller"), daemon=True).start()
            self.keep("outbox/lease", wait_for("the lease", lease, pause=0.02))

            def tried():
                self.invoke("outbox-poller")
                return self.outbox_item(saga_id, "Attempts")
            self.keep("outbox/tried", wait_for("a failed try", tried))
            bus.late, bus.own = 0.0, None
            self.ended_soon(saga_id, "COMPLETED")
            refusal = {"ErrorCode": "MalformedDetail", "ErrorMessage": "planted"}
            bus.own = (200, {"FailedEntryCount": 1, "Entries": [refusal]})
            saga_id = self.a_saga()
            self.keep("outbox/dead", wait_for("the dead row", lambda: self.outbox_item(saga_id, "DeadAt")))
            wait_for("the flag `parked`", lambda: self.saga(saga_id)["flags"]["parked"])
            self.keep_saga("parked_by_the_outbox", saga_id)
        dead_letter = self.dead_letter_of(saga_id, "outbox")
        memory = wait_for("what the watch remembers", lambda: next((item for item in self.dynamo.outbox_items() if item["Shard"]["S"] == "watched"), None) or self.watch())
        self.keep("outbox/watched", memory)
        self.carry_out("replay", dead_letter["id"])
        self.ended_soon(saga_id, "COMPLETED")

    def watch(self):
        self.invoke("dlq-replayer")

    def azure_row(self, prefix: str, *columns: str, **values) -> dict | None:
        fits = [row for row in self.azure.rows(prefix) if all(name in row for name in columns) and all(row.get(name) == value for name, value in values.items())]
        return fits[0] if fits else None

    def azure_outbox(self):
        topic = Answering(self.e["eventgrid"]["topic"].removesuffix("/api/events"), "SNS.Publish")
        topic.only = b'"InventoryReserved"'  # an alert that cannot be sent keeps the row from becoming a dead one
        topic.own, topic.late = (500, {"error": {"code": "InternalServerError", "message": "planted"}}), 1.5

        def rerouted(config: dict):
            config["functions"]["app_settings"]["EVENTGRID_TOPIC_ENDPOINT"] = f"{topic.url}/api/events"
        with topic, Reconfigured(self, rerouted):
            saga_id = self.a_saga()
            self.keep("azure_rows/outbox_pending", wait_for("the row", lambda: self.azure_row("outbox|", Saga=saga_id), pause=0.02))
            self.keep("azure_rows/outbox_tried", wait_for("a failed try", lambda: self.azure_row("outbox|", "Attempts", Saga=saga_id), seconds=300))
            self.keep("azure_rows/lease", wait_for("the lease", lambda: self.azure_row("lease"), seconds=300, pause=0.02))
            topic.late, topic.own = 0.0, (400, {"error": {"code": "BadRequest", "message": "planted"}})
            self.keep("azure_rows/dead", wait_for("the dead row", lambda: self.azure_row("dead|", Saga=saga_id), seconds=300))
        self.carry_out("replay", self.dead_letter_of(saga_id, "azure-outbox")["id"])
        self.ended_soon(saga_id, "COMPLETED")

    def event_grid(self):
        """What the webhook gets, and the blob of an event that it refused for good."""
        webhook = Answering(self.e["aws"], "SNS.Publish")
        webhook.own = (400, {})

        def rerouted(config: dict):
            subscription = next(one for one in config["subscriptions"] if "webhook" in one)
            subscription["webhook"]["url"] = subscription["webhook"]["url"].replace(webhook.upstream, webhook.url)
        with webhook, Reconfigured(self, rerouted):
            saga_id = self.a_saga()
            dead_letter = self.dead_letter_of(saga_id, "event-grid")
        self.keep("messages/webhook", next(body.decode() for body in webhook.bodies if saga_id.encode() in body))
        name, blob = next((name, blob) for name, blob in self.blobs() if saga_id in blob)
        self.keep("messages/event_grid_dead_letter", blob)
        say(f"  (the blob's name is {name})")
        self.carry_out("replay", dead_letter["id"])
        self.ended_soon(saga_id, "COMPLETED")

    def blobs(self):
        container = self.e["names"]["dead_letter_container"]
        listing = self.blob(container, "comp=list&restype=container")
        for found in ElementTree.fromstring(listing.lstrip(b"\xef\xbb\xbf")).iter("Blob"):
            name = found.findtext("Name") or ""
            yield name, self.blob(f"{container}/{quote(name)}").decode()

    def blob(self, path: str, query: str = "") -> bytes:
        from email.utils import formatdate
        url, date = f"{self.e['azurite']['blob']}/{path}", formatdate(usegmt=True)
        resource = f"/{ACCOUNT}/" + url.split("/", 3)[3] + "".join(f"\n{part.replace('=', ':')}" for part in sorted(query.split("&")) if part)
        text = "GET" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:2021-08-06\n{resource}"
        headers = {"x-ms-date": date, "x-ms-version": "2021-08-06", "Authorization": f"SharedKey {ACCOUNT}:{sign(text)}"}
        status, answer = http.request("GET", url + (f"?{query}" if query else ""), headers=headers, seconds=60)
        if status != 200:
            raise RuntimeError(f"{path}: {status}: {answer[:300]!r}")
        return answer

    # --- what nobody understands, and what failed at every try ---

    def quarantines(self):
        saga_id, queue = str(uuid.uuid4()), self.e["names"]["azure_quarantine_queue"]
        unknown = {
            "specversion": "1.0", "id": uuid.uuid4().hex, "source": "saga.participant.azure", "type": "InventoryReserved", "sagaid": saga_id,
            "sagadef": "payment", "sagaver": 7, "sagastep": 2, "sagaverb": "complete", "sagatarget": "aws", "sagaorigin": "azure",
            "sagahop": 2, "data": {},
        }
        self.assertEqual(self.deliver(unknown)[0], 200)
        self.keep("messages/quarantine_event_ingress", self.quarantined(saga_id))
        self.send("events_queue", json.dumps({"detail-type": "x", "detail": {**unknown, "sagaver": 1}}))
        self.keep("messages/quarantine_saga_events", self.quarantined(saga_id))
        marker = uuid.uuid4().hex
        self.assertEqual(self.deliver(f"{marker} no event".encode())[0], 200)
        self.keep("messages/quarantine_no_event", self.quarantined(marker))
        self.assertEqual(self.deliver(marker.encode() + b" \xff\x00")[0], 200)
        self.keep("messages/quarantine_no_text", self.quarantined(marker))
        self.assertEqual(self.deliver((marker + "x" * 400_000).encode())[0], 200)
        large = self.quarantined(marker)
        self.keep("messages/quarantine_large", self.shortened(large))
        parts = json.loads(large)
        if isinstance(parts.get("part"), dict) or "part" in parts or "parts" in parts:
            self.keep("messages/quarantine_large_2", self.shortened(self.quarantined("x" * 1_000)))
        to_azure = {**unknown, "sagatarget": "azure", "sagaorigin": "aws", "sagaver": 9}
        self.azure.put_message(self.e["names"]["azure_queue"], base64.b64encode(json.dumps(to_azure).encode()).decode())
        text = wait_for("the message in Azure's quarantine", lambda: next((t for t in self.peek(queue) if saga_id in base64.b64decode(t).decode()), None))
        self.keep("messages/azure_quarantine.txt", text)

    def shortened(self, message: str) -> str:
        """A body of which the middle is left out: its length is said beside it."""
        return re.sub(r"x{1000,}", "x" * 1_000, message)

    def quarantined(self, marker: str) -> str:
        url = self.queue_url("quarantine_queue")

        def look():
            for message in self.sqs("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
                self.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                if marker in message["Body"] or base64.b64encode(marker.encode())[:40].decode() in message["Body"]:
                    return message["Body"]
            return None
        return wait_for("the message in the quarantine", look)

    def dead_letter_queue(self):
        """Every receive fails, and SQS moves the message."""
        url, dead = self.queue_url("events_queue"), self.queue_url("events_dlq")
        attributes = self.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        self.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "2"})
        try:
            with Failing(self.e["aws"], "TransactWriteItems") as proxy, Rerouted(self, proxy.url, "saga-events"):
                saga_id = self.a_saga()

                def look():
                    asked = {"QueueUrl": dead, "MaxNumberOfMessages": 10, "VisibilityTimeout": 1, "AttributeNames": ["All"], "MessageAttributeNames": ["All"]}
                    return next((one for one in self.sqs("ReceiveMessage", **asked).get("Messages", []) if saga_id in one["Body"]), None)
                message = wait_for("the message in the dead-letter queue", look)
        finally:
            self.sqs("SetQueueAttributes", QueueUrl=url, Attributes=attributes)
        message["ReceiptHandle"] = "a-receipt"
        self.keep("messages/events_dlq", message)
        self.carry_out("replay", self.dead_letter_of(saga_id, "events")["id"])
        self.ended_soon(saga_id, "COMPLETED")

    def discarded(self):
        found = [item for item in self.dynamo.outbox_items() if item["Shard"]["S"] == "discarded"]
        self.keep("outbox/discarded", found[0])

    def rows(self):
        done, undone = self.a_saga(definition="order", destination="DE"), self.a_saga(definition="order", destination="ATLANTIS")
        self.ended_soon(done, "COMPLETED")
        self.ended_soon(undone, CANCELLED)
        for name, row in {
            "step_done": self.azure_row(f"step|{done}|1"),
            "step_done_later": self.azure_row(f"step|{done}|2"),
            "step_refused": self.azure_row("step|", State="REFUSED"),
            "step_undone": self.azure_row(f"step|{undone}|1"),
            "entity_stock": self.azure_row("entity|stock|keyboard"),
            "entity_other": next((row for row in self.azure.rows("entity|") if not row["RowKey"].startswith("entity|stock|")), None),
            "definition": self.azure_row("definition"),
        }.items():
            self.keep(f"azure_rows/{name}", row) if row else say(f"  no row: {name}")
        definitions = [item for item in self.dynamo.items("sagas_table") if item["SagaId"]["S"].startswith("definition")]
        for item in definitions:
            self.keep("sagas/" + re.sub(r"\W+", "_", item["SagaId"]["S"]), {"item": item})
        other = next((item for item in self.dynamo.items("payments_table") if done in item["TransactionId"]["S"] and item["TransactionId"]["S"] != done), None)
        self.keep("entities/other", other) if other else say("  no other entity on AWS")


def main() -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where the files are written")
    parser.add_argument("--only", nargs="+", default=[], help="only these parts, by the names that are printed, with `_` for a blank")
    arguments = parser.parse_args()
    Recorder().into(arguments.folder, arguments.only)
    return 0


if __name__ == "__main__":
    sys.exit(main())
