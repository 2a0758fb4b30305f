"""A proxy between the deployed functions and the emulator: it sees every request, and may answer in its place."""

from __future__ import annotations

import contextlib
import json
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .support import StackTest, ask


class Proxy:
    """Passes everything on, unless `answer` says something else."""

    def __init__(self, upstream: str):
        self.upstream = upstream
        host = upstream.removeprefix("http://")
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_OPTIONS(self):
                self.pass_on("OPTIONS", b"")

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                # "attempt=2; max=3": an SDK whose answer was late asks again.
                first = (self.headers.get("amz-sdk-request") or "attempt=1;").startswith("attempt=1;")
                answer = proxy.answer if first else proxy.answer_again
                own = answer(self.headers.get("X-Amz-Target") or "SNS.Publish", body)
                if own:
                    self.reply(own[0], [("Content-Type", "application/x-amz-json-1.0")], json.dumps(own[1]).encode())
                    return
                self.pass_on("POST", body)

            def pass_on(self, method: str, body: bytes):
                connection = HTTPConnection(host, timeout=60)
                connection.request(method, self.path, body, {name: value for name, value in self.headers.items() if name.lower() != "host"})
                answer = connection.getresponse()
                self.reply(answer.status, answer.getheaders(), answer.read())
                connection.close()

            def reply(self, status: int, headers: list, content: bytes):
                self.send_response(status)
                for name, value in headers:
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the caller may have given up
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, *_):
                pass
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, target: str, body: bytes) -> tuple[int, dict] | None:
        """Status and body in the emulator's place; `None` passes the request on."""
        raise NotImplementedError

    def answer_again(self, target: str, body: bytes) -> tuple[int, dict] | None:
        """The same, of a request that an SDK repeats."""
        return self.answer(target, body)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Rerouted:
    """Functions that talk to AWS through a proxy, for a while."""

    def __init__(self, test: StackTest, url: str, *functions: str):
        self.test, self.url, self.functions = test, url, functions

    def __enter__(self):
        self.before = {name: self.environment(name) for name in self.functions}
        for name, variables in self.before.items():
            self.environment(name, {**variables, "AWS_ENDPOINT_URL": self.url})
        return self

    def __exit__(self, *_):
        for name, variables in self.before.items():
            self.environment(name, variables)

    def environment(self, function: str, variables: dict | None = None) -> dict:
        scope = f"test/20260101/{self.test.e['region']}/lambda/aws4_request"
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00",
        }
        url = f"{self.test.e['aws']}/2015-03-31/functions/{function}/configuration"
        if variables is None:
            status, answer, _ = ask("GET", url, headers=headers)
        else:
            body = json.dumps({"Environment": {"Variables": variables}}).encode()
            status, answer, _ = ask("PUT", url, body, headers)
        self.test.assertEqual(status, 200, answer)
        return json.loads(answer)["Environment"]["Variables"]
