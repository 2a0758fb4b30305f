"""What is deployed stays small: a cold start reads all of it."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from .support import ROOT, StackTest

from local_stack import packages  # (support says where it is)

sys.path.append(str(ROOT / "infra"))
import packing  # noqa: E402

MAX_BYTES = 10_000_000


class Binaries(StackTest):
    def test_every_binary_is_under_ten_megabytes(self):
        if not self.e["packages"]:
            self.assertNotEqual((platform.system(), platform.machine()), ("Linux", "x86_64"), "here the stack runs packages")
            self.skipTest("the stack runs functions of the development profile, which are larger: see --packages")
        folder = Path(self.e["packages"])
        zips = [*sorted((folder / packages.architecture()).glob("*.zip")), folder / f"{packages.PARTICIPANT}.zip"]
        sizes = {file.stem: sum(len(entry.content) for entry in packing.entries(file.read_bytes()) if entry.mode == packing.PROGRAM) for file in zips}
        self.assertLessEqual({*packages.LAMBDAS, packages.PARTICIPANT}, sizes.keys())
        print("\n" + ", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items()), flush=True)
        for name, size in sizes.items():
            self.assertLess(size, MAX_BYTES, name)
