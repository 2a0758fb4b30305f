"""Dead letters with real causes: each is listed where it lies, with its saga and the reason; once the cause is gone, a
replay ends its saga right; and nothing is left anywhere."""

from __future__ import annotations

import base64
import json
import subprocess
import uuid

from .dead_letters import DLQ, DeadLetters
from .proxy import Proxy, Rerouted
from .standin import Reconfigured
from .support import bucket_of, http, wait_for


class Malformed(Proxy):
    """A bus that takes no event for one."""

    def answer(self, target: str, body: bytes):
        if not target.endswith("PutEvents"):
            return None
        refusal = {"ErrorCode": "MalformedDetail", "ErrorMessage": "planted"}
        entries = json.loads(body)["Entries"]
        return 200, {"FailedEntryCount": len(entries), "Entries": [refusal] * len(entries)}


class Refusing(Proxy):
    """A webhook that shakes hands, and answers every event with the same status."""

    def __init__(self, upstream: str, status: int):
        super().__init__(upstream)
        self.status = status

    def answer(self, target: str, body: bytes):
        return self.status, {}


def to_ingress(config: dict, webhook: Proxy) -> dict:
    """The subscription to the ingress, past this webhook."""
    subscription = next(one for one in config["subscriptions"] if "webhook" in one)
    url = subscription["webhook"]["url"]
    subscription["webhook"]["url"] = url.replace(webhook.upstream, webhook.url)
    return subscription


class Causes(DeadLetters):
    def test_a_participant_that_fails_five_times_and_the_poison_queue(self):
        """The step's row is of a later version, which this one leaves as it is: it fails at every try."""
        with self.paused("azure_participant"):
            saga = self.started()
            row = f"step|{saga['saga_id']}|1"
            later = {"PartitionKey": bucket_of("inventory"), "RowKey": row, "Format": "99", "Format@odata.type": "Edm.Int64"}
            self.azure.put_row(bucket_of("inventory"), row, later)
        dead_letter = self.dead_letter_of(saga["saga_id"], "poison")
        self.assertEqual((dead_letter["type"], dead_letter["verb"], dead_letter["step"], dead_letter["attempts"]), ("PaymentReserved", "advance", 1, 5))
        self.azure.delete_row(bucket_of("inventory"), row)
        self.replay(dead_letter)
        self.ended(saga["saga_id"], "COMPLETED")
        self.assert_replay_is_recorded(saga["saga_id"])
        self.clear(saga["saga_id"])
        self.assert_gone(dead_letter)

    def test_a_webhook_that_refuses_a_token_and_the_dead_letter_blobs(self):
        """The ingress takes tokens for another audience only: Event Grid does not try a 401 again."""
        ingress = Rerouted(self, "", "event-ingress")
        before = ingress.environment("event-ingress")
        try:
            ingress.environment("event-ingress", {**before, "OIDC_AUDIENCE": "api://somebody-else"})
            saga = self.started()
            dead_letter = self.dead_letter_of(saga["saga_id"], "event-grid")
        finally:
            ingress.environment("event-ingress", before)
        self.assert_lay_before_the_ingress(saga, dead_letter, "Unauthorized")

    def test_a_webhook_that_answers_400_and_the_dead_letter_blobs(self):
        """Event Grid does not try a 400 again."""
        with Refusing(self.e["aws"], 400) as webhook, Reconfigured(self, lambda config: to_ingress(config, webhook)):
            saga = self.started()
            dead_letter = self.dead_letter_of(saga["saga_id"], "event-grid")
        self.assert_lay_before_the_ingress(saga, dead_letter, "BadRequest")

    def test_a_webhook_that_answers_503_until_expiry_and_the_dead_letter_blobs(self):
        """The time to live is eighteen seconds, at the stand-in's scale: five attempts, and three where each is slow."""
        def short(config: dict):
            to_ingress(config, webhook)["ttl_minutes"] = 30
        with Refusing(self.e["aws"], 503) as webhook, Reconfigured(self, short):
            saga = self.started()
            dead_letter = self.dead_letter_of(saga["saga_id"], "event-grid")
        self.assertGreater(dead_letter["attempts"], 2)
        self.assert_lay_before_the_ingress(saga, dead_letter, "TimeToLiveExceeded")

    def assert_lay_before_the_ingress(self, saga: dict, dead_letter: dict, reason: str):
        self.assertEqual(dead_letter["type"], "InventoryReserved")
        self.assertIn("TO-AWS-INGRESS", dead_letter["reason"])
        self.assertIn(reason, dead_letter["reason"])
        shown = self.look("show", dead_letter["id"])[0]
        self.assertNotIn("deadletterreason", shown["body"])
        self.assertEqual(shown["replay"]["to"], "Event Grid topic")
        self.replay(dead_letter)
        self.ended(saga["saga_id"], "COMPLETED")
        self.assert_replay_is_recorded(saga["saga_id"])
        self.clear(saga["saga_id"])
        self.assert_gone(dead_letter)

    def test_a_bus_that_refuses_an_event_and_the_dead_rows(self):
        with Malformed(self.e["aws"]) as bus, Rerouted(self, bus.url, "outbox-poller"):
            saga = self.started()
            dead_letter = self.dead_letter_of(saga["saga_id"], "outbox")
            parked = wait_for("the flag `parked`", lambda: self.saga(saga["saga_id"])["flags"]["parked"])
        self.assertEqual((dead_letter["type"], dead_letter["verb"], dead_letter["step"]), ("PaymentReserved", "advance", 1))
        self.assertIn("MalformedDetail", dead_letter["reason"])
        self.assertIn("could not be published", parked)
        self.replay(dead_letter)
        ended = self.ended(saga["saga_id"], "COMPLETED")
        self.assertIsNone(ended["flags"]["parked"])
        self.assert_replay_is_recorded(saga["saga_id"])
        self.clear(saga["saga_id"])
        self.assert_gone(dead_letter)

    def test_saga_events_that_fails_and_its_dead_letter_queue(self):
        self.check_the_redrive_of_saga_events()

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
            found = {dead_letter["source"] + dead_letter["reason"].split(":")[0]: dead_letter for dead_letter in self.dead_letters("--saga", saga_id)}
            return found if len(found) == 3 else None
        found = wait_for("three quarantined events", look)
        reasons = {entrance: dead_letter["reason"] for entrance, dead_letter in found.items()}
        self.assertIn("definition payment version 7 is not known here", reasons["quarantineevent-ingress"])
        self.assertIn("there is no saga", reasons["quarantinesaga-events"])
        self.assertIn("azure-quarantineazure-participant", reasons)
        # Replayed, they would be here again at once: they are left, and can be discarded.
        ids = [dead_letter["id"] for dead_letter in found.values()]
        self.assertEqual(self.carry_out("replay", *ids), dict.fromkeys(ids, "left"))
        self.assertEqual(self.carry_out("discard", *ids), dict.fromkeys(ids, "discarded"))
        left = {dead_letter["id"] for dead_letter in self.dead_letters("--saga", saga_id)}
        self.assertEqual(left & set(ids), set())
        archived = [item for item in self.dynamo.outbox_items() if item["Shard"]["S"] == "discarded"]
        ours = [item for item in archived if item.get("SagaId", {}).get("S") == saga_id]
        # As it came to each entrance: saga-events has it with what the bus puts around it.
        bodies = [json.loads(item["Body"]["S"]) for item in ours]
        self.assertEqual({body.get("detail", body)["id"] for body in bodies}, {marker})
        self.assertEqual({item["By"]["S"] for item in ours}, {"the tests"})


    def test_what_is_no_event_on_every_entrance(self):
        marker = uuid.uuid4().hex
        self.assertEqual(self.deliver(f"{marker} no event".encode())[0], 200)
        self.send("events_queue", f"{marker} no event")
        for text in (base64.b64encode(f"{marker} no event".encode()).decode(), f"{marker}!"):
            self.azure.put_message(self.e["names"]["azure_queue"], text)
        known: dict[str, str] = {}

        def look():
            """The dead letters that hold our text; each is looked at once."""
            for source in ("quarantine", "azure-quarantine", "poison"):
                for dead_letter in self.dead_letters("--source", source):
                    if dead_letter["id"] not in known:
                        known[dead_letter["id"]] = json.dumps(self.look("show", dead_letter["id"])[0])
            ours = [json.loads(dead_letter) for dead_letter in known.values() if marker in dead_letter]
            return ours if len(ours) == 4 else None
        found = wait_for("four dead letters that are no events", look)
        entrances = sorted(dead_letter["source"] + ": " + dead_letter["reason"].split(":")[0] for dead_letter in found)
        self.assertEqual(entrances[:1] + entrances[2:], ["azure-quarantine: azure-participant", "quarantine: event-ingress", "quarantine: saga-events"])
        # What is not even base64 does not come as far as the participant.
        self.assertTrue(entrances[1].startswith("poison: the Functions host could not decode it"), entrances)
        for dead_letter in found:
            self.assertIsNone(dead_letter["saga_id"])
            self.assertIn(marker, dead_letter["body"])
            self.assertEqual(dead_letter["replay"]["verdict"], "left", dead_letter)
        ids = [dead_letter["id"] for dead_letter in found]
        self.assertEqual(self.carry_out("replay", *ids), dict.fromkeys(ids, "left"))
        self.assertEqual(self.carry_out("discard", *ids), dict.fromkeys(ids, "discarded"))


class Others(DeadLetters):
    """What the emulators do not do themselves, written as the clouds document it."""

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
        dead_letter = self.dead_letter_of(saga["saga_id"], "destination")
        self.assertEqual(dead_letter["attempts"], 186)
        self.assertIn("SDK_CLIENT_ERROR: 503 Service Unavailable (MaximumEventAgeInSeconds)", dead_letter["reason"])
        self.assertEqual(self.dry_run(dead_letter)["text"], "would be ignored: saga is COMPLETED")
        self.assertEqual(self.carry_out("replay", dead_letter["id"]), {dead_letter["id"]: "replayed"})
        self.assert_gone(dead_letter)
        self.assertEqual(self.saga(saga["saga_id"])["status"], "COMPLETED")

    def test_dead_rows_of_both_outboxes_become_pending_and_are_published(self):
        saga = self.ended_saga()
        event, marker = self.event_to_azure(saga), uuid.uuid4().hex[:8]
        self.dynamo.put_outbox_rows([self.dead_row({**event, "id": f"{event['id']}-{marker}"})])
        answer = self.answer_of_azure(saga, f"1795226400123-{saga['saga_id']}-{marker}")
        row = {"PartitionKey": "05", "RowKey": f"dead|{answer['id']}", "Saga": saga["saga_id"], "Type": answer["type"],
               "Body": json.dumps(answer), "Reason": "refused by Event Grid"}
        for name, value in (("Format", 1), ("At", 1795226400123), ("Attempts", 9), ("DeadAt", 1795226500000)):
            row |= {name: str(value), f"{name}@odata.type": "Edm.Int64"}
        self.azure.put_row("05", row["RowKey"], row)
        dead_letters = {source: self.dead_letter_of(saga["saga_id"], source) for source in ("outbox", "azure-outbox")}
        self.assertEqual({dead_letter["reason"] for dead_letter in dead_letters.values()}, {"refused by the bus", "refused by Event Grid"})
        ids = [dead_letter["id"] for dead_letter in dead_letters.values()]
        self.assertEqual(self.carry_out("replay", *ids), dict.fromkeys(ids, "replayed"))
        self.assert_gone(dead_letters["outbox"])
        # Both came again; they changed nothing but the timeline.
        wait_for("the answer in the timeline", lambda: any(line["event_id"] == answer["id"] for line in self.saga(saga["saga_id"])["timeline"]))
        self.assertEqual(self.saga(saga["saga_id"])["status"], "COMPLETED")

    def test_each_arrival_is_reported_with_the_command_to_look_at_it(self):
        saga, alerts = self.ended_saga(), self.subscribe_to_alerts()
        self.send("events_dlq", json.dumps({"detail-type": "x", "detail": {**self.event_to_azure(saga), "id": uuid.uuid4().hex}}))

        def reported():
            return next((text for text in map(json.dumps, self.queue_bodies(alerts)) if saga["saga_id"] in text), None)
        text = wait_for("the alert", reported)
        self.assertIn("list --source events", text)
        self.carry_out("discard", self.dead_letter_of(saga["saga_id"], "events")["id"])


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
