"""Runs over many dead letters: at the rate asked for, interrupted, killed, twice over and while sagas run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
import uuid

from .dead_letters import DLQ, DeadLetters
from .processes import function_processes
from .support import order, wait_for

RECORD = ("--confirm", "--why", "the cause is gone", "--by", "the tests")


class Runs(DeadLetters):
    def captured_events(self, pattern: dict) -> str:
        """A queue of its own on which every event of the bus arrives that fits the pattern."""
        name, url, arn = self.new_queue("events")
        rule = {"Name": name, "EventBusName": self.e["names"]["bus"]}
        self.events("PutRule", **rule, EventPattern=json.dumps({"detail": pattern}))
        self.events("PutTargets", Rule=name, EventBusName=rule["EventBusName"], Targets=[{"Id": name, "Arn": arn}])
        self.addCleanup(self.sqs, "DeleteQueue", QueueUrl=url)
        self.addCleanup(self.events, "DeleteRule", Name=name, EventBusName=rule["EventBusName"], Force=True)
        self.addCleanup(self.events, "RemoveTargets", Rule=name, EventBusName=rule["EventBusName"], Ids=[name])
        return url

    def fall_into_the_events_dlq(self, events: list[dict]):
        url = self.queue_url("events_dlq")
        self.addCleanup(self.sqs, "PurgeQueue", QueueUrl=url)  # what a failure left must not fail the others, too
        bodies = [json.dumps({"detail-type": event["type"], "source": event["source"], "detail": event}) for event in events]
        for start in range(0, len(bodies), 10):
            entries = [{"Id": str(index), "MessageBody": body} for index, body in enumerate(bodies[start:start + 10])]
            self.sqs("SendMessageBatch", QueueUrl=url, Entries=entries)

    def answers(self, saga: dict, count: int) -> list[dict]:
        return [self.answer_of_azure(saga, f"{1795226400000 + number}-{saga['saga_id']}-{uuid.uuid4().hex[:6]}") for number in range(count)]

    def test_many_dead_letters_at_the_rate_asked_for_and_resumed(self):
        """Never faster than asked for. How much slower is the machine's business: it is printed."""
        saga, rate, count = self.ended_saga(), 20, 400
        self.fall_into_the_events_dlq(self.answers(saga, count))
        wait_for("all dead letters", lambda: len({dead_letter["id"] for dead_letter in self.dead_letters("--saga", saga["saga_id"])}) == count)
        chosen = ("replay", "--source", "events", "--saga", saga["saga_id"], *RECORD, "--rate", str(rate))
        begun = time.monotonic()
        _, first, _ = self.command(*chosen, "--limit", "100")
        self.assertEqual(sum(report["done"] for report in first), 100)
        self.assertEqual(first[-1]["ended"], "limit")
        # What it left is taken up by the same command.
        done, reported = 100, ""

        def taken_up():
            nonlocal done, reported
            _, rest, said = self.command(*chosen)
            done, reported = done + sum(report["done"] for report in rest), reported + said
            return done >= count
        wait_for("the rest", taken_up)
        took = time.monotonic() - begun
        self.assertEqual(done, count)
        self.assertIn("dlq: no answer yet", reported)
        self.assertEqual(self.dead_letters("--saga", saga["saga_id"]), [])
        print(f"\n{count} dead letters at {rate} a second asked for: {count / took:.1f} a second, requests included", flush=True)
        self.assertLessEqual(count / took, rate * 1.1)

    def test_killing_the_replayer_loses_no_dead_letter(self):
        chance, saga = random.Random(20261121), self.ended_saga()
        rows = [{**event, "id": f"{event['id']}-row"} for event in self.answers(saga, 60)]
        queued = self.answers(saga, 40)
        url = self.captured_events({"sagaid": [saga["saga_id"]]})
        self.dynamo.put_outbox_rows([self.dead_row(event) for event in rows])
        self.fall_into_the_events_dlq(queued)
        left = {"outbox": lambda: self.dead_of(saga), "events": lambda: self.waiting("events_dlq")}
        killed = 0
        for source in ("outbox", "events") * 3:
            before = left[source]()
            # Two a second: the run is far from its end whenever it is killed.
            command = [DLQ, "--json", "--endpoint", self.e["dead_letters"], "replay", "--saga", saga["saga_id"], "--source", source, *RECORD, "--rate", "2"]
            run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for("the first of its dead letters", lambda: left[source]() < before or run.poll() is not None)
            time.sleep(4 * chance.random())  # the moment of the crash is the one thing that is left to chance
            for pid in function_processes(self.e, "dlq-replayer"):
                os.kill(pid, signal.SIGKILL)
                killed += 1
            run.send_signal(signal.SIGINT)  # the terminal is interrupted, too: it would ask again
            run.wait(90)
        self.assertGreater(killed, 5)
        self.assertTrue(self.dead_of(saga), "a kill came too late to show anything")
        arrived: set[str] = set()

        def all_seen():
            # What a run held when it died is hidden until its lease ends.
            page = self.reports("replay", "--saga", saga["saga_id"], *RECORD, "--rate", "200")
            arrived.update(body["detail"]["id"] for _ in range(30) for body in self.queue_bodies(url))
            return page and all({event["id"] for event in rows} <= arrived and not report["notices"] for report in page)
        wait_for("every row to be published", all_seen)
        self.assertEqual(self.dead_letters("--saga", saga["saga_id"]), [])
        # Those of the queue went back to saga-events' own, and are in the saga's timeline, as far as it keeps lines.
        ids = {event["id"] for event in queued}
        wait_for("their lines", lambda: [line for line in self.saga(saga["saga_id"])["timeline"] if line["event_id"] in ids])

    def dead_of(self, saga: dict) -> int:
        return sum(row["SagaId"]["S"] == saga["saga_id"] for row in self.dynamo.dead_rows())

    def test_everything_twice_in_any_order_while_sagas_run(self):
        chance, begun = random.Random(7), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        stock = self.azure.stock("laptop")
        url = self.captured_events({"sagadef": ["payment"]})
        bought = order(items=[{"sku": "laptop", "quantity": 1}])
        first = [(self.start({**bought, "order_id": uuid.uuid4().hex}), "COMPLETED") for _ in range(4)]
        first += [(self.start(order("20000")), "CANCELLED_VIA_COMPENSATION") for _ in range(4)]
        for saga, status in first:
            self.ended_soon(saga["saga_id"], status)
        events: dict[str, dict] = {}

        def captured():
            events.update({body["detail"]["id"]: body["detail"] for _ in range(5) for body in self.queue_bodies(url)})
            return len(events) >= 16
        wait_for("two events of each saga", captured)
        twice = list(events.values()) * 2
        chance.shuffle(twice)
        self.fall_into_the_events_dlq([event for event in twice if event["sagatarget"] == "aws"])
        for event in twice:
            if event["sagatarget"] == "azure":
                envelope = {"version": "0", "id": str(uuid.uuid4()), "detail-type": event["type"], "source": event["source"], "detail": event}
                self.sqs("SendMessage", QueueUrl=self.queue_url("destination_dlq"), MessageBody=json.dumps(envelope))
        more = []
        for number in range(4):
            more.append((self.start({**bought, "order_id": uuid.uuid4().hex}), "COMPLETED"))
            ids = [dead_letter["id"] for dead_letter in self.dead_letters("--limit", "1000") if dead_letter["source"] in ("events", "destination")]
            chance.shuffle(ids)
            if ids and number < 3:
                self.reports("replay", *ids[:len(twice) // 3], *RECORD, "--rate", "100")
        # The watch looks every minute, and hides dead letters for a moment.
        wait_for("nothing to be left", lambda: self.all_replayed(begun))
        for saga, status in first + more:
            ended = self.ended_soon(saga["saga_id"], status)
            self.assertEqual(self.dynamo.payment(ended["saga_id"])["Status"]["S"], status)
        self.assert_outboxes_empty()
        self.assertEqual(stock - self.azure.stock("laptop"), 8)

    def all_replayed(self, since: str) -> bool:
        reports = self.reports("replay", "--since", since, *RECORD, "--rate", "200")
        return bool(reports) and all(report["done"] == 0 and not report["notices"] for report in reports)

    def reports(self, *arguments: str) -> list[dict]:
        """Of a run that others may disturb: they hold dead letters, and a function that was killed fails the next request, too."""
        code, reports, _ = self.command(*arguments)
        return reports if code in (0, 1) else []
