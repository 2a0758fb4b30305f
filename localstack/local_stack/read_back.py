"""What the stores themselves hold, past our own code: DynamoDB's and Table storage's wire protocols."""

from __future__ import annotations

import json
from email.utils import formatdate
from urllib.parse import quote

from . import http
from .console import Problem
from .storage import ACCOUNT, bucket_of, sign


class Dynamo:
    def __init__(self, endpoints: dict):
        self.url, self.names = endpoints["aws"], endpoints["names"]
        self.region = endpoints["region"]

    def payment(self, saga_id: str) -> dict:
        key = {"TransactionId": {"S": saga_id}}
        return self._call("GetItem", {"TableName": self.names["payments_table"], "Key": key, "ConsistentRead": True})["Item"]

    def outbox_rows(self) -> int:
        return self._call("Scan", {"TableName": self.names["outbox_table"], "Select": "COUNT", "ConsistentRead": True})["Count"]

    def _call(self, operation: str, body: dict) -> dict:
        # The emulator asks for the form of a signature and does not check it.
        scope = f"test/20260101/{self.region}/dynamodb/aws4_request"
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00",
        }
        return _json(http.request("POST", self.url, json.dumps(body).encode(), headers))


class Azure:
    def __init__(self, endpoints: dict):
        self.url, self.table = endpoints["azurite"]["table"], endpoints["names"]["azure_table"]

    def stock(self, sku: str) -> int:
        return int(self._row(bucket_of("inventory"), f"entity|stock|{sku}")["Available"])

    def step(self, saga_id: str, index: int) -> dict:
        return self._row(bucket_of("inventory"), f"step|{saga_id}|{index}")

    def outbox_rows(self) -> int:
        condition = quote("RowKey ge 'outbox|' and RowKey lt 'outbox}'")
        return len(self._get(f"{self.table}()", f"$filter={condition}")["value"])

    def _row(self, partition: str, row: str) -> dict:
        return self._get(f"{self.table}(PartitionKey='{partition}',RowKey='{quote(row)}')")

    def _get(self, path: str, query: str = "") -> dict:
        date = formatdate(usegmt=True)
        resource = f"/{ACCOUNT}/" + f"{self.url}/{path}".split("/", 3)[3]
        headers = {
            "x-ms-date": date,
            "x-ms-version": "2019-02-02",
            "Authorization": f"SharedKeyLite {ACCOUNT}:{sign(date + chr(10) + resource)}",
            "Accept": "application/json;odata=nometadata",
        }
        return _json(http.request("GET", f"{self.url}/{path}" + (f"?{query}" if query else ""), headers=headers))


def _json(answer: tuple[int, bytes]) -> dict:
    status, body = answer
    if status != 200:
        raise Problem(f"a store answered {status}: {body[:300].decode(errors='replace')}", "read the log of the store")
    return json.loads(body)
