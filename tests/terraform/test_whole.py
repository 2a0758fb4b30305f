"""What `infra/whole.py` finds when AWS, Terraform's state and a plan do not agree: on an emulator they do, or it fails."""

from __future__ import annotations

import re
import sys
import unittest
import unittest.mock
from pathlib import Path

INFRA = Path(__file__).resolve().parents[2] / "infra"
sys.path.append(str(INFRA))

import inventory  # noqa: E402
import whole  # noqa: E402

GROUP, TABLE = "module.saga.aws_cloudwatch_log_group.this", "module.saga.aws_dynamodb_table.sagas"
POLLER, OTHER = "module.saga.module.outbox_poller.aws_lambda_function.this", "module.saga.module.saga_events.aws_lambda_function.this"
TYPES = {GROUP: "aws_cloudwatch_log_group", TABLE: "aws_dynamodb_table", POLLER: "aws_lambda_function", OTHER: "aws_lambda_function"}


def update(**values) -> dict:
    """An update of these attributes; `last_modified` is not known beforehand."""
    before, after = ({name: pair[side] for name, pair in values.items()} for side in (0, 1))
    return {"actions": ["update"], "before": before | {"last_modified": "then"}, "after": after, "after_unknown": {"last_modified": True}}


PLANNED = {
    GROUP: update(retention_in_days=(30, 14), name=("a", "a")),
    TABLE: update(deletion_protection_enabled=(True, False)),
    POLLER: update(source_code_hash=("1", "2")),
}


class Change(unittest.TestCase):
    def test_just_the_change_is_right(self):
        self.assertEqual(whole.beside_the_change(PLANNED, TYPES), [])

    def test_another_resource_another_attribute_and_another_function_are_found(self):
        for address, change in (
            ("aws_sqs_queue.events", update(delay_seconds=(0, 1))),
            (GROUP, update(retention_in_days=(30, 14), kms_key_id=("a", "b"))),
            (OTHER, update(source_code_hash=("1", "2"))),
            (TABLE, PLANNED[TABLE] | {"actions": ["delete", "create"]}),
        ):
            with self.subTest(address):
                found = whole.beside_the_change({**PLANNED, address: change}, TYPES)
                self.assertEqual(len(found), 1)
                self.assertTrue(found[0].startswith(f"{address}: "), found)

    def test_what_is_left_out_is_found(self):
        planned = {address: change for address, change in PLANNED.items() if address != GROUP}
        self.assertEqual(whole.beside_the_change(planned, TYPES), [f"{GROUP}: is not changed"])


class Inventory(unittest.TestCase):
    def test_two_of_a_name_count_twice(self):
        self.assertEqual(inventory.beyond({"k": ["a", "a", "b"]}, {"k": ["a"], "gone": ["c"]}), {"k": ["a", "b"]})

    def test_one_too_few_one_too_many_and_an_unknown_type_are_found(self):
        new = {"aws_sqs_queue": ["a"], "aws_sns_topic": ["t"], "rule of an archive": ["r"]}
        found = inventory.unlike_the_state(new, ["aws_sqs_queue", "aws_sqs_queue", "aws_sqs_queue_policy", "aws_new"])
        self.assertEqual([line.partition(":")[0] for line in found], ["aws_new", "aws_sns_topic", "aws_sqs_queue"])
        self.assertEqual(inventory.unlike_the_state(new, ["aws_sqs_queue", "aws_sns_topic"]), [])

    def test_every_type_of_the_modules_is_looked_for_or_part_of_one_that_is(self):
        used = {kind for part in ("modules", "stacks") for file in (INFRA / part).glob("*/*.tf") for kind in re.findall(r'^resource "(aws_\w+)"', file.read_text(), re.M)}
        self.assertTrue(used)
        self.assertEqual(sorted(used - set(inventory.KINDS) - set(inventory.PARTS)), [])


class Surroundings(unittest.TestCase):
    def test_no_setting_of_the_users_account_reaches_terraform(self):
        with unittest.mock.patch.dict("os.environ", {"AWS_PROFILE": "prod", "AWS_ENDPOINT_URL_SQS": "https://real", "TF_VAR_region": "x", "PATH": "/bin"}):
            env = whole.surroundings("http://127.0.0.1:1")
        self.assertEqual({name for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL_SQS", "TF_VAR_region") if name in env}, set())
        self.assertEqual((env["AWS_ENDPOINT_URL"], env["PATH"]), ("http://127.0.0.1:1", "/bin"))


if __name__ == "__main__":
    unittest.main()
