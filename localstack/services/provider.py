#!/usr/bin/env python3
"""An outside service as a bank has one: it keeps the participant contract, and its faults can be switched over HTTP.

    python3 localstack/services/provider.py --port 4572 --ledger ledger.sqlite

Any number of services, by path: POST /<service>/act and /<service>/undo. `ledger` debits an account, `bank` pays out, `mail`
notifies, and any other name accepts everything. For tests:

    GET    /status                  process id, seed
    GET    /faults                  the faults that hold
    PUT    /faults, /faults/bank    replaces all faults, or those of one service
    DELETE /faults                  no more faults
    GET    /ledger                  every effect (?service= &saga=)
    GET    /requests                who was asked, when, and what was said (?service= &key= &since=unix seconds)

It listens on 127.0.0.1 only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from business import Business
from calls import DIED, MAX_BODY_BYTES, Calls, Reply, problem, said
from faults import BadSwitch, Faults
from signature import secrets_of
from store import Store

CALL = re.compile(r"/([A-Za-z0-9][A-Za-z0-9_-]*)/(act|undo)")
SWITCHES = re.compile(r"/faults(?:/([A-Za-z0-9*][A-Za-z0-9_-]*))?")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ledger", type=Path, required=True, help="SQLite file with everything that must survive; made when it is not there")
    parser.add_argument("--accounts", type=Path, default=Path(__file__).with_name("accounts.json"), help="JSON: opening balances, and payees (open or blocked)")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="makes chance repeatable for the same keys (default: chosen and shown)")
    parser.add_argument("--signature", default="", help='demand a Standard Webhooks signature: "whsec_…", or two of them, each of which is valid')
    parser.add_argument("--restart-after", type=float, help="start again so many seconds after the provider died")
    arguments = parser.parse_args()
    try:
        valid = secrets_of(arguments.signature)
    except ValueError as error:
        parser.error(f"--signature: {error}")
    if arguments.restart_after is None:
        serve(arguments, valid)
    else:
        keep_running(lambda: serve(arguments, valid), arguments.restart_after)


def serve(arguments: argparse.Namespace, valid: list[bytes]) -> None:
    store = Store(arguments.ledger)
    faults = Faults(store, arguments.seed)
    Handler.store, Handler.faults, Handler.seed = store, faults, arguments.seed
    Handler.calls = Calls(store, faults, Business.read(arguments.accounts), valid)
    with Server(("127.0.0.1", arguments.port), Handler) as server:
        print(f"listening on http://127.0.0.1:{server.server_port}, seed {arguments.seed}, pid {os.getpid()}", flush=True)
        server.serve_forever()


def keep_running(serve_once, pause: float) -> None:
    """Runs the provider in a child, and in another one when a fault or a signal ended it. The child does not outlive this process."""
    while True:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(writer)
            threading.Thread(target=exit_at_end_of, args=(reader,), daemon=True).start()
            serve_once()
            os._exit(0)
        os.close(reader)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(writer)
        if status >= 0 and status != DIED:
            sys.exit(status)
        print(f"the provider ended ({status}); it starts again in {pause:g} seconds", flush=True)
        time.sleep(pause)


def exit_at_end_of(pipe: int) -> None:
    os.read(pipe, 1)
    os._exit(0)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that an idle connection is kept
    wbufsize = -1  # head and body in one packet
    store: Store
    faults: Faults
    calls: Calls
    seed: str

    def do_POST(self) -> None:
        self._handle(self._post)

    def do_GET(self) -> None:
        self._handle(self._get)

    def do_PUT(self) -> None:
        self._handle(self._put)

    def do_DELETE(self) -> None:
        self._handle(self._delete)

    def _handle(self, answer) -> None:
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        body = self._body()
        self._send(body if isinstance(body, Reply) else answer(url.path, query, body))

    def _post(self, path: str, _: dict[str, str], body: bytes) -> Reply:
        call = CALL.fullmatch(path)
        return self.calls.answer(*call.groups(), self.headers, body) if call else not_found(path)

    def _get(self, path: str, query: dict[str, str], _: bytes) -> Reply:
        if path == "/status":
            return said(200, {"pid": os.getpid(), "seed": self.seed})
        if path == "/faults":
            return said(200, self.faults.shown())
        if path == "/ledger":
            return said(200, self.store.ledger(query.get("service"), query.get("saga")))
        if path == "/requests":
            try:
                since = float(query.get("since", 0))
            except ValueError:
                return problem(400, "since is no number of seconds")
            return said(200, self.store.requests(query.get("service"), query.get("key"), since))
        return not_found(path)

    def _put(self, path: str, _: dict[str, str], body: bytes) -> Reply:
        switches = SWITCHES.fullmatch(path)
        if not switches:
            return not_found(path)
        try:
            self.faults.replace(json.loads(body), switches[1])
        except ValueError:
            return problem(400, "the body is no JSON")
        except BadSwitch as why:
            return problem(400, str(why))
        return said(200, self.faults.shown())

    def _delete(self, path: str, _: dict[str, str], __: bytes) -> Reply:
        switches = SWITCHES.fullmatch(path)
        if not switches:
            return not_found(path)
        self.faults.replace({}, switches[1])
        return said(200, self.faults.shown())

    def _body(self) -> bytes | Reply:
        length = self.headers.get("content-length", "0")
        if "transfer-encoding" in self.headers or not length.isdecimal():
            self.close_connection = True
            return problem(411, "the length of the body must be given")
        if int(length) > MAX_BODY_BYTES:
            self.close_connection = True
            return problem(413, f"a body has at most {MAX_BODY_BYTES} bytes")
        return self.rfile.read(int(length))

    def _send(self, reply: Reply) -> None:
        if reply.status == 0:
            self.close_connection = True
            return
        try:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.content) if reply.declared_length is None else reply.declared_length))
            self.end_headers()
            self.wfile.write(reply.content)
            self.wfile.flush()
        except OSError:
            self.close_connection = True  # the client did not wait
        if reply.declared_length is not None:
            self.close_connection = True

    def log_message(self, *_) -> None:
        """GET /requests says more."""


def not_found(path: str) -> Reply:
    return problem(404, f"there is no {path} for this method")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
