"""Sagas over both clouds, with LocalStack for AWS."""

from __future__ import annotations

from stack.support import StackTest, order


class Sagas(StackTest):
    def test_an_order_completes_on_both_clouds(self):
        stock = self.azure.stock("keyboard")
        saga = self.start(order(items=[{"sku": "keyboard", "quantity": 2}]))
        self.ended_soon(saga["saga_id"], "COMPLETED")
        self.assertEqual(self.dynamo.payment(saga["saga_id"])["Status"]["S"], "COMPLETED")
        self.assertEqual(self.azure.step(saga["saga_id"], 1)["State"], "DONE")
        self.assertEqual(stock - self.azure.stock("keyboard"), 2)
        self.assert_outboxes_empty()

    def test_an_order_over_the_limit_is_compensated_on_both_clouds(self):
        stock = self.azure.stock("keyboard")
        saga = self.start(order("15000", items=[{"sku": "keyboard", "quantity": 2}]))
        saga = self.ended_soon(saga["saga_id"], "CANCELLED_VIA_COMPENSATION")
        self.assertIn("over the limit", saga["reason"])
        self.assertEqual(self.dynamo.payment(saga["saga_id"])["Status"]["S"], "CANCELLED_VIA_COMPENSATION")
        self.assertEqual(self.azure.step(saga["saga_id"], 1)["State"], "REFUSED")
        self.assertEqual(self.azure.stock("keyboard"), stock)
        self.assert_outboxes_empty()
