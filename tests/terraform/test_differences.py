"""What is printed when a second plan is not empty: a check that could not say so would find nothing."""

from __future__ import annotations

import unittest

from stack.support import http  # noqa: F401  (it knows where local_stack lies)

from local_stack.infrastructure import described


class Described(unittest.TestCase):
    def test_an_update_names_each_attribute_that_changes_and_hides_secrets(self):
        change = {
            "actions": ["update"],
            "before": {"size": 1, "kept": [1], "arn": "a", "password": "old"},
            "after": {"size": 2, "kept": [1], "password": "new"},
            "after_unknown": {"kept": [False], "arn": True},
            "after_sensitive": {"kept": [{}], "password": True},
        }
        self.assertEqual(described(change), "update, arn 'a' → '(known after apply)', password (secret), size 1 → 2")

    def test_what_comes_and_goes_is_described_too(self):
        self.assertEqual(described({"actions": ["create"], "before": None, "after": "x"}), "create, value None → 'x'")
        self.assertEqual(described({"actions": ["delete", "create"], "before": {"a": 1}, "after": {"a": 2}}), "delete/create, a 1 → 2")


if __name__ == "__main__":
    unittest.main()
