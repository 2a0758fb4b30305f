"""SIGKILL at any moment of a saga: it still ends right, and nothing happens twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time

from .processes import function_processes
from .support import StackTest, endpoints, order


class Crashes(StackTest):
    def test_the_azure_participant(self):
        self.kill_during_sagas(lambda: [endpoints()["pids"]["azure_participant"]])

    def test_the_functions(self):
        """The processes that run the Lambda functions, whichever are alive."""
        self.kill_during_sagas(lambda: function_processes(self.e))

    def test_event_grid_and_the_functions_host(self):
        """The stand-in: `make up` starts it again; what it had accepted is in its journal."""
        self.kill_during_sagas(lambda: [endpoints()["pids"]["azure"]], after=self.up)

    def kill_during_sagas(self, pids, after=lambda: None):
        chance = random.Random(20261121)
        stock = self.azure.stock("laptop")
        sagas = []
        for round_ in range(6):
            # A start whose answer the last crash took is asked for again, with its key.
            sagas.append((self.start(order(items=[{"sku": "laptop", "quantity": 1}])), "COMPLETED"))
            sagas.append((self.start(order("20000")), "CANCELLED_VIA_COMPENSATION"))
            time.sleep(chance.random() * 0.8)  # the moment of the crash is the one thing that is left to chance
            for pid in pids():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            after()
        for saga, status in sagas:
            found = self.ended(saga["saga_id"], status)
            self.assertEqual(self.dynamo.payment(found["saga_id"])["Status"]["S"], status)
        self.assertEqual(stock - self.azure.stock("laptop"), 6)
        self.assert_outboxes_empty()

    def up(self):
        state = os.path.dirname(os.environ["SAGA_ENDPOINTS"])
        stack = os.path.join(os.path.dirname(__file__), "..", "..", "localstack", "stack.py")
        port = self.e["aws"].rsplit(":", 1)[1]
        # The same functions as before: a crash changes none.
        packaged = ["--packages", self.e["packages"]] if self.e["packages"] else []
        subprocess.run(["python3", stack, "up", "--port-base", port, "--state", state, "--emulator", self.e["emulator"], *packaged], check=True, stdout=subprocess.DEVNULL)
