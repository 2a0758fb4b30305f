"""Nobody delivers with a token that Event Grid's tenant did not give to Event Grid for this audience: whatever the token
says of itself, nothing reaches the bus, nobody is asked for keys but the configured issuer, and who is let in is let in as
before while a thousand others a second are not."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from .forger import Forger, node, reads
from .ingress_process import Ingress, invocation
from .proxy import Rerouted
from .support import UNANSWERED, StackTest, order, wait_for
from .tap import Tap


class Elsewhere:
    """An address that forged tokens name. Nobody must come."""

    def __enter__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/keys"
        return self

    def __exit__(self, *_):
        self.listener.close()

    def anybody(self) -> bool:
        try:
            self.listener.accept()[0].close()
        except BlockingIOError:
            return False
        return True


class Issuer:
    """Publishes keys, and counts who asks for them."""

    def __init__(self):
        issuer, self.keys, self.asked = self, [], 0

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.asked += 1
                body = json.dumps({"keys": issuer.keys}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class ForgedTokens(StackTest):
    def pending(self) -> dict:
        saga = self.start(order())
        self.assertEqual(saga["status"], "PENDING_AZURE_CONFIRMATION")
        return saga

    def post_with(self, event: dict, authorizations: list[str]) -> int:
        """As urllib cannot: with several headers of one name."""
        def answered():
            try:
                status = self.post_once(event, authorizations)
            except OSError:
                return None
            return None if status in UNANSWERED else status
        return wait_for("an answer of the webhook", answered)

    def post_once(self, event: dict, authorizations: list[str]) -> int:
        url, body = urlsplit(self.e["ingress"]), json.dumps(event).encode()
        connection = HTTPConnection(url.netloc, timeout=60)
        connection.putrequest("POST", url.path)
        for name, value in [*(("Authorization", value) for value in authorizations), ("Content-Type", "application/json"), ("Content-Length", str(len(body)))]:
            connection.putheader(name, value)
        connection.endheaders(body)
        status = connection.getresponse().status
        connection.close()
        return status

    def test_each_forged_token_is_refused_and_none_of_its_events_reaches_the_bus(self):
        """Signed with the stack's own key wherever the forgery is not about the signature."""
        valid = self.token()
        forger = Forger(self.e["oidc"], reads(valid)[0]["kid"])
        key = (Path(os.environ["SAGA_ENDPOINTS"]).parent / "oidc.pem").read_text()
        with self.paused("azure_participant"), Elsewhere() as elsewhere, Tap(self) as tap:
            saga = self.pending()
            forged = forger.forged(elsewhere.url)
            wanted = [forger.token(), *forged.values()]
            own, *tokens = node({"issuer": key}, wanted)["tokens"]
            headers = {name: [f"Bearer {token}"] for name, token in zip(forged, tokens, strict=True)}
            headers |= {
                "none": [], "empty": [""], "another scheme": ["Basic dXNlcjpwYXNz"], "no scheme": [valid], "truncated": [f"Bearer {valid[:-40]}"],
                "no signature": [f"Bearer {valid.rsplit('.', 1)[0]}."], "huge": [f"Bearer {valid}{'A' * 9000}"], "garbage": ["Bearer a.b.c"],
                "two in one": [f"Bearer {valid}, Bearer {tokens[0]}"], "two": [f"Bearer {tokens[0]}", f"Bearer {tokens[1]}"],
            }
            for name, authorizations in headers.items():
                with self.subTest(name):
                    self.assertIn(self.post_with(self.compensation(saga), authorizations), (401, 403))
            # The last to be delivered is the first that the bus sees; its token was made as the others were.
            fence = self.compensation(saga)
            self.assertEqual(self.deliver(fence, own)[0], 200)
            tap.wait_for(id=fence["id"])
            outside = {event["id"] for event in tap.events() if event["source"] == fence["source"]}
            self.assertEqual(outside, {fence["id"]})
            self.assertFalse(elsewhere.anybody(), "somebody asked for the keys that a token named")
            # Before the participant goes on: the saga could complete first.
            wait_for("the compensation", lambda: self.saga(saga["saga_id"])["status"] == "CANCELLED_VIA_COMPENSATION")
        ids = [line["event_id"] for line in self.ended(saga["saga_id"], "CANCELLED_VIA_COMPENSATION")["timeline"]]
        self.assertIn(fence["id"], ids)

    def test_a_valid_token_again_does_no_harm(self):
        """Within its life a token may be shown by whoever saw it; the protocol bears every repeat."""
        saga, token = self.ended(self.start(order())["saga_id"], "COMPLETED"), self.token()
        event = self.compensation(saga)
        for _ in range(5):
            self.assertEqual(self.deliver(event, token)[0], 200)
        with Tap(self) as tap:
            last = self.compensation(saga)
            self.assertEqual(self.deliver(last, token)[0], 200)
            tap.wait_for(id=last["id"])
        self.assertEqual({**self.saga(saga["saga_id"]), "timeline": 0}, {**saga, "timeline": 0})

    def test_a_thousand_forged_tokens_a_second_leave_a_valid_delivery_unharmed(self):
        """One instance of the very program, which Lambda gives one request at a time."""
        rounds, each, begun = 10, 300, time.monotonic()
        saga = self.ended(self.start(order())["saga_id"], "COMPLETED")
        with Issuer() as issuer, Elsewhere() as elsewhere, Tap(self) as tap:
            variables = {**Rerouted(self, "").environment("event-ingress"), "OIDC_JWKS_URL": issuer.url, "RUST_LOG": "error"}
            forger = Forger(self.e["oidc"], "ours")
            kinds = forger.forged(elsewhere.url)
            many = {f"kid {number}": forger.token({"kid": f"unknown-{number}"}, key="foreign") for number in range(20)}
            made = node({}, [forger.token(), *kinds.values(), *many.values()])
            valid, *forged = made["tokens"]
            issuer.keys = [{**made["jwks"]["issuer"], "kid": "ours", "use": "sig"}]
            event = self.compensation(saga)
            flood = [invocation(event, forged[number % len(forged)]) for number in range(each)]
            with Ingress(self.e, variables) as ingress:
                ids, spent, cpu, slowest = [], 0.0, 0.0, 0.0
                for _ in range(rounds):
                    ids.append(self.compensation(saga))
                    [(status, seconds)] = ingress.post([invocation(ids[-1], valid)])
                    self.assertEqual(status, 200)
                    slowest = max(slowest, seconds)
                    before = ingress.cpu_seconds()
                    answers = ingress.post(flood)
                    cpu += ingress.cpu_seconds() - before
                    self.assertLessEqual({status for status, _ in answers}, {401, 403})
                    spent += sum(seconds for _, seconds in answers)
                last = self.compensation(saga)
                self.assertEqual(ingress.post([invocation(last, valid)])[0][0], 200)
            tap.wait_for(id=last["id"])
            outside = {event["id"] for event in tap.events() if event["source"] == last["source"]}
            self.assertEqual(outside, {event["id"] for event in [*ids, last]})
            minutes = int(time.monotonic() - begun) // 60
            self.assertLessEqual(issuer.asked, 2 + minutes, "unknown key ids made it ask the issuer again and again")
            self.assertFalse(elsewhere.anybody(), "somebody asked for the keys that a token named")
        count = rounds * each
        figures = f"{count} forged tokens: {count / spent:.0f} a second, {cpu / count * 1e6:.0f} µs of a core each; a valid delivery took {slowest * 1e3:.0f} ms at most"
        print(f"\n{figures}", flush=True)
        # Others may use the cores, too, and how long one waits is theirs to say; a thousand a second need no more than one core.
        self.assertLess(cpu / count, 0.001, figures)
