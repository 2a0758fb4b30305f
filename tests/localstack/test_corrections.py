"""Whether LocalStack still needs what localstack_plugin corrects."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import stack.support  # noqa: F401 (knows where local_stack lies)

from local_stack.tools import LOCALSTACK_VENV

UNCORRECTED = Path(__file__).with_name("uncorrected.py")
SECONDS = 120


class Corrections(unittest.TestCase):
    def test_each_is_still_needed(self):
        with tempfile.TemporaryDirectory() as home:
            env = {"PATH": os.defpath, "HOME": home, "TMPDIR": home, "LOCALSTACK_VOLUME_DIR": f"{home}/volume", "FILESYSTEM_ROOT": home}
            command = [LOCALSTACK_VENV / "bin" / "python", UNCORRECTED]
            done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=home, timeout=SECONDS)
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout.splitlines()[-1])
        self.assertTrue(answer["needed"])
        for correction, needed in answer["needed"].items():
            with self.subTest(correction=correction):
                self.assertTrue(needed, f"LocalStack {answer['version']} does without: take this out of localstack_plugin")
