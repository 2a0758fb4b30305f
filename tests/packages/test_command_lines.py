"""A usage error of any script is one line that says how to get help, and exit code 2."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Those hand their arguments to another program, or are started by one.
OTHERS = {"policy.py", "terraform.py", "moto_server.py"}


def scripts() -> list[Path]:
    found = [file for folder in ("infra", "localstack", "tests") for file in sorted((ROOT / folder).glob("*.py"))]
    return [file for file in found if "__main__" in file.read_text() and file.name not in OTHERS]


class UsageErrors(unittest.TestCase):
    def check(self, file: Path, *arguments: str, **environment: str):
        done = subprocess.run([sys.executable, file, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False)
        said = done.stderr.splitlines()
        self.assertEqual((done.returncode, done.stdout, len(said)), (2, "", 1), f"{done.stdout}{done.stderr}")
        self.assertRegex(said[0], r"\(help: .+ --help\)$")

    def test_an_unknown_option_is_one_line(self):
        for file in scripts():
            with self.subTest(file.name):
                self.check(file, "--no-such-option")

    def test_so_is_a_port_that_is_none(self):
        self.check(ROOT / "localstack" / "stack.py", "status", PORT_BASE="99")
        self.check(ROOT / "localstack" / "demo.py", PORT_BASE="x")


if __name__ == "__main__":
    unittest.main()
