"""connection.sh against an `aws` of this file's: what it waits for, when it gives up, and what it says."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "connection.sh"

# Writes down what it was called with, and answers with the next line of ANSWERS, or the last one.
AWS = """#!/bin/sh
echo "$*" >>"$NOTES/calls"
answer="$(sed -n "$(wc -l <"$NOTES/calls" | tr -d ' ')p" "$NOTES/answers")"
[ -n "$answer" ] || answer="$(tail -n 1 "$NOTES/answers")"
case "$answer" in
fails*) echo "$answer" >&2; exit 254 ;;
*) printf '%s\\n' "$answer" ;;
esac
"""


class Connection(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.notes = Path(folder.name)
        (self.notes / "bin").mkdir()
        aws = self.notes / "bin" / "aws"
        aws.write_text(AWS)
        aws.chmod(0o755)

    def look(self, *answers, **settings):
        (self.notes / "answers").write_text("\n".join(answers) + "\n")
        env = {
            "PATH": f"{self.notes / 'bin'}{os.pathsep}{os.environ['PATH']}", "NOTES": str(self.notes),
            "CONNECTION": "prod-saga-to-azure", "REGION": "eu-central-1", "WAIT_SECONDS": "20", "POLL_SECONDS": "0", "REFUSED_SECONDS": "0", **settings,
        }
        return subprocess.run(["sh", SCRIPT], env=env, capture_output=True, text=True, timeout=60, check=False)

    def test_waits_until_it_may_be_used(self):
        done = self.look("CREATING\tNone", "AUTHORIZING\tNone", "AUTHORIZED\tNone")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("AUTHORIZING", done.stdout)
        call = (self.notes / "calls").read_text().splitlines()[0]
        self.assertIn("--region eu-central-1 --name prod-saga-to-azure", call)
        self.assertIn("--cli-read-timeout", call)

    def test_a_refusal_that_stays_ends_it_with_the_reason(self):
        for state in ("DEAUTHORIZED", "FAILED_CONNECTIVITY"):
            with self.subTest(state):
                (self.notes / "calls").unlink(missing_ok=True)
                done = self.look(f"{state}\tinvalid_client: the secret has expired")
                self.assertEqual(done.returncode, 1)
                self.assertIn("the secret has expired", done.stderr)
                self.assertIn("nothing is lost", done.stderr)
                self.assertEqual(len((self.notes / "calls").read_text().splitlines()), 1)

    def test_a_refusal_that_passes_is_waited_for(self):
        done = self.look("DEAUTHORIZED\tinvalid_client", "DEAUTHORIZED\tinvalid_client", "AUTHORIZED\tNone", REFUSED_SECONDS="10")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_an_answer_that_never_comes_has_an_end(self):
        done = self.look("AUTHORIZING\tNone", WAIT_SECONDS="2", POLL_SECONDS="1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("still AUTHORIZING", done.stderr)

    def test_a_call_that_fails_is_made_again(self):
        done = self.look("fails: Unable to locate credentials", "AUTHORIZED\tNone")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Unable to locate credentials", done.stdout)

    def test_without_the_cli_it_says_what_is_missing(self):
        # Just what the script itself runs.
        tools = self.notes / "tools"
        tools.mkdir()
        for name in ("sh", "date", "sleep"):
            (tools / name).symlink_to(next(Path(place, name) for place in os.environ["PATH"].split(os.pathsep) if Path(place, name).exists()))
        done = self.look("AUTHORIZED\tNone", PATH=str(tools))
        self.assertEqual(done.returncode, 1)
        self.assertIn("AWS CLI is not installed", done.stderr)


if __name__ == "__main__":
    unittest.main()
