"""A queue of one's own on which every event of the bus arrives, as the bus brings it."""

from __future__ import annotations

import json
import uuid

from .support import StackTest, wait_for

from local_stack.read_back import aws_json  # noqa: E402 (support says where it is)


class Tap:
    """`branch`: a rule of the bus, past which go only the events that it lets through."""

    def __init__(self, test: StackTest, branch: str | None = None):
        self.test, self.name, self.branch, self.seen = test, f"tap-{uuid.uuid4().hex[:8]}", branch, []

    def __enter__(self):
        self.url = self.test.sqs("CreateQueue", QueueName=self.name)["QueueUrl"]
        arn = self.test.sqs("GetQueueAttributes", QueueUrl=self.url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        if not self.branch:
            anything = json.dumps({"source": [{"prefix": ""}]})
            rule(self.test, "PutRule", Name=self.name, EventPattern=anything)
        rule(self.test, "PutTargets", Rule=self.branch or self.name, Targets=[{"Id": self.name, "Arn": arn}])
        return self

    def __exit__(self, *_):
        rule(self.test, "RemoveTargets", Rule=self.branch or self.name, Ids=[self.name])
        if not self.branch:
            rule(self.test, "DeleteRule", Name=self.name)
        self.test.sqs("DeleteQueue", QueueUrl=self.url)

    def events(self) -> list[dict]:
        """All CloudEvents that went over the bus since it is here."""
        while found := self.test.queue_bodies(self.url):
            self.seen += [message["detail"] for message in found]
        return self.seen

    def wait_for(self, **attributes) -> dict:
        """The event with these attributes."""
        def look():
            fits = [event for event in self.events() if all(event.get(name) == value for name, value in attributes.items())]
            return fits[0] if fits else None
        return wait_for(f"an event {attributes} on the bus", look)


def rule(test: StackTest, action: str, **body) -> dict:
    return aws_json(test.e, "events", f"AWSEvents.{action}", {"EventBusName": test.e["names"]["bus"], **body}, "1.1")
