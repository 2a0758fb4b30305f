"""`saga conformance` against services as processes: the two samples, the one of SERVICES.md, and one in Perl, right and broken."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .support import Faulty, Provider, Second, exchange

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SECRETS = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]
SIGNATURES = {"signature-missing", "signature-wrong", "signature-old", "signature-rotation", "signature-raw-body"}
TOMBSTONE = {"undo-before-act", "undo-during-act", "undo-of-refused"}
saga: Path


def setUpModule() -> None:
    global saga
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--package", "saga-cli"], cwd=ROOT, check=True)
    metadata = subprocess.run(["cargo", "metadata", "--no-deps", "--format-version=1"], cwd=ROOT, capture_output=True, check=True)
    saga = Path(json.loads(metadata.stdout)["target_directory"], "debug", "saga")


class Answering(Provider):
    """A provider that says 404 or 405 to what it does not know, and so is there."""

    def wait(self) -> None:
        end = time.monotonic() + 20
        while exchange(self.port, "GET", "/").status == 0:
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the service does not answer: {(self.folder / 'log').read_text()}")
            time.sleep(0.02)


class OfThePage(Answering):
    """The sample of SERVICES.md, as it stands there, on another port."""

    def command(self) -> list[str]:
        page = (ROOT / "shared" / "wire" / "SERVICES.md").read_text()
        code = re.search(r"```python\n(.*?)```", page, re.S)[1]
        for before, after in (("9000", str(self.port)), ('"bank.sqlite"', repr(str(self.folder / "bank.sqlite")))):
            assert before in code, before
            code = code.replace(before, after)
        (self.folder / "bank.py").write_text(code)
        return [sys.executable, str(self.folder / "bank.py")]


class Third(Answering):
    """`third_provider.pl`, changed where a test says so."""

    changes: tuple[tuple[str, str], ...] = ()
    extra: tuple[str, ...] = ()

    def command(self) -> list[str]:
        text = (HERE / "third_provider.pl").read_text()
        for before, after in self.changes:
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        (self.folder / "third.pl").write_text(text)
        return ["perl", str(self.folder / "third.pl"), "--port", str(self.port), "--ledger", str(self.folder / "ledger"), "--limit", "10000", *self.extra]

    def effects(self) -> list[tuple[str, str, int]]:
        entries = map(json.loads, (self.folder / "ledger").read_text().splitlines())
        return [("", entry["key"].rsplit(".", 1)[0], entry["effect"]) for entry in entries if entry["effect"]]


class Conformance(unittest.TestCase):
    def folder(self) -> Path:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Path(folder.name)

    def running(self, provider: Provider) -> Provider:
        provider.start()
        self.addCleanup(provider.kill)
        return provider

    def tried(self, provider: Provider, path: str, refused: dict[str, Any], *more: str, secrets: list[str] = []) -> tuple[int, dict[str, set[str]]]:
        """The exit status, and the checks by their results."""
        folder = self.folder()
        (folder / "input.json").write_text('{"account":"alice","amount":"1.00","payee":"dave"}')
        (folder / "refuse.json").write_text(json.dumps(refused))
        command = [str(saga), "conformance", f"http://127.0.0.1:{provider.port}{path}", "--json", "--junit", str(folder / "junit.xml")]
        command += ["--input", str(folder / "input.json"), "--refuse", str(folder / "refuse.json"), *more]
        environment = {**os.environ, **({"BANK": " ".join(secrets)} if secrets else {})}
        command += ["--secret-env", "BANK"] if secrets else []
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        self.shown = done.stdout + done.stderr
        found: dict[str, set[str]] = {"kept": set(), "broken": set(), "skipped": set()}
        for check in json.loads(done.stdout)["checks"]:
            found[check["result"]].add(check["id"])
        cases = xml.etree.ElementTree.parse(folder / "junit.xml").iter("testcase")
        self.assertEqual({case.get("name") for case in cases if case.find("failure") is not None}, found["broken"])
        return done.returncode, found

    def assert_passes(self, provider: Provider, path: str, refused: dict[str, Any], skipped: set[str], *more: str, secrets: list[str] = []) -> None:
        status, found = self.tried(provider, path, refused, *more, secrets=secrets)
        self.assertEqual((status, found["broken"], found["skipped"]), (0, set(), skipped | {"later-decides"}), self.shown)

    def test_the_faulty_provider_without_a_fault(self):
        provider = self.running(Faulty(self.folder()))
        self.assert_passes(provider, "/ledger", provider.refused(), SIGNATURES, "--recover", "tombstone")
        self.assert_passes(provider, "/bank", {"payee": "mallory", "amount": "1.00"}, SIGNATURES | TOMBSTONE)
        effects = {}
        for service, key, effect in provider.effects():
            effects.setdefault((service, key), []).append(effect)
        self.assertEqual({tuple(each) for each in effects.values()}, {(1, -1)})

    def test_the_faulty_provider_with_faults_that_a_caller_outlives(self):
        provider = self.running(Faulty(self.folder()))
        some = {"probability": 0.1}
        provider.faults({"ledger": {"status": {"code": 503, **some}, "apply_and_time_out": {"hold": 0, **some}, "garbage": {"kind": "text", **some}}})
        status, found = self.tried(provider, "/ledger", provider.refused(), "--recover", "tombstone")
        # A garbled answer has no form, and an answer that is lost is no answer.
        self.assertEqual((status, found["broken"]), (0, set()), self.shown)

    def test_the_faulty_provider_with_signatures(self):
        provider = Faulty(self.folder())
        provider.extra = ["--signature", " ".join(SECRETS)]
        self.running(provider)
        self.assert_passes(provider, "/ledger", provider.refused(), set(), "--recover", "tombstone", secrets=SECRETS)
        status, found = self.tried(provider, "/ledger", provider.refused(), secrets=["whsec_bm9ib2R5IGtub3dzIHRoaXMgc2VjcmV0IGhlcmU="])
        self.assertEqual((status, found["broken"]), (1, {"act-decides"}))

    def test_faults_are_found(self):
        provider = self.running(Faulty(self.folder()))
        for fault, broken in (
            ({"redirect": {}}, "no-redirect"), ({"status": {"code": 404}}, "act-decides"), ({"garbage": {"kind": "large"}}, "body-bound"),
            ({"bad_output": {"kind": "reserved"}}, "output-rules"), ({"later": {"seconds": 60}}, "later-decides"),
        ):
            with self.subTest(broken):
                provider.faults({"mail": fault})
                status, found = self.tried(provider, "/mail", {}, "--decide-within", "1s")
                self.assertEqual((status, found["broken"]), (1, {broken}), self.shown)

    @unittest.skipUnless(shutil.which("node") or os.environ.get("CI"), "Node.js is not installed")
    def test_the_second_provider(self):
        provider = self.running(Second(self.folder()))
        self.assert_passes(provider, "/ledger", provider.refused(), SIGNATURES, "--recover", "tombstone")
        self.assert_passes(provider, "/ledger", provider.refused(), SIGNATURES | TOMBSTONE)

    def test_the_sample_of_the_page(self):
        provider = self.running(OfThePage(self.folder()))
        self.assert_passes(provider, "", {"amount": "9000"}, SIGNATURES, "--recover", "tombstone")

    @unittest.skipUnless(shutil.which("perl") or os.environ.get("CI"), "Perl is not installed")
    def test_a_service_in_another_language(self):
        provider = Third(self.folder())
        provider.extra = ("--secret", SECRETS[0])
        self.running(provider)
        self.assert_passes(provider, "/saga", {"amount": 10001}, set(), "--recover", "tombstone", secrets=SECRETS[:1])
        effects = {}
        for _, key, effect in provider.effects():
            effects.setdefault(key, []).append(effect)
        self.assertEqual({tuple(each) for each in effects.values()}, {(1, -1)})

    @unittest.skipUnless(shutil.which("perl") or os.environ.get("CI"), "Perl is not installed")
    def test_its_broken_variants(self):
        lookup = "if (my $known = $answer{$verb, $body->{key}}) { return $known }"
        cases = (
            (((lookup, lookup.replace("$known =", "$known = $verb eq 'undo' &&")),), {"same-act-twice", "twenty-at-once", "attempts-are-one", "act-after-undo", "act-during-undo", "undo-during-act", "undo-before-act"}),
            ((("flock $file, LOCK_EX", "1"), ("my $note = sub {", "select undef, undef, undef, 0.05; my $note = sub {")), {"twenty-at-once", "undo-during-act"}),
            ((("unless $acted;", "if 0;"),), {"undo-before-act"}),
            ((("if $key eq '' || ($body->{key} // '') ne $key", "if $key eq ''"),), {"malformed-two-keys"}),
            ((("booking => ", "saga_booking => "),), {"output-rules"}),
            ((("&& abs(time - $time) <= 300", ""),), {"signature-old"}),
            ((("split ' ', $given", "($given)"),), {"signature-rotation"}),
            ((("reason => \"the amount is over $limit\"", "reason => ''"),), {"refusal-reason"}),
            ((("$status == 200 ? 'application/json'", "$status == 200 ? 'text/plain'"),), {"content-type"}),
        )
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda case: self.broken_by(case[0]), cases))
        self.assertEqual(found, [(1, broken) for _, broken in cases])

    def broken_by(self, changes: tuple[tuple[str, str], ...]) -> tuple[int, set[str]]:
        """What is found in the third service with these changes."""
        provider = Third(self.folder())
        provider.changes, provider.extra = changes, ("--secret", SECRETS[0])
        self.running(provider)
        status, found = self.tried(provider, "/saga", {"amount": 10001}, "--recover", "tombstone", "--decide-within", "10s", secrets=SECRETS[:1])
        return status, found["broken"]


if __name__ == "__main__":
    unittest.main()
