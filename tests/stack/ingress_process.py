"""The ingress' own program, invoked by a Lambda of our own: as fast as it answers, and under any environment
(https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html)."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import tempfile
import threading
import time
import zipfile
from pathlib import Path


class Ingress:
    """The program that the stack deployed, with these settings over the deployed ones."""

    def __init__(self, endpoints: dict, variables: dict[str, str]):
        self.endpoints, self.variables = endpoints, variables
        self.waiting: queue.Queue[bytes] = queue.Queue()
        self.answers: queue.Queue[tuple[dict, float]] = queue.Queue()
        self.listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        program = Path(self.folder.name, "bootstrap")
        with zipfile.ZipFile(Path(os.environ["SAGA_ENDPOINTS"]).parent / "zips" / "event-ingress.zip") as package:
            program.write_bytes(package.read("bootstrap"))
        program.chmod(0o700)
        threading.Thread(target=self._accept, daemon=True).start()
        environment = {
            **self.variables, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.listener.getsockname()[1]}", "AWS_ENDPOINT_URL": self.endpoints["aws"],
            "AWS_REGION": self.endpoints["region"], "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_LAMBDA_FUNCTION_NAME": "event-ingress", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_FUNCTION_VERSION": "1",
        }
        self.log = open(Path(self.folder.name, "log"), "w")  # noqa: SIM115 (closed at exit)
        self.process = subprocess.Popen([program], env=environment, stdout=self.log, stderr=self.log)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(60)
        self.listener.close()
        self.log.close()
        self.folder.cleanup()

    def post(self, invocations: list[bytes]) -> list[tuple[int, float]]:
        """Invokes it with each, one after the other: the status, and the seconds that it took."""
        for invocation in invocations:
            self.waiting.put(invocation)
        answers = []
        for _ in invocations:
            answer, seconds = self.answers.get(timeout=60)
            answers.append((answer["statusCode"], seconds))
        return answers

    def cpu_seconds(self) -> float:
        """What it has used of any core so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:  # closed: the test is over
                return
            threading.Thread(target=self._connected, args=(connection,), daemon=True).start()

    def _connected(self, connection: socket.socket):
        with contextlib.suppress(ConnectionError):  # the program was stopped while it waited
            self._serve(connection)

    def _serve(self, connection: socket.socket):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        text, began = b"", 0.0
        while True:
            while b"\r\n\r\n" not in text:
                part = connection.recv(65536)
                if not part:
                    return
                text += part
            head, text = text.split(b"\r\n\r\n", 1)
            if head.startswith(b"GET "):
                invocation = self.waiting.get()
                began = time.perf_counter()
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nlambda-runtime-aws-request-id: 1\r\nlambda-runtime-deadline-ms: 4102444800000\r\n"
                    b"lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:000000000000:function:event-ingress\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(invocation), invocation)
                )
                continue
            lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            while len(text) < int(lengths[0]):
                text += connection.recv(65536)
            body, text = text[: int(lengths[0])], text[int(lengths[0]):]
            self.answers.put((json.loads(body), time.perf_counter() - began))
            connection.sendall(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")


def invocation(event: dict, token: str) -> bytes:
    """A delivery as a function URL hands it on."""
    return json.dumps({
        "version": "2.0", "routeKey": "$default", "rawPath": "/", "rawQueryString": "", "isBase64Encoded": False, "body": json.dumps(event),
        "headers": {"authorization": f"Bearer {token}", "content-type": "application/json", "aeg-event-type": "Notification", "host": "x"},
        "requestContext": {
            "accountId": "anonymous", "apiId": "x", "domainName": "x", "domainPrefix": "x", "requestId": "1", "routeKey": "$default",
            "stage": "$default", "time": "21/Nov/2026:02:00:00 +0000", "timeEpoch": 1795226400000,
            "http": {"method": "POST", "path": "/", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "EventGrid"},
        },
    }).encode()
