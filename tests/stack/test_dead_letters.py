"""Dead letters with real causes: each is listed where it lies, with its saga and the reason; once the cause is gone, a
replay ends its saga right; and nothing is left anywhere."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import uuid
from email.utils import formatdate
from pathlib import Path
from urllib.parse import quote

from .proxy import Proxy, Rerouted
from .support import ROOT, StackTest, http, order, wait_for

from local_stack.storage import ACCOUNT, bucket_of, sign  # noqa: E402 (support says where it is)

DLQ = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / "release" / "dlq"


class DeadLetters(StackTest):
    """The replayer as an operator has it: the terminal command."""

    def dlq(self, *arguments: str, expect: int = 0) -> list[dict]:
        """What the replayer answered, request by request."""
        done = subprocess.run([DLQ, "--json", "--endpoint", self.e["dead_letters"], *arguments], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def letters(self, *filters: str) -> list[dict]:
        return [letter for page in self.dlq("list", *filters) for letter in page["letters"]]

    def letter_of(self, saga_id: str, source: str, seconds: float = 120) -> dict:
        """The one dead letter of a saga in a source."""
        def look():
            found = self.letters("--saga", saga_id, "--source", source)
            return found[0] if found else None
        return wait_for(f"a letter of {saga_id} in {source}", look, seconds)

    def replay(self, letter: dict) -> dict:
        dry = self.dlq("replay", letter["id"])[0]
        self.assertTrue(dry["dry_run"])
        self.assertEqual(dry["items"][0]["outcome"], "tried", dry)
        report = self.dlq("replay", letter["id"], "--confirm", "--why", "the cause is gone", "--by", "the tests")[0]
        self.assertEqual((report["done"], report["items"][0]["outcome"]), (1, "replayed"), report)
        return report

    def assert_replay_is_recorded(self, saga_id: str, verb: str = "replay"):
        lines = [line for line in self.saga(saga_id)["timeline"] if line["verb"] == verb]
        self.assertTrue(lines and "the tests" in lines[0]["note"], lines)

    def assert_gone(self, letter: dict):
        self.dlq("show", letter["id"], expect=1)
        self.assertEqual(self.letters("--saga", letter["saga_id"]), [])

    # --- a table of Azure, past our own code ---

    def table(self, method: str, partition: str, row: str, entity: dict | None = None) -> None:
        path = f"{self.e['names']['azure_table']}(PartitionKey='{partition}',RowKey='{quote(row)}')"
        url, date = f"{self.e['azurite']['table']}/{path}", formatdate(usegmt=True)
        text = f"{date}\n/{ACCOUNT}/" + url.split("/", 3)[3]
        headers = {
            "x-ms-date": date, "x-ms-version": "2019-02-02", "Authorization": f"SharedKeyLite {ACCOUNT}:{sign(text)}",
            "Content-Type": "application/json", "Accept": "application/json;odata=nometadata", "If-Match": "*",
        }
        if method == "PUT":
            del headers["If-Match"]
        status, answer = http.request(method, url, json.dumps(entity).encode() if entity else None, headers)
        self.assertIn(status, (200, 201, 204), answer)

    def started(self) -> dict:
        return self.start(order(items=[{"sku": "keyboard", "quantity": 1}]))


class Failing(Proxy):
    """Answers some actions with an error, as long as it is told to."""

    def __init__(self, upstream: str, *actions: str):
        super().__init__(upstream)
        self.actions = actions

    def answer(self, target: str, body: bytes):
        if target.endswith(self.actions):
            return 500, {"__type": "InternalServerError", "message": "planted"}
        return None


class Malformed(Proxy):
    """A bus that takes no event for one."""

    def answer(self, target: str, body: bytes):
        if not target.endswith("PutEvents"):
            return None
        refusal = {"ErrorCode": "MalformedDetail", "ErrorMessage": "planted"}
        entries = json.loads(body)["Entries"]
        return 200, {"FailedEntryCount": len(entries), "Entries": [refusal] * len(entries)}


class Causes(DeadLetters):
    def test_a_participant_that_fails_five_times_and_the_poison_queue(self):
        """The step's row is of a later version, which this one leaves as it is: it fails at every try."""
        with self.paused("azure_participant"):
            saga = self.started()
            row = f"step|{saga['saga_id']}|1"
            later = {"PartitionKey": bucket_of("inventory"), "RowKey": row, "Format": "99", "Format@odata.type": "Edm.Int64"}
            self.table("PUT", bucket_of("inventory"), row, later)
        letter = self.letter_of(saga["saga_id"], "poison")
        self.assertEqual((letter["type"], letter["verb"], letter["step"], letter["attempts"]), ("PaymentReserved", "advance", 1, 5))
        self.table("DELETE", bucket_of("inventory"), row)
        self.replay(letter)
        self.ended(saga["saga_id"], "COMPLETED")
        self.assert_replay_is_recorded(saga["saga_id"])
        self.clear(saga["saga_id"])
        self.assert_gone(letter)

    def test_a_webhook_that_refuses_and_the_dead_letter_blobs(self):
        """The ingress takes tokens for another audience only: Event Grid does not try a 401 again."""
        ingress = Rerouted(self, "", "event-ingress")
        before = ingress.environment("event-ingress")
        try:
            ingress.environment("event-ingress", {**before, "OIDC_AUDIENCE": "api://somebody-else"})
            saga = self.started()
            letter = self.letter_of(saga["saga_id"], "event-grid")
        finally:
            ingress.environment("event-ingress", before)
        self.assertEqual(letter["type"], "InventoryReserved")
        self.assertIn("TO-AWS-INGRESS", letter["reason"])
        shown = self.dlq("show", letter["id"])[0]
        self.assertNotIn("deadletterreason", shown["body"])
        self.assertEqual(shown["replay"]["to"], "Event Grid topic")
        self.replay(letter)
        self.ended(saga["saga_id"], "COMPLETED")
        self.assert_replay_is_recorded(saga["saga_id"])
        self.clear(saga["saga_id"])
        self.assert_gone(letter)

    def test_a_bus_that_refuses_an_event_and_the_dead_rows(self):
        with Malformed(self.e["aws"]) as bus, Rerouted(self, bus.url, "outbox-poller"):
            saga = self.started()
            letter = self.letter_of(saga["saga_id"], "outbox")
            parked = wait_for("the flag `parked`", lambda: self.saga(saga["saga_id"])["flags"]["parked"], 20)
        self.assertEqual((letter["type"], letter["verb"], letter["step"]), ("PaymentReserved", "advance", 1))
        self.assertIn("MalformedDetail", letter["reason"])
        self.assertIn("could not be published", parked)
        self.replay(letter)
        ended = self.ended(saga["saga_id"], "COMPLETED")
        self.assertIsNone(ended["flags"]["parked"])
        self.assert_replay_is_recorded(saga["saga_id"])
        self.clear(saga["saga_id"])
        self.assert_gone(letter)

    def test_saga_events_that_fails_and_its_dead_letter_queue(self):
        url = self.queue_url("events_queue")
        attributes = self.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["VisibilityTimeout"])["Attributes"]
        # Each try in seconds, not in minutes.
        self.sqs("SetQueueAttributes", QueueUrl=url, Attributes={"VisibilityTimeout": "2"})
        try:
            with Failing(self.e["aws"], "TransactWriteItems") as proxy, Rerouted(self, proxy.url, "saga-events"):
                saga = self.started()
                letter = self.letter_of(saga["saga_id"], "events", 180)
        finally:
            self.sqs("SetQueueAttributes", QueueUrl=url, Attributes=attributes)
        self.assertEqual((letter["type"], letter["verb"]), ("InventoryReserved", "complete"))
        self.assertIn("saga-events failed", letter["reason"])
        self.replay(letter)
        self.ended(saga["saga_id"], "COMPLETED")
        self.assert_replay_is_recorded(saga["saga_id"])
        self.clear(saga["saga_id"])
        self.assert_gone(letter)

    def clear(self, saga_id: str):
        """What the sweeper sent again meanwhile may have fallen out, too: replaying it all changes nothing."""
        before = self.saga(saga_id)["status"]
        for _ in range(3):
            if not self.letters("--saga", saga_id):
                break
            self.dlq("replay", "--saga", saga_id, "--confirm", "--why", "all of it", "--by", "the tests")
        self.assertEqual(self.saga(saga_id)["status"], before)

    def test_what_nobody_understands_on_every_entrance(self):
        marker = uuid.uuid4().hex
        saga_id = str(uuid.uuid4())
        unknown = {
            "specversion": "1.0", "id": marker, "source": "saga.participant.azure", "type": "InventoryReserved", "sagaid": saga_id,
            "sagadef": "payment", "sagaver": 7, "sagastep": 2, "sagaverb": "complete", "sagatarget": "aws", "sagaorigin": "azure",
            "sagahop": 2, "data": {},
        }
        self.assertEqual(self.deliver(unknown)[0], 200)
        self.send("events_queue", json.dumps({"detail-type": "x", "detail": {**unknown, "sagaver": 1}}))
        to_azure = {**unknown, "sagatarget": "azure", "sagaorigin": "aws", "sagaver": 9}
        self.azure.put_message(self.e["names"]["azure_queue"], base64.b64encode(json.dumps(to_azure).encode()).decode())

        def look():
            found = self.letters("--saga", saga_id)
            return found if len(found) == 3 else None
        found = wait_for("three quarantined events", look, 60)
        reasons = {letter["source"] + letter["reason"].split(":")[0]: letter["reason"] for letter in found}
        self.assertIn("definition payment version 7 is not known here", reasons["quarantineevent-ingress"])
        self.assertIn("there is no saga", reasons["quarantinesaga-events"])
        self.assertIn("azure-quarantineazure-participant", reasons)
        # Replayed, they would be here again at once: they are left, and can be discarded.
        report = self.dlq("replay", "--saga", saga_id, "--confirm", "--why", "a try", "--by", "the tests")[0]
        self.assertEqual((report["done"], report["left"]), (0, 3), report)
        report = self.dlq("discard", "--saga", saga_id, "--confirm", "--why", "nonsense", "--by", "the tests")[0]
        self.assertEqual(report["done"], 3, report)
        self.assertEqual(self.letters("--saga", saga_id), [])
        archived = self.dynamo._call("Query", {
            "TableName": self.e["names"]["outbox_table"], "KeyConditionExpression": "#s = :s",
            "ExpressionAttributeNames": {"#s": "Shard"}, "ExpressionAttributeValues": {":s": {"S": "discarded"}},
        })["Items"]
        ours = [item for item in archived if item.get("SagaId", {}).get("S") == saga_id]
        self.assertEqual({json.loads(item["Body"]["S"])["id"] for item in ours}, {marker})
        self.assertEqual({item["By"]["S"] for item in ours}, {"the tests"})


class Others(DeadLetters):
    """What the emulators do not do themselves, written as the clouds document it."""

    def ended_saga(self) -> dict:
        return self.ended(self.start(order())["saga_id"], "COMPLETED")

    def event_to_azure(self, saga: dict) -> dict:
        line = saga["timeline"][0]
        return {
            "specversion": "1.0", "id": line["event_id"], "source": "saga.orchestrator", "type": "PaymentReserved",
            "subject": f"saga/{saga['saga_id']}/advance", "time": "2026-11-21T02:00:00.123Z", "sagaid": saga["saga_id"], "sagadef": "payment",
            "sagaver": 1, "sagastep": 1, "sagaverb": "advance", "sagatarget": "azure", "sagaorigin": "aws", "sagahop": 1,
            "data": {"saga_id": saga["saga_id"], **saga["input"]},
        }

    def test_a_message_of_the_destinations_queue_with_eventbridges_attributes(self):
        saga = self.ended_saga()
        event = self.event_to_azure(saga)
        body = {
            "version": "0", "id": str(uuid.uuid4()), "detail-type": event["type"], "source": event["source"], "account": "123456789012",
            "time": "2026-11-21T02:00:00Z", "region": "us-east-1", "resources": [], "detail": event,
        }
        said = {"ERROR_CODE": "SDK_CLIENT_ERROR", "ERROR_MESSAGE": "503 Service Unavailable", "RETRY_ATTEMPTS": "185",
                "EXHAUSTED_RETRY_CONDITION": "MaximumEventAgeInSeconds", "TARGET_ARN": "arn:aws:events:us-east-1:123456789012:api-destination/saga-to-azure/1"}
        attributes = {name: {"DataType": "String", "StringValue": value} for name, value in said.items()}
        self.sqs("SendMessage", QueueUrl=self.queue_url("destination_dlq"), MessageBody=json.dumps(body), MessageAttributes=attributes)
        letter = self.letter_of(saga["saga_id"], "destination", 20)
        self.assertEqual(letter["attempts"], 186)
        self.assertIn("SDK_CLIENT_ERROR: 503 Service Unavailable (MaximumEventAgeInSeconds)", letter["reason"])
        dry = self.dlq("replay", letter["id"])[0]
        self.assertEqual(dry["items"][0]["text"], "would be ignored: saga is COMPLETED")
        report = self.dlq("replay", letter["id"], "--confirm", "--why", "to clear it", "--by", "the tests")[0]
        self.assertEqual(report["done"], 1)
        self.assert_gone(letter)
        self.assertEqual(self.saga(saga["saga_id"])["status"], "COMPLETED")

    def test_dead_rows_of_both_outboxes_become_pending_and_are_published(self):
        saga = self.ended_saga()
        event, marker = self.event_to_azure(saga), uuid.uuid4().hex[:8]
        dead = {
            "Shard": {"S": "dead"}, "EventId": {"S": f"{event['id']}-{marker}"}, "SagaId": {"S": saga["saga_id"]}, "Type": {"S": event["type"]},
            "Body": {"S": json.dumps(event)}, "At": {"N": "1795226400123"}, "From": {"S": "07"}, "Attempts": {"N": "9"},
            "Reason": {"S": "refused by the bus"}, "DeadAt": {"N": "1795226500000"}, "ExpiresAt": {"N": "1803002500"},
        }
        self.dynamo._call("PutItem", {"TableName": self.e["names"]["outbox_table"], "Item": dead})
        answer = {**event, "source": "saga.participant.azure", "type": "InventoryReserved", "sagastep": 2, "sagaverb": "complete",
                  "sagatarget": "aws", "sagaorigin": "azure", "sagahop": 2, "id": f"1795226400123-{saga['saga_id']}-{marker}"}
        row = {"PartitionKey": "05", "RowKey": f"dead|{answer['id']}", "Saga": saga["saga_id"], "Type": answer["type"],
               "Body": json.dumps(answer), "Reason": "refused by Event Grid"}
        for name, value in (("Format", 1), ("At", 1795226400123), ("Attempts", 9), ("DeadAt", 1795226500000)):
            row |= {name: str(value), f"{name}@odata.type": "Edm.Int64"}
        self.table("PUT", "05", row["RowKey"], row)
        letters = {source: self.letter_of(saga["saga_id"], source, 20) for source in ("outbox", "azure-outbox")}
        self.assertEqual({letter["reason"] for letter in letters.values()}, {"refused by the bus", "refused by Event Grid"})
        ids = [letter["id"] for letter in letters.values()]
        report = self.dlq("replay", *ids, "--confirm", "--why", "mended", "--by", "the tests")[0]
        self.assertEqual((report["done"], report["failed"]), (2, 0), report)
        self.assert_gone(letters["outbox"])
        # Both came again; they changed nothing but the timeline.
        wait_for("the answer in the timeline", lambda: any(line["event_id"] == answer["id"] for line in self.saga(saga["saga_id"])["timeline"]), 150)
        self.assertEqual(self.saga(saga["saga_id"])["status"], "COMPLETED")

    def test_each_arrival_is_told_with_the_command_to_look_at_it(self):
        saga, alerts = self.ended_saga(), self.subscribe_to_alerts()
        self.send("events_dlq", json.dumps({"detail-type": "x", "detail": {**self.event_to_azure(saga), "id": uuid.uuid4().hex}}))

        def told():
            return next((text for text in map(json.dumps, self.queue_bodies(alerts)) if saga["saga_id"] in text), None)
        text = wait_for("the alert", told, 150)
        self.assertIn("list --source events", text)
        self.dlq("discard", "--saga", saga["saga_id"], "--confirm", "--why", "a test", "--by", "the tests")


class WrongArguments(DeadLetters):
    def test_wrong_arguments_and_unknown_ids(self):
        self.dlq("list", "--source", "nowhere", expect=2)
        self.dlq("list", "--since", "yesterday", expect=2)
        self.dlq("replay", expect=2)
        self.dlq("replay", "--all", "--confirm", expect=2)
        self.dlq("show", "events.1795226400123-0", expect=1)
        report = self.dlq("replay", "events.1795226400123-0", "poison.nothing", expect=1)[0]
        self.assertEqual({item["outcome"] for item in report["items"]}, {"unknown"})
        status, answer = http.request("POST", self.e["dead_letters"] + "/dead-letters/replay", b'{"ids":["x"]}', {"Content-Type": "application/json"}, seconds=30)
        self.assertEqual((status, json.loads(answer)["code"]), (400, "invalid-request"))
        done = subprocess.run([DLQ, "--endpoint", "http://127.0.0.1:1", "list"], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 3, done.stderr)
