"""An API destination of a test's own: the deployed connection and target, with the test as the receiver."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from stack.support import StackTest, wait_for
from stack.tap import rule

DEPLOYED = "saga-to-azure"


@dataclass(frozen=True)
class Request:
    path: str
    headers: Message
    body: bytes


class Destination:
    """Events whose `sagatarget` is this destination's name arrive here. `status` is what every request is answered;
    `options` replace attributes of the deployed target, such as its RetryPolicy."""

    def __init__(self, test: StackTest, status: int = 200, **options):
        self.test, self.options = test, options
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.requests: list[Request] = []
        destination = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                destination.requests.append(Request(self.path, self.headers, body))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        deployed = rule(self.test, "ListTargetsByRule", Rule=DEPLOYED)["Targets"][0]
        own = self.test.events(
            "CreateApiDestination",
            Name=self.name,
            ConnectionArn=self.test.events("DescribeConnection", Name=DEPLOYED)["ConnectionArn"],
            InvocationEndpoint=f"http://127.0.0.1:{self.server.server_port}/api/events",
            HttpMethod="POST",
        )
        rule(self.test, "PutRule", Name=self.name, EventPattern=f'{{"detail": {{"sagatarget": ["{self.name}"]}}}}')
        target = {**deployed, "Id": self.name, "Arn": own["ApiDestinationArn"], **self.options}
        rule(self.test, "PutTargets", Rule=self.name, Targets=[target])
        return self

    def __exit__(self, *_):
        rule(self.test, "RemoveTargets", Rule=self.name, Ids=[self.name])
        rule(self.test, "DeleteRule", Name=self.name)
        self.test.events("DeleteApiDestination", Name=self.name)
        self.server.shutdown()
        self.server.server_close()

    def first_request(self) -> Request:
        wait_for(f"a request to {self.name}", lambda: self.requests)
        return self.requests[0]
