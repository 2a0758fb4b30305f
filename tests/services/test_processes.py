"""What the local stack starts, it stops: with its children, before it says so."""

from __future__ import annotations

import os
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "localstack"))
from local_stack import processes  # noqa: E402
from local_stack.console import Problem  # noqa: E402

# The parent ends at once. Its child has a port, and takes its time.
PARENT = """
import os, signal, socket, sys, time
port = socket.create_server(("127.0.0.1", 0))
if os.fork() == 0:
    signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), os._exit(0)))
    print(port.getsockname()[1], flush=True)
else:
    port.close()
while True:
    signal.pause()
"""


class Stop(unittest.TestCase):
    def test_it_returns_when_the_children_are_gone_too(self):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            record = processes.start([sys.executable, "-c", PARENT], log, dict(os.environ), Path(folder))
            processes.wait_until(lambda: log.read_text().strip() != "", record, "the child", log, 10)
            port = int(log.read_text())
            with self.assertRaises(Problem):
                processes.require_free(port, "this test")
            began = time.monotonic()
            processes.stop(record, 5.0)
            self.assertGreater(time.monotonic() - began, 0.8, "the child took its time")
            processes.require_free(port, "this test")
