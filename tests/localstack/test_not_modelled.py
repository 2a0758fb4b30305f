"""What LocalStack does not do. A LocalStack that does it fails these tests: correct localstack/README.md then, and turn
them round."""

from __future__ import annotations

import time

from stack.support import StackTest, wait_for
from stack.tap import rule

from .destination import Destination
from .events import event

# A first retry, or a dead letter where no retry is allowed, should come well within this time.
QUIET_SECONDS = 20
TWO_RETRIES = {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60}
NO_RETRY = {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
NEWS = "LocalStack models it now, and localstack/README.md says otherwise"


class NotModelled(StackTest):
    def test_a_delivery_that_fails_is_neither_retried_nor_kept(self):
        name, _, kept = self.new_queue("kept")
        with (
            Destination(self, status=503, RetryPolicy=TWO_RETRIES) as retried,
            Destination(self, status=503, RetryPolicy=NO_RETRY, DeadLetterConfig={"Arn": kept}) as given_up,
        ):
            for destination in (retried, given_up):
                self.put_event(event(destination.name))
                destination.first_request()
            self.never("API destinations are retried", lambda: len(retried.requests) > 1)
            self.assertEqual(self.waiting(name), 0, f"{NEWS}: dead-letter queues of API destinations are written to")

    def test_an_event_for_a_queue_that_is_gone_is_not_kept(self):
        gone_name, url, gone = self.new_queue("gone")
        name, _, kept = self.new_queue("kept")
        rule(self, "PutRule", Name=name, EventPattern=f'{{"detail": {{"sagatarget": ["{name}"]}}}}')
        target = {"Id": name, "Arn": gone, "RetryPolicy": NO_RETRY, "DeadLetterConfig": {"Arn": kept}}
        rule(self, "PutTargets", Rule=name, Targets=[target])
        try:
            self.put_event(event(name))
            wait_for("the event to arrive while the queue is there", lambda: self.waiting(gone_name))
            self.sqs("DeleteQueue", QueueUrl=url)
            self.put_event(event(name))
            self.never("dead-letter queues of targets are written to", lambda: self.waiting(name))
        finally:
            rule(self, "RemoveTargets", Rule=name, Ids=[name])
            rule(self, "DeleteRule", Name=name)

    def never(self, what: str, condition):
        deadline = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < deadline:
            self.assertFalse(condition(), f"{NEWS}: {what}")
            time.sleep(0.5)
