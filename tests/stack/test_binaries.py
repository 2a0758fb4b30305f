"""What is deployed stays small: a cold start reads all of it."""

from __future__ import annotations

from .dead_letters import BINARIES
from .support import StackTest

MAX_BYTES = 10_000_000
NAMES = ("saga-initiator", "outbox-poller", "saga-events", "event-ingress", "deadline-sweeper", "dlq-replayer", "azure-participant")


class Binaries(StackTest):
    def test_every_binary_is_under_ten_megabytes(self):
        sizes = {name: (BINARIES / name).stat().st_size for name in NAMES}
        print("\n" + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items()), flush=True)
        for name, size in sizes.items():
            self.assertLess(size, MAX_BYTES, name)
