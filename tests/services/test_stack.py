"""What the local stack makes of a services file, and how it runs the provider."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

from .support import a_call, exchange, free_port

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "localstack"))
from local_stack import outside_services, processes  # noqa: E402
from local_stack.console import Problem  # noqa: E402
from local_stack.state import State  # noqa: E402


class ServicesFile(unittest.TestCase):
    def read(self, text: str) -> dict:
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(text)
            file.flush()
            return outside_services.read(Path(file.name), "http://127.0.0.1:4572")

    def test_the_stacks_own_binds_three_services_to_its_provider(self):
        bound = outside_services.read(outside_services.BINDINGS, "http://127.0.0.1:4572")
        shown = {name: (service["url"], service["cloud"], service["auth"]) for name, service in bound.items()}
        self.assertEqual(shown, {
            "ledger": ("http://127.0.0.1:4572/ledger", "aws", "none"),
            "bank": ("http://127.0.0.1:4572/bank", "azure", "none"),
            "mail": ("http://127.0.0.1:4572/mail", "azure", "none"),
        })

    def test_both_readers_read_the_same(self):
        text = outside_services.BINDINGS.read_text() + '\n[other-1]\nurl = "https://a.example/#x" # not "this"\nmax_concurrency = 7\nflag = true\n'
        self.assertEqual(outside_services.simple_toml(text)["other-1"], {"url": "https://a.example/#x", "max_concurrency": 7, "flag": True})
        if outside_services.tomllib:
            self.assertEqual(outside_services.simple_toml(text), outside_services.tomllib.loads(text))

    def test_the_simple_reader_says_which_line_it_cannot_read(self):
        for text, line in (("[a]\nb = 1\nb = 2", 3), ("[a]\n[a]", 2), ("[a]\n\nb = [1]", 3), ("[a]\nb = \"\\\"\"", 2), ("[a.b]", 1), ("b =", 1)):
            with self.subTest(text), self.assertRaisesRegex(ValueError, f"line {line}"):
                outside_services.simple_toml(text)

    def test_a_service_that_is_not_bound_is_named(self):
        bound = 'url = "https://a.example"\ncloud = "aws"\nauth = "sigv4"\n'
        self.assertEqual(list(self.read(f"[a]\n{bound}")), ["a"])
        for text, said in (
            (f"[a]\n{bound}[b]\n", "service b"), (f'[a]\n{bound}lambda = "arn"', "service a"), ('[a]\ncloud = "mars"\nurl = "x"\nauth = "none"', "service a"),
            ("x = 1", "x outside of any service"), ("[a", "no TOML"),
        ):
            with self.subTest(text), self.assertRaises(Problem) as problem:
                self.read(text)
            self.assertIn(said, problem.exception.what)
        with self.assertRaisesRegex(Problem, "cannot be read"):
            outside_services.read(Path("/nowhere.toml"), "")


class OnAStack(unittest.TestCase):
    def setUp(self):
        warnings.simplefilter("ignore", ResourceWarning)  # what the stack starts outlives the handle of its starter
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = State(Path(folder.name))
        self.state.logs.mkdir()
        self.state.begin(free_port() - outside_services.PORT_OFFSET, False, "ministack")
        self.addCleanup(self.stop)
        outside_services.run(self.state)
        self.port = self.state.port_base + outside_services.PORT_OFFSET

    def stop(self):
        processes.stop(self.state.process("services"), 5.0)

    def served_by(self) -> int | None:
        answer = exchange(self.port, "GET", "/status")
        return answer.body["pid"] if answer.status else None

    def test_it_keeps_running_and_keeps_its_ledger(self):
        first, record, call = self.served_by(), self.state.process("services"), a_call()
        answer = exchange(self.port, "POST", "/mail/act", call, {"idempotency-key": call["key"]})
        self.assertEqual(answer.decision, "accepted")
        outside_services.run(self.state)
        self.assertEqual((self.served_by(), self.state.process("services")), (first, record))
        os.kill(first, signal.SIGKILL)
        processes.wait_until(lambda: self.served_by() not in (None, first), record, "the provider", self.state.logs / "services.log", 20)
        self.state.values["provider"] = "other code"
        outside_services.run(self.state)
        self.assertNotEqual(self.state.process("services")["pid"], record["pid"])
        self.assertEqual(exchange(self.port, "POST", "/mail/act", call, {"idempotency-key": call["key"]}).body, answer.body)
        self.stop()
        self.assertIsNone(self.served_by())

    def test_both_clouds_get_the_file_as_json(self):
        given = json.loads(outside_services.services_json(self.state))
        self.assertEqual(given, outside_services.bound(self.state))
        self.assertEqual(given["bank"]["url"], f"http://127.0.0.1:{self.port}/bank")
        other = self.state.folder / "mine.toml"
        other.write_text('[mine]\nurl = "{services}/mine"\ncloud = "aws"\nauth = "none"\n')
        self.state.values["services_file"] = str(other)
        self.assertEqual(list(json.loads(outside_services.services_json(self.state))), ["mine"])

    def test_scripts_learn_where_it_is(self):
        page = outside_services.endpoints(self.state)
        self.assertEqual((page["provider"], Path(page["ledger"]).exists(), sorted(page["bound"])), (f"http://127.0.0.1:{self.port}", True, ["bank", "ledger", "mail"]))


if __name__ == "__main__":
    unittest.main()
