"""azure_table.py against a table service of this file's, on loopback."""

import calendar
import gzip
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote

INFRA = Path(__file__).resolve().parent.parent
sys.path.append(str(INFRA))

import azure_table  # noqa: E402


TYPED = {
    "Count": 7, "Id": "9007199254740993", "Id@odata.type": "Edm.Int64", "At": "2026-01-01T00:00:00.1234567Z", "At@odata.type": "Edm.DateTime",
    "Bytes": "AP8=", "Bytes@odata.type": "Edm.Binary", "Share": "NaN", "Share@odata.type": "Edm.Double", "Empty": "", "Odd": "\u2028'\"",
}


class Service(ThreadingHTTPServer):
    """Two partitions in pages of two rows. Ten seconds pass at each request. In each of the first `changes` passes a row changes after it
    was read, and one is new."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        keys = [("a", f"r|{number}") for number in range(4)] + [("b", name) for name in ("a'b%/\u00fc", "b", "z")]
        self.stored = {key: {"Stock": number, **TYPED} for number, key in enumerate(keys)}
        self.now = 1_790_000_000
        self.written = dict.fromkeys(self.stored, (self.now - 3_600, 1))
        self.only_new, self.full = False, False
        self.changes, self.broken, self.short, self.silent, self.refused, self.tokens = 0, 0, 0, False, set(), []

    def handle_error(self, *_):
        """Whoever asked has gone: what the test is about."""

    def write(self, key: tuple[str, str], row: dict) -> None:
        self.stored[key] = row
        self.written[key] = (self.now, self.written.get(key, (0, 0))[1] + 1)

    def page(self, since: int, start: tuple[str, str]) -> tuple[list[dict], dict]:
        keys = [key for key in sorted(self.stored) if self.written[key][0] >= since and key >= start]
        rows = [
            {"odata.etag": f"W/{self.written[key][1]}", "PartitionKey": key[0], "RowKey": key[1], "Timestamp": "2026-01-01T00:00:00Z",
             "Timestamp@odata.type": "Edm.DateTime", **self.stored[key]} for key in keys[:2]
        ]
        if len(keys) <= 2:
            return rows, {}
        more = {"x-ms-continuation-NextPartitionKey": keys[2][0]}
        # As Azure does where a partition begins.
        return rows, more if keys[2][0] != keys[1][0] else more | {"x-ms-continuation-NextRowKey": quote(keys[2][1])}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def handle_one(self) -> tuple[int, bytes, dict]:
        service = self.server
        service.now += 10
        service.tokens.append(self.headers["Authorization"])
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if service.silent:
            threading.Event().wait(3)
        if self.headers["Authorization"] in service.refused:
            return 401, b"expired", {}
        if service.broken:
            service.broken -= 1
            return 503, b"busy", {}
        path, _, query = self.path.partition("?")
        if self.command == "PUT" and service.full:
            return 413, b"the account is full", {}
        if self.command == "PUT":
            row = json.loads(body)
            key = row.pop("PartitionKey"), row.pop("RowKey")
            named = re.search(r"\(PartitionKey='(.*)',RowKey='(.*)'\)$", path)
            parts = [unquote(one) for one in named.groups()]
            assert tuple(one.replace("''", "'") for one in parts) == key and "'" not in "".join(parts).replace("''", ""), path
            assert "/" not in path.partition("(")[2], path
            service.write(key, row)
            return 204, b"", {}
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        since = 0
        if "$filter" in asked:
            text = re.fullmatch(r"Timestamp ge datetime'(.*)Z'", asked["$filter"])[1]
            since = calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
        rows, more = service.page(since, (asked.get("NextPartitionKey", ""), unquote(asked.get("NextRowKey", ""))))
        # Behind what has just been read.
        if "NextPartitionKey" not in asked and service.changes:
            service.changes -= 1
            service.write(("a", f"new|{service.now}"), {"Stock": -1})
            if not service.only_new:
                service.write(("a", "r|0"), {**TYPED, "Stock": service.stored["a", "r|0"]["Stock"] + 100})
        return 200, json.dumps({"value": rows}).encode(), more

    def do_GET(self):
        status, body, headers = self.handle_one()
        self.send_response_only(status)
        short = self.server.short
        self.server.short = max(0, short - 1)
        length = len(body) + (5 if short else 0)
        for name, value in {"Date": formatdate(self.server.now, usegmt=True), "Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    do_PUT = do_GET


class AzureTable(unittest.TestCase):
    def setUp(self):
        self.service = Service()
        threading.Thread(target=self.service.serve_forever, daemon=True).start()
        self.addCleanup(self.service.server_close)
        self.addCleanup(self.service.shutdown)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.copy = Path(folder.name) / "copy.jsonl.gz"
        self.url = f"http://127.0.0.1:{self.service.server_address[1]}/account/SagaSteps"
        for patch in (unittest.mock.patch.dict(os.environ, {"AZURE_STORAGE_KEY": "a2V5"}), unittest.mock.patch("time.sleep")):
            patch.start()
            self.addCleanup(patch.stop)

    def run_it(self, *arguments: str) -> tuple[int, str]:
        said = io.StringIO()
        with unittest.mock.patch.object(sys, "argv", ["azure_table.py", *arguments]), \
                unittest.mock.patch.object(sys, "stdout", said), unittest.mock.patch.object(sys, "stderr", said):
            status = azure_table.main()
        return status, said.getvalue()

    def export(self, *more: str):
        return self.run_it("export", self.url, str(self.copy), *more)

    def restore(self):
        return self.run_it("restore", self.url, str(self.copy))

    def test_every_row_comes_back_with_its_types(self):
        before = {key: dict(row) for key, row in self.service.stored.items()}
        self.assertEqual(self.export()[0], 0)
        self.service.stored.clear()
        status, said = self.restore()
        self.assertEqual((status, self.service.stored), (0, before), said)
        self.assertTrue(all(token.startswith("SharedKeyLite account:") for token in self.service.tokens))

    def test_what_changes_meanwhile_is_read_again(self):
        self.service.changes = 3
        status, said = self.export()
        self.assertEqual(status, 0, said)
        head, rows = azure_table.read(self.copy)
        self.assertTrue(head["of_one_moment"])
        found = {(row["PartitionKey"], row["RowKey"]): row["Stock"] for row in rows}
        self.assertEqual(found, {key: row["Stock"] for key, row in self.service.stored.items()})
        self.assertEqual((found["a", "r|0"], len(found)), (300, 10))

    def test_a_table_that_is_never_still_leaves_no_file(self):
        self.service.changes = 10**6
        status, said = self.export()
        self.assertEqual((status, list(self.copy.parent.iterdir())), (3, []), said)
        self.assertIn("az functionapp stop", said)

    def test_what_there_is_of_such_a_table_is_kept_where_one_asks_for_it(self):
        self.service.changes = 10**6
        self.assertEqual(self.export("--any-moment")[0], 0)
        self.assertFalse(azure_table.read(self.copy)[0]["of_one_moment"])

    def test_rows_that_are_new_in_each_pass_are_no_moment_either(self):
        self.service.only_new, self.service.changes = True, 10**6
        self.assertEqual(self.export()[0], 3)

    def test_a_copy_that_could_not_be_written_is_no_file(self):
        with unittest.mock.patch.object(azure_table, "own", side_effect=OSError("no space left")):
            status, said = self.export()
        self.assertEqual((status, self.copy.exists()), (1, False))
        self.assertIn("no space left", said)

    def test_a_copy_is_never_overwritten(self):
        self.copy.write_bytes(b"the good one")
        status, said = self.export()
        self.assertEqual((status, self.copy.read_bytes()), (1, b"the good one"))
        self.assertIn("is there already", said)

    def test_an_interrupted_restore_goes_on_and_other_rows_are_left_alone(self):
        before = {key: dict(row) for key, row in self.service.stored.items()}
        self.export()
        for key in list(self.service.stored)[2:]:
            del self.service.stored[key]
        self.assertEqual(self.restore()[0], 0)
        self.assertEqual(self.service.stored, before)
        for odd in ({"Stock": 1}, None):
            self.service.write(("a", "r|0"), odd or before["a", "r|0"])
            if odd is None:
                self.service.write(("c", "another"), {})
            now = dict(self.service.stored)
            status, said = self.restore()
            self.assertEqual((status, self.service.stored), (1, now))
            self.assertIn("other rows than the copy", said)

    def test_a_copy_that_is_not_whole_is_refused(self):
        self.export()
        whole = self.copy.read_bytes()
        lines = gzip.decompress(whole).splitlines(keepends=True)
        self.service.stored.clear()
        for damaged in (whole[:-20], b"", b"no copy", gzip.compress(b"".join(lines[:-1])), gzip.compress(b"".join(lines[:2] + lines[3:]))):
            self.copy.write_bytes(damaged)
            status, said = self.restore()
            self.assertEqual((status, self.service.stored), (1, {}))
            self.assertIn("no whole copy", said)

    def test_a_busy_service_and_an_answer_cut_short_are_asked_again(self):
        self.service.broken = 3
        self.assertEqual(self.export()[0], 0)
        self.copy.unlink()
        self.service.short = 3
        self.assertEqual(self.export()[0], 0)
        self.copy.unlink()
        self.service.broken = 10**6
        status, said = self.export()
        self.assertEqual(status, 1)
        self.assertIn("503", said)

    def test_a_restore_that_fails_ends_without_trying_every_row(self):
        for number in range(200):
            self.service.write(("a", f"more|{number:03}"), {})
        self.export()
        self.service.stored.clear()
        self.service.tokens.clear()
        self.service.full = True
        status, said = self.restore()
        self.assertEqual((status, self.service.stored), (1, {}))
        self.assertIn("413", said)
        self.assertLess(len(self.service.tokens), 100)

    def test_an_answer_that_never_comes_ends_the_run(self):
        self.service.silent = True
        with unittest.mock.patch.object(azure_table, "SECONDS", 0.1), unittest.mock.patch.object(azure_table, "TRIES", 2):
            status, said = self.export()
        self.assertEqual(status, 1)
        self.assertIn("timed out", said)

    def test_without_a_key_it_is_the_signed_in_user_over_https_only(self):
        del os.environ["AZURE_STORAGE_KEY"]
        for address, why in {"http://account.table.core.windows.net/SagaSteps": "not https", "http://127.0.0.1:9": "no address", "x": "no address"}.items():
            status, said = self.run_it("export", address, str(self.copy))
            self.assertEqual(status, 1)
            self.assertIn(why, said)
        answers = {
            "is not installed": FileNotFoundError(),
            "within two minutes": subprocess.TimeoutExpired("az", 1),
            "AADSTS": subprocess.CalledProcessError(1, "az", stderr="AADSTS700082"),
        }
        for expected, error in answers.items():
            with unittest.mock.patch("subprocess.run", side_effect=error):
                status, said = self.export()
            self.assertEqual(status, 1)
            self.assertIn(expected, said)
        for odd in ("", "{}", "[]"):
            with unittest.mock.patch("subprocess.run", return_value=unittest.mock.Mock(stdout=odd)):
                status, said = self.export()
            self.assertEqual(status, 1)
            self.assertIn("no token", said)

    def test_a_token_is_renewed_before_it_ends_and_when_it_is_refused(self):
        del os.environ["AZURE_STORAGE_KEY"]
        given = []

        def az(*_, **__):
            given.append(f"token-{len(given)}")
            lasts = 3_600 if len(given) > 1 else -10  # the first is used for two minutes
            return unittest.mock.Mock(stdout=json.dumps({"accessToken": given[-1], "expires_on": int(time.time()) + lasts}))
        with unittest.mock.patch("subprocess.run", side_effect=az):
            self.service.refused = {"Bearer token-0"}
            self.assertEqual(self.export()[0], 0)
        self.assertEqual(given, ["token-0", "token-1"])
        self.assertEqual(set(self.service.tokens), {"Bearer token-0", "Bearer token-1"})


if __name__ == "__main__":
    unittest.main()
