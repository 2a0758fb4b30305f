"""The table of the Azure side is lost, and brought back: from a copy, and from the archive of the bus."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .support import ROOT, StackTest, order, wait_for

CANCELLED = "CANCELLED_VIA_COMPENSATION"


class Restore(StackTest):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.copy = Path(folder.name) / "copy.jsonl.gz"

    def table(self, command: str, *more: str, expect: int = 0) -> str:
        """Runs the operator's script against the emulator."""
        azurite = self.e["azurite"]
        done = subprocess.run(
            [sys.executable, ROOT / "infra" / "azure_table.py", command, f"{azurite['table']}/{self.azure.table}", str(self.copy), *more],
            env=os.environ | {"AZURE_STORAGE_KEY": azurite["key"]}, capture_output=True, text=True, timeout=300,
        )
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def lose_everything(self):
        while rows := self.azure._get(f"{self.azure.table}()")["value"]:
            for row in rows:
                self.azure.delete_row(row["PartitionKey"], row["RowKey"])

    def archive(self) -> tuple[str, str]:
        """Keeps what goes over the bus from now on: the ARNs of the archive and of the bus."""
        bus = self.events("DescribeEventBus", Name=self.e["names"]["bus"])["Arn"]
        name = f"restore-{time.time_ns()}"
        archive = self.events("CreateArchive", ArchiveName=name, EventSourceArn=bus)["ArchiveArn"]
        self.addCleanup(self.events, "DeleteArchive", ArchiveName=name)
        return archive, bus

    def replay(self, archive: str, bus: str, since: float):
        name, rule = f"restore-{time.time_ns()}", self.events("DescribeRule", Name="saga-to-azure", EventBusName=self.e["names"]["bus"])["Arn"]
        self.events(
            "StartReplay", ReplayName=name, EventSourceArn=archive, EventStartTime=int(since), EventEndTime=int(time.time()) + 1,
            Destination={"Arn": bus, "FilterArns": [rule]},
        )
        wait_for("the replay", lambda: self.events("DescribeReplay", ReplayName=name)["State"] == "COMPLETED")

    def bought(self, status: str, amount: str = "50.00") -> str:
        body = order(amount, items=[{"sku": "keyboard", "quantity": 1}])
        return self.ended(self.start(body)["saga_id"], status)["saga_id"]

    def test_a_lost_table_is_restored_and_what_came_after_the_copy_is_replayed(self):
        archive, bus = self.archive()
        before = {self.bought("COMPLETED"): "DONE", self.bought(CANCELLED, "20000"): "REFUSED"}
        self.assert_outboxes_empty()
        self.assertIn("as they were at", self.table("export"))
        since = time.time() - 60  # in seconds of a clock that need not be the emulator's
        after = {self.bought("COMPLETED"): "DONE", self.bought(CANCELLED, "20000"): "REFUSED"}
        self.assert_outboxes_empty()
        stock = self.azure.stock("keyboard")
        with self.paused("azure"):
            with self.closed("azure"):
                undecided = self.start(order("50.00", items=[{"sku": "keyboard", "quantity": 1}]))["saga_id"]
                wait_for("its event to be out", lambda: self.dynamo.outbox_rows() == 0)
            self.lose_everything()
            self.table("restore")
            self.assertEqual({saga: self.azure.step(saga, 1)["State"] for saga in before}, before)
            self.assertEqual(self.azure.stock("keyboard"), stock + 1, "of the saga after the copy nothing is known")
            self.assertIn("0 rows of", self.table("restore"), "it goes on where it was")
        self.replay(archive, bus, since)

        wait_for("the steps after the copy", lambda: all(self.acted(saga) for saga in after))
        self.ended_soon(undecided, "COMPLETED")
        sagas = before | after | {undecided: "DONE"}
        self.assertEqual({saga: self.azure.step(saga, 1)["State"] for saga in sagas}, sagas)
        self.assertEqual(self.azure.stock("keyboard"), stock - 1, "nothing was taken twice, and nothing given back")
        for saga, state in sagas.items():
            self.assertEqual(self.saga(saga)["status"], "COMPLETED" if state == "DONE" else CANCELLED)
        self.assert_outboxes_empty()

    def test_a_copy_that_is_not_whole_and_a_table_that_is_not_there_are_refused(self):
        self.table("export")
        whole = self.copy.read_bytes()
        for damaged in (whole[:-20], b"", b"no copy"):
            self.copy.write_bytes(damaged)
            self.assertNotIn("Traceback", self.table("restore", expect=1))
        self.copy.unlink()
        self.azure.table, table = "NoSuchTable", self.azure.table
        self.addCleanup(setattr, self.azure, "table", table)
        self.assertIn("404", self.table("export", expect=1))
