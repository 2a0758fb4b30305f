"""Packages: what is in them, and that their bytes depend on nothing else."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
import unittest
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "infra"))
import package  # noqa: E402
import packing  # noqa: E402

PARTICIPANT = ROOT / "functions" / "azure-participant"


def modes(content: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {info.filename: oct(info.external_attr >> 16) for info in archive.infolist()}


class Packing(unittest.TestCase):
    def test_a_function_is_its_program_under_lambdas_name(self):
        self.assertEqual(modes(packing.zipped(packing.bootstrap(b"program"))), {"bootstrap": "0o100755"})

    def test_the_function_app_is_host_functions_and_the_handler_that_the_host_starts(self):
        content = packing.zipped(packing.function_app(PARTICIPANT, b"program"))
        self.assertEqual(
            modes(content),
            {
                "azure-participant": "0o100755",
                "host.json": "0o100644",
                "outbox-sweep/function.json": "0o100644",
                "saga-step/function.json": "0o100644",
                "service-call/function.json": "0o100644",
            },
        )
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            self.assertEqual(archive.read("host.json"), (PARTICIPANT / "host.json").read_bytes())
            self.assertEqual(archive.read("azure-participant"), b"program")

    def test_a_function_app_without_handler_or_functions_is_not_packed(self):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder)
            for host in (None, "{}", "no JSON", '{"customHandler":{"description":{"defaultExecutablePath":"handler"}}}'):
                if host is not None:
                    (source / "host.json").write_text(host)
                with self.assertRaises(packing.NotPackable, msg=host):
                    packing.function_app(source, b"program")

    def test_the_same_files_give_the_same_bytes(self):
        entries = [packing.Entry("b", b"2" * 5_000, packing.DATA), packing.Entry("a/c", b"1", packing.PROGRAM)]
        first = packing.zipped(entries)
        before = (os.environ.get("TZ"), os.umask(0o077))
        try:
            os.environ["TZ"] = "Pacific/Chatham"
            time.tzset()
            self.assertEqual(packing.zipped(entries[::-1]), first, "order, time zone and umask are no part of it")
        finally:
            os.umask(before[1])
            os.environ.pop("TZ") if before[0] is None else os.environ.update(TZ=before[0])
            time.tzset()
        with zipfile.ZipFile(io.BytesIO(first)) as archive:
            self.assertEqual([(info.filename, info.date_time) for info in archive.infolist()], [("a/c", packing.TIME), ("b", packing.TIME)])

    def test_a_package_is_read_as_it_was_written(self):
        entries = [packing.Entry("a/c", b"1", packing.PROGRAM), packing.Entry("b", b"2", packing.DATA)]
        self.assertEqual(packing.entries(packing.zipped(entries)), entries)

    def test_other_content_or_mode_gives_other_bytes(self):
        one = packing.Entry("a", b"1", packing.DATA)
        others = [packing.Entry("a", b"2", packing.DATA), packing.Entry("a", b"1", packing.PROGRAM), packing.Entry("b", b"1", packing.DATA)]
        for other in others:
            self.assertNotEqual(packing.zipped([one]), packing.zipped([other]), other)

    def test_every_function_is_packed_for_its_cloud(self):
        folders = {path.name for path in (ROOT / "functions").iterdir() if (path / "Cargo.toml").exists()}
        self.assertEqual({*package.lambdas(), package.PARTICIPANT}, folders)
        self.assertNotIn(package.PARTICIPANT, package.lambdas())


if __name__ == "__main__":
    unittest.main()
