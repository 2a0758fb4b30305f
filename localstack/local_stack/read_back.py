"""What the stores themselves hold, past our own code: DynamoDB's and Table storage's wire protocols."""

from __future__ import annotations

import json
from email.utils import formatdate
from urllib.parse import quote
from xml.etree import ElementTree

from . import http
from .console import Problem
from .storage import ACCOUNT, bucket_of, sign


class Missing(Problem):
    """What a call names is not there."""


def aws_json(endpoints: dict, service: str, target: str, body: dict, version: str = "1.0") -> dict:
    """A call of one of AWS' JSON protocols. The emulator asks for the form of a signature and does not check it."""
    scope = f"test/20260101/{endpoints['region']}/{service}/aws4_request"
    headers = {
        "Content-Type": f"application/x-amz-json-{version}",
        "X-Amz-Target": target,
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00",
    }
    for _ in range(5):
        answer = http.request("POST", endpoints["aws"], json.dumps(body).encode(), headers, seconds=60)
        # On a busy machine the emulator closes a connection before it has answered. Each of these calls bears a repeat.
        if answer[0] != 0:
            break
    return _json(answer)


def aws_get(endpoints: dict, service: str, path: str) -> bytes:
    """A read of one of AWS' other protocols."""
    return aws_rest(endpoints, service, "GET", path)


def aws_rest(endpoints: dict, service: str, method: str, path: str, body: dict | None = None) -> bytes:
    """A call of one of AWS' other protocols."""
    scope = f"test/20260101/{endpoints['region']}/{service}/aws4_request"
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00",
    }
    for _ in range(5):
        status, answer = http.request(method, endpoints["aws"] + path, json.dumps(body).encode() if body else None, headers, seconds=60)
        if status != 0:  # as above
            break
    if status == 404:
        raise Missing(f"{service} has no {path}", "look whether the emulator was restarted: it keeps everything in memory")
    if status != 200:
        raise Problem(f"{service} answered {status}: {answer[:300].decode(errors='replace')}", "read the log of the emulator")
    return answer


class Dynamo:
    def __init__(self, endpoints: dict):
        self.endpoints, self.names = endpoints, endpoints["names"]

    def payment(self, saga_id: str) -> dict:
        key = {"TransactionId": {"S": saga_id}}
        return self._call("GetItem", {"TableName": self.names["payments_table"], "Key": key, "ConsistentRead": True})["Item"]

    def outbox_rows(self) -> int:
        """Pending rows: neither dead ones nor leases."""
        return len([row for row in self.outbox_items() if row["Shard"]["S"].isdigit() and row["EventId"]["S"] != "!lease"])

    def dead_rows(self) -> list[dict]:
        return [row for row in self.outbox_items() if row["Shard"]["S"] == "dead"]

    def outbox_items(self) -> list[dict]:
        return self.items("outbox_table")

    def items(self, table: str) -> list[dict]:
        """All that is in a table, which is named as the endpoints name it."""
        body = {"TableName": self.names[table], "ConsistentRead": True}
        found, answer = [], {"LastEvaluatedKey": None}
        while "LastEvaluatedKey" in answer:
            if answer["LastEvaluatedKey"]:
                body["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
            answer = self._call("Scan", body)
            found += answer["Items"]
        return found

    def put_outbox_rows(self, rows: list[dict]) -> None:
        """Rows as they are committed: `Shard`, `EventId`, `SagaId`, `Type`, `Body` and the times."""
        table = self.names["outbox_table"]
        for start in range(0, len(rows), 25):
            requests = [{"PutRequest": {"Item": row}} for row in rows[start:start + 25]]
            self._call("BatchWriteItem", {"RequestItems": {table: requests}})

    def make_overdue(self, saga_id: str, at: int) -> None:
        """Moves a saga's deadline, in milliseconds, and has the sweeper look at once."""
        self._set_times(saga_id, at, "Deadline", "DueAt")

    def make_due(self, saga_id: str, at: int) -> None:
        """Has the sweeper look at once."""
        self._set_times(saga_id, at, "DueAt")

    def _set_times(self, saga_id: str, at: int, *attributes: str) -> None:
        times = ", ".join(f"{attribute} = :at" for attribute in attributes)
        self._call("UpdateItem", {
            "TableName": self.names["sagas_table"], "Key": {"SagaId": {"S": saga_id}},
            "UpdateExpression": f"SET {times}, Revision = Revision + :one",
            "ExpressionAttributeValues": {":at": {"N": str(at)}, ":one": {"N": "1"}},
            "ConditionExpression": "attribute_exists(DueAt)",
        })

    def _call(self, operation: str, body: dict) -> dict:
        return aws_json(self.endpoints, "dynamodb", f"DynamoDB_20120810.{operation}", body)


class Azure:
    def __init__(self, endpoints: dict):
        self.url, self.table = endpoints["azurite"]["table"], endpoints["names"]["azure_table"]
        self.queues = endpoints["azurite"]["queue"]

    def stock(self, sku: str) -> int:
        return int(self._row(bucket_of("inventory"), f"entity|stock|{sku}")["Available"])

    def step(self, saga_id: str, index: int) -> dict:
        return self._row(bucket_of("inventory"), f"step|{saga_id}|{index}")

    def find_step(self, saga_id: str, index: int) -> dict | None:
        path = f"{self.table}(PartitionKey='{bucket_of('inventory')}',RowKey='{quote(f'step|{saga_id}|{index}')}')"
        answer = http.request("GET", f"{self.url}/{path}", headers=self._table_headers(path), seconds=60)
        return None if answer[0] == 404 else _json(answer)

    def outbox_rows(self) -> int:
        condition = quote("RowKey ge 'outbox|' and RowKey lt 'outbox}'")
        return len(self._get(f"{self.table}()", f"$filter={condition}")["value"])

    def rows(self, prefix: str) -> list[dict]:
        """All rows whose keys begin so, in every partition, with the types of their columns."""
        found, more, headers = [], "", self._table_headers(f"{self.table}()") | {"Accept": "application/json;odata=minimalmetadata"}
        condition = quote(f"RowKey ge '{prefix}' and RowKey lt '{prefix[:-1]}{chr(ord(prefix[-1]) + 1)}'" if prefix else "RowKey ge ''")
        while True:
            status, said, answer = http.exchange("GET", f"{self.url}/{self.table}()?$filter={condition}{more}", headers=headers, seconds=60)
            found += _json((status, answer))["value"]
            after = {name: said.get(f"x-ms-continuation-{name}") for name in ("NextPartitionKey", "NextRowKey")}
            if not after["NextPartitionKey"]:
                return [{name: value for name, value in row.items() if not name.startswith("odata.")} for row in found]
            more = "".join(f"&{name}={quote(value or '')}" for name, value in after.items())

    def put_message(self, queue: str, text: str) -> None:
        self._queue("POST", f"{queue}/messages", f"<QueueMessage><MessageText>{text}</MessageText></QueueMessage>".encode())

    def take_messages(self, queue: str) -> list[str]:
        """Reads and deletes what is on a queue."""
        taken = []
        for message in ElementTree.fromstring(self._queue("GET", f"{queue}/messages", query="numofmessages=32")):
            text, receipt = message.findtext("MessageText") or "", quote(message.findtext("PopReceipt") or "", safe="")
            self._queue("DELETE", f"{queue}/messages/{message.findtext('MessageId')}", query=f"popreceipt={receipt}")
            taken.append(text)
        return taken

    def _queue(self, method: str, path: str, body: bytes | None = None, query: str = "") -> bytes:
        url = f"{self.queues}/{path}"
        date, kind = formatdate(usegmt=True), "application/xml" if body else ""
        resource = f"/{ACCOUNT}/" + url.split("/", 3)[3]
        text = f"{method}\n\n{kind}\n\nx-ms-date:{date}\nx-ms-version:2021-08-06\n{resource}"
        headers = {"x-ms-date": date, "x-ms-version": "2021-08-06", "Authorization": f"SharedKeyLite {ACCOUNT}:{sign(text)}"}
        if body:
            headers["Content-Type"] = kind
        status, answer = http.request(method, url + (f"?{query}" if query else ""), body, headers, seconds=60)
        if status not in (200, 201, 204):
            raise Problem(f"Azurite answered {status}: {answer[:300].decode(errors='replace')}", "read the log of Azurite")
        return answer

    def _row(self, partition: str, row: str) -> dict:
        return self._get(f"{self.table}(PartitionKey='{partition}',RowKey='{quote(row)}')")

    def _get(self, path: str, query: str = "") -> dict:
        headers = self._table_headers(path)
        return _json(http.request("GET", f"{self.url}/{path}" + (f"?{query}" if query else ""), headers=headers, seconds=60))

    def put_row(self, partition: str, row: str, columns: dict) -> None:
        path = f"{self.table}(PartitionKey='{partition}',RowKey='{quote(row)}')"
        headers = self._table_headers(path) | {"Content-Type": "application/json"}
        status, answer = http.request("PUT", f"{self.url}/{path}", json.dumps(columns).encode(), headers, seconds=60)
        if status != 204:
            raise Problem(f"Azurite answered {status}: {answer[:300].decode(errors='replace')}", "read the log of Azurite")

    def delete_row(self, partition: str, row: str) -> None:
        path = f"{self.table}(PartitionKey='{partition}',RowKey='{quote(row)}')"
        status, answer = http.request("DELETE", f"{self.url}/{path}", headers=self._table_headers(path) | {"If-Match": "*"}, seconds=60)
        if status not in (204, 404):
            raise Problem(f"Azurite answered {status}: {answer[:300].decode(errors='replace')}", "read the log of Azurite")

    def _table_headers(self, path: str) -> dict[str, str]:
        date = formatdate(usegmt=True)
        resource = f"/{ACCOUNT}/" + f"{self.url}/{path}".split("/", 3)[3]
        return {
            "x-ms-date": date,
            "x-ms-version": "2019-02-02",
            "Authorization": f"SharedKeyLite {ACCOUNT}:{sign(date + chr(10) + resource)}",
            "Accept": "application/json;odata=nometadata",
        }


def _json(answer: tuple[int, bytes]) -> dict:
    status, body = answer
    if status != 200:
        raise Problem(f"a store answered {status}: {body[:300].decode(errors='replace')}", "read the log of the store")
    return json.loads(body)
