"""What a user's script has: the endpoints file, plain HTTP, and the stores' own protocols."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
import unittest
import uuid
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "localstack"))

from local_stack import http  # noqa: E402
from local_stack.read_back import Azure, Dynamo, aws_json  # noqa: E402
from local_stack.storage import bucket_of  # noqa: E402, F401

TERMINAL = ("COMPLETED", "CANCELLED_VIA_COMPENSATION")
# The emulators drop what an API destination could not deliver; the sweeper, which runs once a minute, sends it again, with
# growing pauses. A bound of a wait tells a stack that stands still from one that is slow, and nothing else.
PATIENCE_SECONDS = 600
# Answers that leave open what became of a request (0: nobody answered): its caller asks again, with the same key.
UNANSWERED = (0, 429, 502, 503, 504)


def endpoints() -> dict:
    """Read anew each time: a process that was restarted has another pid."""
    file = os.environ.get("SAGA_ENDPOINTS")
    if not file:
        raise RuntimeError("SAGA_ENDPOINTS must name an endpoints.json: run `make stack-test`, or `make up` and set it")
    return json.loads(Path(file).read_text())


def wait_for(what: str, condition, seconds: float = PATIENCE_SECONDS, pause: float = 0.1):
    """The first true value of the condition. No fixed sleeps: bounded waiting."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {seconds:.0f} s")
        time.sleep(pause)


def ask(method: str, url: str, body: bytes | None = None, headers: dict | None = None) -> tuple[int, bytes, bool]:
    """Status and body, from a stack that may be killed or busy meanwhile, and whether the request was made more than once."""
    tries = 0

    def look():
        nonlocal tries
        tries += 1
        status, answer = http.request(method, url, body, headers, seconds=60)
        if status == 0 and not emulator_runs():
            raise AssertionError("the emulator of AWS has ended; its log says why")
        return None if status in UNANSWERED else (status, answer)
    status, answer = wait_for(f"an answer of {url}", look)
    return status, answer, tries > 1


def emulator_pid(e: dict) -> int | None:
    """The process that stands for AWS: MiniStack's or LocalStack's; None where somebody else started it."""
    return e["pids"].get(e["emulator"])


def emulator_runs() -> bool:
    pid = emulator_pid(endpoints())
    return pid is None or alive(pid)


def emulator_log() -> Path:
    return Path(os.environ["SAGA_ENDPOINTS"]).parent / "logs" / f"{endpoints()['emulator']}.log"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def order(amount="129.90", **more) -> dict:
    return {"order_id": f"order-{uuid.uuid4().hex[:12]}", "amount": amount, "currency": "EUR", **more}


class StackTest(unittest.TestCase):
    def setUp(self):
        self.e = endpoints()
        self.dynamo, self.azure = Dynamo(self.e), Azure(self.e)

    # --- the API ---

    def post(self, path: str, body, headers: dict | None = None):
        """A request that may be made more than once: one that starts a saga wants a key."""
        status, answer, _ = self._post(path, body, headers)
        return status, answer

    def _post(self, path: str, body, headers: dict | None = None):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **(headers or {})}
        status, answer, repeated = ask("POST", self.e["api"] + path, raw, headers)
        return status, (json.loads(answer) if answer else None), repeated

    def get(self, path: str):
        status, answer, _ = ask("GET", self.e["api"] + path)
        return status, (json.loads(answer) if answer else None)

    def start(self, body: dict, key: str | None = None, expect: int = 201, definition: str = "payment") -> dict:
        status, saga, repeated = self._post(f"/sagas/{definition}", body, {"Idempotency-Key": key or uuid.uuid4().hex})
        # The request whose answer was lost may have started it.
        self.assertIn(status, (expect, 200) if repeated else (expect,), saga)
        return saga

    def saga(self, saga_id: str) -> dict:
        status, saga = self.get(f"/sagas/{saga_id}")
        self.assertEqual(status, 200, saga)
        return saga

    def ended(self, saga_id: str, status: str) -> dict:
        saga = wait_for(f"the end of {saga_id}", lambda: self._ended(saga_id))
        self.assertEqual(saga["status"], status, saga)
        return saga

    def ended_soon(self, saga_id: str, status: str | None = None) -> dict:
        """The same, where a test is not about the schedules: they are run every few seconds, as they are once a minute.
        Without a status, in whichever way it ends."""
        rounds = 0

        def look():
            nonlocal rounds
            rounds += 1
            if rounds % 30 == 0:
                self.invoke("deadline-sweeper")
                self.invoke("outbox-poller")
            return self._ended(saga_id)
        saga = wait_for(f"the end of {saga_id}", look)
        if status:
            self.assertEqual(saga["status"], status, saga)
        return saga

    def _ended(self, saga_id: str):
        saga = self.saga(saga_id)
        return saga if saga["status"] in TERMINAL and not saga["flags"]["closing"] else None

    @contextlib.contextmanager
    def closed(self, target: str):
        """The bus takes events for this cloud, and brings them there no more: what comes now is lost."""
        rule = {"Name": f"saga-to-{target}", "EventBusName": self.e["names"]["bus"]}
        self.events("DisableRule", **rule)
        try:
            yield
        finally:
            self.events("EnableRule", **rule)

    # --- events of other publishers ---

    def publish(self, event: dict, expect: int = 200, content_type: str = "application/cloudevents+json"):
        headers = {"Content-Type": content_type, "aeg-sas-key": self.e["eventgrid"]["key"]}
        url = self.e["eventgrid"]["topic"] + "?api-version=2018-01-01"
        status, answer, _ = ask("POST", url, json.dumps(event).encode(), headers)
        self.assertEqual(status, expect, answer)

    def token(self) -> str:
        oidc = self.e["oidc"]
        form = {
            "grant_type": "client_credentials", "client_id": oidc["client_id"], "client_secret": oidc["client_secret"],
            "scope": oidc["audience"] + "/.default",
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        status, answer, _ = ask("POST", oidc["token"], urlencode(form).encode(), headers)
        self.assertEqual(status, 200, answer)
        return json.loads(answer)["access_token"]

    def deliver(self, body, token: str | None = None, content_type: str = "application/json"):
        """To the webhook, as Event Grid does: what it could not take now, it gets again."""
        headers = {"Content-Type": content_type, "aeg-event-type": "Notification"}
        if token != "":
            headers["Authorization"] = f"Bearer {token or self.token()}"
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        status, answer, _ = ask("POST", self.e["ingress"], raw, headers)
        return status, answer

    def compensation(self, saga: dict, **more) -> dict:
        """As another team's publisher writes it: none of our attributes."""
        return {
            "specversion": "1.0", "id": uuid.uuid4().hex, "source": "/other-team/risk", "type": "PaymentCompensationRequested",
            "data": {"saga_id": saga["saga_id"], "order_id": saga["input"]["order_id"], "reason": "fraud suspected"}, **more,
        }

    # --- the stores and queues ---

    def queue_url(self, name: str) -> str:
        named = self.e["names"].get(name, name)
        return named if named.startswith("http") else self.sqs("GetQueueUrl", QueueName=named)["QueueUrl"]

    def sqs(self, action: str, **body) -> dict:
        return aws_json(self.e, "sqs", f"AmazonSQS.{action}", body)

    def events(self, action: str, **body) -> dict:
        return aws_json(self.e, "events", f"AWSEvents.{action}", body, version="1.1")

    def put_event(self, detail: dict):
        """Onto the bus, as the relay does: a CloudEvent as the detail."""
        entry = {
            "EventBusName": self.e["names"]["bus"], "Source": detail["source"], "DetailType": detail["type"],
            "Detail": json.dumps(detail),
        }
        self.assertEqual(self.events("PutEvents", Entries=[entry])["FailedEntryCount"], 0)

    def send(self, name: str, body: str):
        self.sqs("SendMessage", QueueUrl=self.queue_url(name), MessageBody=body)

    def queue_bodies(self, name: str) -> list[dict]:
        """Reads and deletes what is on a queue of AWS."""
        url = self.queue_url(name)
        found = self.sqs("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
        for message in found:
            self.sqs("DeleteMessage", QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [json.loads(message["Body"]) for message in found]

    def new_queue(self, what: str) -> tuple[str, str, str]:
        """Name, URL and ARN of a queue of the test's own."""
        name = f"{what}-{uuid.uuid4().hex[:8]}"
        url = self.sqs("CreateQueue", QueueName=name)["QueueUrl"]
        return name, url, self.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def subscribe_to_alerts(self) -> str:
        """A queue of its own on which every alert arrives."""
        _, url, arn = self.new_queue("alerts")
        topic = self.e["names"]["alerts_topic"]
        if not topic.startswith("arn:"):
            topic = ":".join(["arn:aws:sns", *arn.split(":")[3:5], topic])
        form = {"Action": "Subscribe", "Version": "2010-03-31", "TopicArn": topic, "Protocol": "sqs", "Endpoint": arn}
        scope = f"test/20260101/{self.e['region']}/sns/aws4_request"
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00",
        }
        status, answer, _ = ask("POST", self.e["aws"], urlencode(form).encode(), headers)
        self.assertEqual(status, 200, answer)
        return url

    def invoke(self, function: str, payload: dict | None = None) -> dict:
        """Invokes a function directly, as its schedule does."""
        scope = f"test/20260101/{self.e['region']}/lambda/aws4_request"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"}
        url = f"{self.e['aws']}/2015-03-31/functions/{function}/invocations"
        status, answer, _ = ask("POST", url, json.dumps(payload or {}).encode(), headers)
        self.assertEqual(status, 200, answer)
        return json.loads(answer)

    def alerts_on(self, url: str) -> list[str]:
        """Takes what has arrived on a queue of `subscribe_to_alerts`: the subjects."""
        return [f"{alert['Subject']}\n{alert['Message']}" for alert in self.queue_bodies(url)]

    def assert_outboxes_empty(self):
        wait_for("both outboxes to be empty", lambda: self.dynamo.outbox_rows() == 0 and self.azure.outbox_rows() == 0)

    def acted(self, saga_id: str) -> bool:
        """Whether Azure's step has come to a decision."""
        return self.azure.find_step(saga_id, 1) is not None

    def waiting(self, name: str) -> int:
        """How many messages are on a queue of AWS, those in somebody's hands included."""
        counts = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        said = self.sqs("GetQueueAttributes", QueueUrl=self.queue_url(name), AttributeNames=counts)["Attributes"]
        return sum(int(said[count]) for count in counts)

    def logs(self) -> dict[str, str]:
        """Every log of the stack, by name: the processes' files, and what the functions wrote."""
        folder = Path(os.environ["SAGA_ENDPOINTS"]).parent / "logs"
        found = {file.name: file.read_text(errors="replace") for file in folder.iterdir()}
        groups = aws_json(self.e, "logs", "Logs_20140328.DescribeLogGroups", {}, "1.1")["logGroups"]
        for group in (group["logGroupName"] for group in groups):
            page, events = {"logGroupName": group}, []
            while page:
                answer = aws_json(self.e, "logs", "Logs_20140328.FilterLogEvents", page, "1.1")
                events += [event["message"] for event in answer["events"]]
                page = {**page, "nextToken": answer["nextToken"]} if answer.get("nextToken") else None
            found[group] = "\n".join(events)
        self.assertGreaterEqual(len(found), 10, sorted(found))
        return found

    # --- processes ---

    def paused(self, name: str):
        return Paused(name)


class Paused:
    """A process that neither works nor dies for a while."""

    def __init__(self, name: str):
        self.name = name

    def __enter__(self):
        wait_for(f"{self.name} to run", self._stop)
        return self

    def _stop(self) -> bool:
        # One that was killed has a successor soon.
        self.pid = endpoints()["pids"][self.name]
        try:
            os.kill(self.pid, signal.SIGSTOP)
        except ProcessLookupError:
            return False
        return True

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):  # it may have been killed meanwhile
            os.kill(self.pid, signal.SIGCONT)
