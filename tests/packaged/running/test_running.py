"""The packages for x86-64, as they are deployed: the functions on the emulator, the handler under the host's stand-in."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from stack.support import PATIENCE_SECONDS, ROOT, StackTest, order

from local_stack.read_back import aws_get  # (support knows where it lies)

sys.path.append(str(ROOT / "infra"))
import package  # noqa: E402
import packing  # noqa: E402

ARCHITECTURE = "x86_64"
# Only deployed in place of the API destination.
RELAY = "event-relay"
# Invoked by their schedules, which the emulator need not have reached yet.
SCHEDULED = ("outbox-poller", "deadline-sweeper", "dlq-replayer")


def packed(name: str) -> bytes:
    return (package.PACKAGES / name).read_bytes()


class Packaged(StackTest):
    def test_what_runs_is_what_was_packed(self):
        for name in package.lambdas():
            if name != RELAY:
                wanted = base64.b64encode(hashlib.sha256(packed(f"{ARCHITECTURE}/{name}.zip")).digest()).decode()
                self.assertEqual(json.loads(aws_get(self.e, "lambda", f"/2015-03-31/functions/{name}/configuration"))["CodeSha256"], wanted, name)
        handler = next(entry for entry in packing.entries(packed(f"{package.PARTICIPANT}.zip")) if entry.mode == packing.PROGRAM)
        running = Path(f"/proc/{self.e['pids']['azure_participant']}/exe").read_bytes()
        self.assertEqual(hashlib.sha256(running).digest(), hashlib.sha256(handler.content).digest(), "the handler")

    def test_a_payment_completes(self):
        saga = self.ended_soon(self.start(order(items=[{"sku": "keyboard", "quantity": 1}]))["saga_id"], "COMPLETED")
        self.assertEqual(self.dynamo.payment(saga["saga_id"])["Status"]["S"], "COMPLETED")
        self.assertEqual(self.azure.step(saga["saga_id"], 1)["State"], "DONE")

    def test_a_payment_over_the_limit_is_compensated(self):
        saga = self.ended_soon(self.start(order("15000"))["saga_id"], "CANCELLED_VIA_COMPENSATION")
        self.assertIn("over the limit", saga["reason"])
        self.assertEqual(self.dynamo.payment(saga["saga_id"])["Status"]["S"], "CANCELLED_VIA_COMPENSATION")
        self.assertEqual(self.azure.step(saga["saga_id"], 1)["State"], "REFUSED")

    def test_the_functions_of_schedules_run(self):
        for name in SCHEDULED:
            self.assertNotIn("errorType", self.invoke(name) or {}, name)

    def test_the_relay_starts_and_asks_for_work(self):
        asked = threading.Event()

        class Runtime(BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path.endswith("/runtime/invocation/next"):
                    asked.set()
                self.send_response(500)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Runtime)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder, "bootstrap")
            program.write_bytes(packing.entries(packed(f"{ARCHITECTURE}/{RELAY}.zip"))[0].content)
            program.chmod(0o755)
            environment = {
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}", "AWS_LAMBDA_FUNCTION_NAME": RELAY,
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_REGION": self.e["region"],
                "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                "AZURE_TENANT_ID": "11111111-2222-3333-4444-555555555555", "AZURE_CLIENT_ID": "66666666-7777-8888-9999-000000000000",
                "EVENTGRID_TOPIC_ENDPOINT": "https://127.0.0.1:1/api/events", "PATH": os.defpath,
            }
            with Path(folder, "log").open("w+") as log:
                process = subprocess.Popen([program], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                try:
                    started = asked.wait(PATIENCE_SECONDS)
                finally:
                    process.kill()
                    process.wait()
                    server.shutdown()
                    server.server_close()
                log.seek(0)
                self.assertTrue(started, log.read())
