"""Terraform on the stack that is up: applied again it would change nothing, destroyed it leaves nothing. The stack is
of no use afterwards, so this comes last.
"""

from __future__ import annotations

import json
import os
import re
import time
import unittest
from pathlib import Path

from stack.support import StackTest

from local_stack import infrastructure  # noqa: E402  (support knows where it lies)
from local_stack.read_back import aws_get, aws_json  # noqa: E402
from local_stack.state import State  # noqa: E402

# Tables and queues of the tests' own, and the bus that every account has.
OTHERS = re.compile(r"(^|[/:])Contract[0-9a-f]{16}|[/:][a-z]+-[0-9a-f]{8}$|^default$")


class Lifecycle(StackTest):
    def test_a_second_plan_is_empty_and_a_destroy_leaves_nothing(self):
        state = State(Path(os.environ["SAGA_ENDPOINTS"]).parent)
        began = time.monotonic()
        differing = infrastructure.differences(state)
        planned = time.monotonic()
        before = self.inventory()
        infrastructure.destroy(state)
        after = self.inventory()
        print(f"\nsecond plan {planned - began:.0f} s, destroy {time.monotonic() - planned:.0f} s", flush=True)
        for kind, names in before.items():
            self.assertTrue(names, f"no {kind} was there: nothing is shown by there being none now")
        with self.subTest("second plan"):
            self.assertEqual(differing, [], "applied again, this would change")
        with self.subTest("destroy"):
            self.assertEqual({kind: names for kind, names in after.items() if names}, {}, "this is left")

    def inventory(self) -> dict[str, list[str]]:
        """What the emulator has of each kind that the stack makes; neither what AWS has by itself nor what tests made."""
        e = self.e
        mappings = json.loads(aws_get(e, "lambda", "/2015-03-31/event-source-mappings/"))["EventSourceMappings"]
        found = {
            "table": self.tables(),
            "queue": aws_json(e, "sqs", "AmazonSQS.ListQueues", {}).get("QueueUrls", []),
            "topic": re.findall("<TopicArn>(.*?)</TopicArn>", aws_get(e, "sns", "/?Action=ListTopics&Version=2010-03-31").decode()),
            "role": re.findall("<RoleName>(.*?)</RoleName>", aws_get(e, "iam", "/?Action=ListRoles&Version=2010-05-08").decode()),
            "function": [one["FunctionName"] for one in json.loads(aws_get(e, "lambda", "/2015-03-31/functions/"))["Functions"]],
            "mapping": [one["UUID"] for one in mappings],
            "log group": [one["logGroupName"] for one in self.call("logs", "Logs_20140328.DescribeLogGroups")["logGroups"]],
            "bus": [one["Name"] for one in self.call("events", "AWSEvents.ListEventBuses")["EventBuses"]],
            "schedule": [one["Name"] for one in self.call("events", "AWSEvents.ListRules")["Rules"]],
            "connection": [one["Name"] for one in self.call("events", "AWSEvents.ListConnections")["Connections"]],
            "API destination": [one["Name"] for one in self.call("events", "AWSEvents.ListApiDestinations")["ApiDestinations"]],
        }
        return {kind: sorted(name for name in names if not OTHERS.search(name)) for kind, names in found.items()}

    def tables(self) -> list[str]:
        names, answer = [], {"LastEvaluatedTableName": None}
        while "LastEvaluatedTableName" in answer:
            after = answer["LastEvaluatedTableName"]
            answer = aws_json(self.e, "dynamodb", "DynamoDB_20120810.ListTables", {"ExclusiveStartTableName": after} if after else {})
            names += answer["TableNames"]
        return names

    def call(self, service: str, target: str) -> dict:
        return aws_json(self.e, service, target, {}, version="1.1")


if __name__ == "__main__":
    unittest.main()
