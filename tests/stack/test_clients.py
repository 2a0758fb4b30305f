"""What current clients of the clouds send, byte for byte as their makers' libraries do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import uuid
from email.utils import formatdate
from urllib.parse import quote, quote_plus

from .support import StackTest, ask, order, wait_for

from local_stack.storage import ACCOUNT, sign  # noqa: E402 (support says where it is)


class Publishers(StackTest):
    """Microsoft's libraries publish batches, write `data_base64` for bytes, and sign with `AzureSasCredential`."""

    def signature(self, ends: float, resource: str | None = None, key: str | None = None) -> str:
        """https://learn.microsoft.com/azure/event-grid/security-authenticate-publishing-clients"""
        resource = resource or self.e["eventgrid"]["topic"] + "?apiVersion=2018-01-01"
        expiry = time.strftime("%Y-%m-%d %H:%M:%S+00:00", time.gmtime(ends))
        signed = f"r={quote(resource, safe='')}&e={quote(expiry, safe='')}"
        digest = hmac.new(base64.b64decode(key or self.e["eventgrid"]["key"]), signed.encode(), hashlib.sha256).digest()
        return f"{signed}&s={quote_plus(base64.b64encode(digest))}"

    def send(self, headers: dict, events: list[dict]) -> int:
        headers = {"Content-Type": "application/cloudevents-batch+json; charset=utf-8", **headers}
        return ask("POST", self.e["eventgrid"]["topic"] + "?api-version=2018-01-01", json.dumps(events).encode(), headers)[0]

    def test_a_compensation_of_bytes_with_a_shared_access_signature(self):
        ways = (lambda token: {"aeg-sas-token": token}, lambda token: {"Authorization": f"SharedAccessSignature {token}"})
        with self.paused("azure_participant"):
            for way in ways:
                saga = self.start(order())
                event = self.compensation(saga, time="2026-11-21T00:00:00.123456Z", datacontenttype="application/json")
                event["data_base64"] = base64.b64encode(json.dumps(event.pop("data")).encode()).decode()
                self.assertEqual(self.send(way(self.signature(time.time() + 600)), [event]), 200)
                cancelled = wait_for("the compensation", lambda saga=saga: self.cancelled(saga))
                self.assertEqual(cancelled["reason"], "fraud suspected")

    def cancelled(self, saga: dict) -> dict | None:
        found = self.saga(saga["saga_id"])
        return found if found["status"] == "CANCELLED_VIA_COMPENSATION" else None

    def test_a_signature_that_is_not_this_topics_is_refused(self):
        event = {"specversion": "1.0", "id": uuid.uuid4().hex, "source": "s", "type": "t"}
        later, other = time.time() + 600, base64.b64encode(b"another key").decode()
        for name, token in {
            "expired": self.signature(time.time() - 60), "another topic": self.signature(later, "https://other.eventgrid.azure.net/api/events"),
            "another key": self.signature(later, key=other), "changed": self.signature(later).replace("&e=", "&e=9"), "nothing": "",
        }.items():
            for headers in ({"aeg-sas-token": token}, {"Authorization": f"SharedAccessSignature {token}"}):
                with self.subTest(name):
                    self.assertEqual(self.send(headers, [event]), 401)


class Storage(StackTest):
    def test_a_version_of_the_api_that_is_newer_than_the_emulator(self):
        version = "2099-01-01"
        for service, path in (("queue", "/?comp=list"), ("blob", "/?comp=list"), ("table", "/Tables")):
            with self.subTest(service):
                date = formatdate(usegmt=True)
                # https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
                scheme, signed = "SharedKey", "GET" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{version}\n/{ACCOUNT}/{ACCOUNT}/\ncomp:list"
                if service == "table":
                    scheme, signed = "SharedKeyLite", f"{date}\n/{ACCOUNT}/{ACCOUNT}{path}"
                headers = {"Accept": "application/json", "x-ms-date": date, "x-ms-version": version, "Authorization": f"{scheme} {ACCOUNT}:{sign(signed)}"}
                status, answer, _ = ask("GET", self.e["azurite"][service] + path, headers=headers)
                self.assertEqual(status, 200, answer)
