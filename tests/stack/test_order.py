"""Four steps across both clouds and back."""

from __future__ import annotations

from .support import StackTest, order


class Order(StackTest):
    def ended_order(self, status: str, amount: str = "50.00", destination: str = "DE") -> dict:
        body = order(amount, destination=destination, items=[{"sku": "keyboard", "quantity": 1}])
        saga = self.ended(self.start(body, definition="order")["saga_id"], status)
        self.assertEqual(self.dynamo.payment(saga["saga_id"])["Status"]["S"], status)
        return saga

    def test_an_order_is_paid_reserved_receipted_and_shipped(self):
        stock = self.azure.stock("keyboard")
        saga = self.ended_order("COMPLETED")
        self.assertEqual([step["state"] for step in saga["steps"]], ["DONE"] * 4)
        self.assertEqual(stock - self.azure.stock("keyboard"), 1)
        self.assert_outboxes_empty()

    def test_a_place_that_shipping_does_not_know_undoes_everything_in_reverse(self):
        stock = self.azure.stock("keyboard")
        saga = self.ended_order("CANCELLED_VIA_COMPENSATION", destination="ATLANTIS")
        self.assertEqual(saga["steps"][3]["state"], "REFUSED")
        self.assertEqual(saga["steps"][0]["state"], "UNDONE")
        self.assertEqual(self.azure.step(saga["saga_id"], 1)["State"], "UNDONE")
        self.assertEqual(stock, self.azure.stock("keyboard"))
        self.assert_outboxes_empty()

    def test_a_refusal_in_the_middle_undoes_what_came_before(self):
        saga = self.ended_order("CANCELLED_VIA_COMPENSATION", amount="20000")
        self.assertIn("over the limit", saga["reason"])
        self.assertEqual(saga["steps"][3]["state"], "NOT_DONE")
