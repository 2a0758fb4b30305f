"""The storage account of the local stack: what a deployment to Azure provisions is made here on Azurite.

Signed with the shared key, as https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
describes. Invariant: everything is made only when it is absent, so a second run changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from . import http
from .console import Problem

# The account every Azurite has; name and key are published in its documentation.
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

TABLE = "SagaSteps"
QUEUE = "saga-events"
POISON_QUEUE = "saga-events-poison"
CALLS_QUEUE = "saga-calls"
CALLS_POISON_QUEUE = "saga-calls-poison"
QUARANTINE_QUEUE = "saga-quarantine"
DEAD_LETTER_CONTAINER = "deadletters"
BUCKETS = 16


@dataclass(frozen=True)
class Account:
    blob: str
    queue: str
    table: str

    @classmethod
    def on(cls, port_base: int) -> Account:
        return cls(*(f"http://127.0.0.1:{port_base + offset}/{ACCOUNT}" for offset in (1, 2, 3)))

    def connection_string(self) -> str:
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint={self.blob};QueueEndpoint={self.queue};TableEndpoint={self.table};"
        )

    def answers(self) -> bool:
        """Any answer will do: an unsigned request is refused, but by a server that listens."""
        return all(http.request("GET", url, seconds=1.0)[0] for url in (self.blob, self.queue, self.table))

    def provision(self, stock_file: Path) -> None:
        self._table_request("Tables", {"TableName": TABLE})
        for queue in (QUEUE, POISON_QUEUE, CALLS_QUEUE, CALLS_POISON_QUEUE, QUARANTINE_QUEUE):
            self._put(f"{self.queue}/{queue}", {})
        self._put(f"{self.blob}/{DEAD_LETTER_CONTAINER}", {"restype": "container"})
        self.seed_stock(json.loads(stock_file.read_text()))

    def seed_stock(self, stock: list[dict]) -> None:
        for item in stock:
            self._table_request(TABLE, {
                "PartitionKey": bucket_of("inventory"),
                "RowKey": f"entity|stock|{item['sku']}",
                "Sku": item["sku"],
                "Available": str(item["available"]),
                "Available@odata.type": "Edm.Int64",
                "Revision": "1",
                "Revision@odata.type": "Edm.Int64",
            })

    def _put(self, url: str, query: dict[str, str]) -> None:
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
        canonical_headers = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical_query = "".join(f"\n{name}:{query[name]}" for name in sorted(query))
        # VERB, eleven standard headers that are not sent, then what is.
        text = "PUT" + "\n" * 12 + canonical_headers + _resource(url) + canonical_query
        headers["Authorization"] = f"SharedKey {ACCOUNT}:{sign(text)}"
        headers["Content-Length"] = "0"
        full = url + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")
        _made(full, http.request("PUT", full, None, headers))

    def _table_request(self, path: str, entity: dict) -> None:
        url, date = f"{self.table}/{path}", formatdate(usegmt=True)
        headers = {
            "x-ms-date": date,
            "x-ms-version": "2019-02-02",
            "Authorization": f"SharedKeyLite {ACCOUNT}:{sign(date + chr(10) + _resource(url))}",
            "Content-Type": "application/json",
            "Accept": "application/json;odata=nometadata",
            "Prefer": "return-no-content",
        }
        _made(url, http.request("POST", url, json.dumps(entity).encode(), headers))


def _resource(url: str) -> str:
    # The account's name stands twice: an emulator's path begins with it.
    return f"/{ACCOUNT}/" + url.split("/", 3)[3]


def bucket_of(partition: str) -> str:
    """The PartitionKey of a participant's rows: saga-core's bucket_of, written as saga-azure writes it."""
    head = hashlib.sha256(partition.encode()).digest()[:8]
    return f"{int.from_bytes(head, 'big') % BUCKETS:02}"


def sign(text: str) -> str:
    return base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()


def _made(url: str, answer: tuple[int, bytes]) -> None:
    status, body = answer
    if status not in (200, 201, 204, 409):  # 409: it is there already
        raise Problem(f"Azurite answered {status} to {url}: {body[:300].decode(errors='replace')}", "run `down`, then `up` again")
