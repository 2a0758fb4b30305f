"""The bus as it is deployed: which rule takes which event, and how the API destination signs in."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from stack.support import StackTest, ask, order
from stack.tap import Tap

from .destination import Destination
from .events import event

TO_EVENT_GRID = "https://eventgrid.azure.net"


class Bus(StackTest):
    def test_the_rules_route_by_sagatarget(self):
        with Tap(self) as bus, Tap(self, "saga-to-azure") as to_azure, Tap(self, "saga-to-aws") as to_aws:
            outsider = event("nobody")
            self.put_event(outsider)
            bus.wait_for(id=outsider["id"])
            saga = self.start(order(items=[{"sku": "keyboard", "quantity": 1}]))["saga_id"]
            to_azure.wait_for(sagaid=saga, type="PaymentReserved")
            to_aws.wait_for(sagaid=saga, type="InventoryReserved")
            self.ended_soon(saga, "COMPLETED")
            # Whatever else the stack is busy with: each rule lets its own events through, and no others.
            self.assertEqual({one["sagatarget"] for one in to_azure.events()}, {"azure"})
            self.assertEqual({one["sagatarget"] for one in to_aws.events()}, {"aws"})

    def test_the_api_destination_signs_in_by_oauth(self):
        issued = self.tokens_issued()
        with Destination(self) as destination:
            sent = event(destination.name)
            self.put_event(sent)
            request = destination.first_request()
        self.assertGreater(self.tokens_issued(), issued, "the token endpoint was not asked")
        scheme, _, token = request.headers["Authorization"].partition(" ")
        self.assertEqual(scheme, "Bearer")
        self.assertEqual(claims(token)["aud"], TO_EVENT_GRID)
        self.assertEqual(request.headers["Content-Type"], "application/cloudevents+json")
        self.assertEqual(request.path, "/api/events?api-version=2018-01-01")
        self.assertEqual(json.loads(request.body), sent)
        # The topic lets this token in and finds no event in the body; without it nothing is read.
        self.assertEqual(self.call_topic({"Authorization": request.headers["Authorization"]}), 400)
        self.assertEqual(self.call_topic({}), 401)

    def tokens_issued(self) -> int:
        """How often the stand-in's token endpoint has given a token for Event Grid."""
        log = Path(os.environ["SAGA_ENDPOINTS"]).parent / "logs" / "azure.log"
        return sum('"token issued"' in line and TO_EVENT_GRID in line for line in log.read_text(errors="replace").splitlines())

    def call_topic(self, headers: dict) -> int:
        """The topic's answer to a body that is no event."""
        url = self.e["eventgrid"]["topic"] + "?api-version=2018-01-01"
        return ask("POST", url, b"{}", {"Content-Type": "application/cloudevents+json", **headers})[0]


def claims(token: str) -> dict:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
