"""What `make package` left in target/package: everything, for the right machines, and nothing of the machine that built it."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.append(str(ROOT / "infra"))
import elf  # noqa: E402
import package  # noqa: E402
import packing  # noqa: E402

PARTICIPANT = ROOT / "functions" / package.PARTICIPANT
PLACES = (ROOT, package.cargo_home())


def packed(name: str) -> bytes:
    file = package.PACKAGES / name
    if not file.exists():
        raise AssertionError(f"there is no {file}: run `make package` first")
    return file.read_bytes()


class Zips(unittest.TestCase):
    def test_every_lambda_function_is_there_for_both_architectures(self):
        for architecture in package.TARGETS:
            for name in package.lambdas():
                with self.subTest(f"{architecture}/{name}"):
                    program, = self.read(f"{architecture}/{name}.zip")
                    self.assertEqual((program.name, program.mode), ("bootstrap", packing.PROGRAM))
                    self.runs_on(program.content, architecture)

    def test_the_function_app_is_the_handler_and_the_files_beside_it(self):
        entries = self.read(f"{package.PARTICIPANT}.zip")
        program, = (entry for entry in entries if entry.mode == packing.PROGRAM)
        self.assertEqual(entries, sorted(packing.function_app(PARTICIPANT, program.content), key=lambda entry: entry.name))
        self.runs_on(program.content, package.PARTICIPANT_ARCHITECTURE)

    def read(self, name: str) -> list[packing.Entry]:
        content = packed(name)
        entries = packing.entries(content)
        self.assertEqual(packing.zipped(entries), content, "the same files give other bytes")
        print(f"{name}: {len(content):,} bytes", flush=True)
        return entries

    def runs_on(self, program: bytes, architecture: str):
        elf.check(program, architecture, package.NEWEST_GLIBC)
        for place in PLACES:
            self.assertNotIn(str(place).encode(), program, "it says where it was built")


if __name__ == "__main__":
    unittest.main()
