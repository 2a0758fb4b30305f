"""deploy.sh against an `az` of this file's: what it waits for, when it gives up, and what it says."""

import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "deploy.sh"
SUBSCRIPTION = "00000000-0000-0000-0000-00000000ABCD"

# Writes down what it was called with. MODE says how it behaves.
AZ = """#!/bin/sh
echo "$*" >>"$NOTES/calls"
case "$*" in
"account show"*)
  [ "$MODE" != signed-out ] || { echo "ERROR: Please run 'az login' to setup account." >&2; exit 1; }
  if [ "$MODE" = other-subscription ]; then echo 99999999-0000-0000-0000-000000000000; else echo "$SUBSCRIPTION" | tr A-F a-f; fi ;;
*"appsettings delete"*)
  [ "$MODE" = sticky ] || touch "$NOTES/deleted" ;;
*"appsettings list"*)
  [ -e "$NOTES/deleted" ] || echo AzureWebJobsStorage ;;
*"config-zip"*)
  case $MODE in
  never-answers) sleep 600 & echo $! >"$NOTES/hanging"; wait ;;
  never-works) echo "ERROR: (AuthorizationFailed) no role" >&2; exit 1 ;;
  works-at-last)
    echo x >>"$NOTES/uploads"
    [ "$(wc -l <"$NOTES/uploads")" -ge 3 ] || { echo "ERROR: the container answers 403" >&2; exit 1; } ;;
  esac ;;
esac
"""


class Deploy(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.notes = Path(folder.name)
        (self.notes / "bin").mkdir()
        self.package = self.notes / "package.zip"
        self.package.write_text("zip")
        self.az = self.notes / "bin" / "az"
        self.az.write_text(AZ)
        self.az.chmod(0o755)

    def deploy(self, mode, **settings):
        env = {
            "PATH": f"{self.notes / 'bin'}{os.pathsep}{os.environ['PATH']}", "NOTES": str(self.notes), "MODE": mode,
            "SUBSCRIPTION": SUBSCRIPTION, "RESOURCE_GROUP": "group", "FUNCTION_APP": "app", "PACKAGE": str(self.package),
            "WAIT_SECONDS": "30", "CALL_SECONDS": "10", "PAUSE_SECONDS": "0", **settings,
        }
        return subprocess.run(["sh", SCRIPT], env=env, capture_output=True, text=True, timeout=60, check=False)

    def calls(self, word):
        return [line for line in (self.notes / "calls").read_text().splitlines() if word in line]

    @staticmethod
    def runs(process):
        state = subprocess.run(["ps", "-o", "stat=", "-p", process], capture_output=True, text=True, check=False).stdout.strip()
        return state and not state.startswith("Z")

    def test_settings_first_then_the_package(self):
        done = self.deploy("works")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("--setting-names AzureWebJobsStorage", self.calls("appsettings delete")[0])
        self.assertIn(f"--src {self.package}", self.calls("config-zip")[0])
        for call in self.calls("functionapp"):
            self.assertIn(f"--subscription {SUBSCRIPTION} --resource-group group --name app", call)

    def test_it_can_be_repeated(self):
        self.assertEqual(self.deploy("works").returncode, 0)
        self.assertEqual(self.deploy("works").returncode, 0)
        self.assertEqual(len(self.calls("config-zip")), 2)

    def test_an_upload_that_fails_twice_is_tried_again_and_says_so(self):
        done = self.deploy("works-at-last")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.calls("config-zip")), 3)
        self.assertIn("attempt 2 failed (ERROR: the container answers 403)", done.stdout)

    def test_an_upload_that_never_answers_ends(self):
        began = time.monotonic()
        done = self.deploy("never-answers", WAIT_SECONDS="3", CALL_SECONDS="2")
        self.assertEqual(done.returncode, 1)
        self.assertLess(time.monotonic() - began, 30)
        self.assertIn("no answer within 2 seconds", done.stderr)
        self.assertIn("Apply again", done.stderr)
        hanging = (self.notes / "hanging").read_text().strip()
        until = time.monotonic() + 10
        while self.runs(hanging):
            self.assertLess(time.monotonic(), until, "the CLI's own child runs on")
            time.sleep(0.05)

    def test_an_upload_that_never_works_ends_with_the_last_answer(self):
        done = self.deploy("never-works", WAIT_SECONDS="2", PAUSE_SECONDS="1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("AuthorizationFailed", done.stderr)

    def test_a_setting_that_stays_is_a_failure(self):
        done = self.deploy("sticky", WAIT_SECONDS="2", PAUSE_SECONDS="1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("still there", done.stderr)
        self.assertEqual(self.calls("config-zip"), [])

    def test_another_subscription_is_refused_at_once(self):
        done = self.deploy("other-subscription")
        self.assertEqual(done.returncode, 1)
        self.assertIn("not for", done.stderr)
        self.assertEqual(self.calls("functionapp"), [])

    def test_nobody_signed_in_is_refused_at_once(self):
        done = self.deploy("signed-out")
        self.assertEqual(done.returncode, 1)
        self.assertIn("az login", done.stderr)
        self.assertEqual(self.calls("functionapp"), [])

    def test_without_a_cli_it_says_where_one_is(self):
        self.az.unlink()
        tools = self.notes / "tools"
        tools.mkdir()
        for name in ("sh", "date", "mktemp", "rm", "ps", "awk"):
            tools.joinpath(name).symlink_to(next(Path(place, name) for place in os.environ["PATH"].split(os.pathsep) if Path(place, name).exists()))
        done = self.deploy("works", PATH=str(tools))
        self.assertEqual(done.returncode, 1)
        self.assertIn("not installed", done.stderr)

    def test_without_a_package_the_app_is_made_ready(self):
        done = self.deploy("works", PACKAGE="")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(len(self.calls("appsettings delete")), 1)
        self.assertEqual(self.calls("config-zip"), [])

    def test_a_package_that_is_not_there_is_refused(self):
        self.package.unlink()
        done = self.deploy("works")
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no package", done.stderr)


if __name__ == "__main__":
    unittest.main()
