"""azure_table.py against a table service of this file's, on loopback."""

import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

INFRA = Path(__file__).resolve().parent.parent
sys.path.append(str(INFRA))

import azure_table  # noqa: E402


class Service(ThreadingHTTPServer):
    """Pages of two rows; between two passes, `changes` more times, a row changes."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.stored = {("p", f"r|{number}"): {"Stock": number, "Id@odata.type": "Edm.Int64", "Id": "9007199254740993"} for number in range(5)}
        self.versions = dict.fromkeys(self.stored, 1)
        self.changes, self.broken, self.silent, self.tokens = 0, 0, False, set()

    def handle_error(self, *_):
        """Whoever asked has gone: what the test is about."""

    def page(self, start: int) -> tuple[list[dict], int | None]:
        keys = sorted(self.stored)
        rows = [
            {"odata.etag": f"W/{self.versions[key]}", "PartitionKey": key[0], "RowKey": key[1], "Timestamp": "2026-01-01T00:00:00Z",
             "Timestamp@odata.type": "Edm.DateTime", **self.stored[key]} for key in keys[start:start + 2]
        ]
        return rows, start + 2 if start + 2 < len(keys) else None


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def handle_one(self) -> tuple[int, bytes, dict]:
        service = self.server
        service.tokens.add(self.headers["Authorization"])
        if service.silent:
            threading.Event().wait(3)
        if service.broken:
            service.broken -= 1
            return 503, b"busy", {}
        if self.command == "PUT":
            row = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            key = row.pop("PartitionKey"), row.pop("RowKey")
            service.stored[key], service.versions[key] = row, 1
            return 204, b"", {}
        start = int(self.path.split("NextRowKey=")[1].split("&")[0]) if "NextRowKey" in self.path else 0
        if "filter" in self.path and not start and service.changes:
            service.changes -= 1
            service.versions["p", "r|0"] += 1
            service.stored["p", "r|0"]["Stock"] += 100
        rows, following = service.page(start)
        more = {} if following is None else {"x-ms-continuation-NextPartitionKey": "p", "x-ms-continuation-NextRowKey": str(following)}
        return 200, json.dumps({"value": rows}).encode(), more

    def do_GET(self):
        status, body, headers = self.handle_one()
        self.send_response_only(status)
        for name, value in {"Date": formatdate(usegmt=True), "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

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
        self.assertEqual([row["Stock"] for row in rows], [300, 1, 2, 3, 4])

    def test_a_table_that_is_never_still_leaves_no_file_unless_one_asks_for_it(self):
        self.service.changes = 10**6
        status, said = self.export()
        self.assertEqual((status, self.copy.exists()), (3, False), said)
        self.assertIn("az functionapp stop", said)
        self.assertEqual(self.export("--any-moment")[0], 0)
        self.assertFalse(azure_table.read(self.copy)[0]["of_one_moment"])

    def test_a_busy_service_is_asked_again_and_a_table_with_rows_is_left_alone(self):
        self.service.broken = 3
        self.assertEqual(self.export()[0], 0)
        status, said = self.restore()
        self.assertEqual(status, 1)
        self.assertIn("is not empty", said)
        self.service.broken = 10**6
        status, said = self.export()
        self.assertEqual(status, 1)
        self.assertIn("503", said)

    def test_an_answer_that_never_comes_ends_the_run(self):
        self.service.silent = True
        with unittest.mock.patch.object(azure_table, "SECONDS", 0.1), unittest.mock.patch.object(azure_table, "TRIES", 2):
            status, said = self.export()
        self.assertEqual(status, 1)
        self.assertIn("timed out", said)

    def test_without_a_key_it_is_the_signed_in_user_over_https_only(self):
        del os.environ["AZURE_STORAGE_KEY"]
        status, said = self.run_it("export", "http://account.table.core.windows.net/SagaSteps", str(self.copy))
        self.assertEqual(status, 1)
        self.assertIn("not https", said)
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
        with unittest.mock.patch("subprocess.run", return_value=unittest.mock.Mock(stdout="the-token\n")):
            self.assertEqual(self.export()[0], 0)
        self.assertIn("Bearer the-token", self.service.tokens)


if __name__ == "__main__":
    unittest.main()
