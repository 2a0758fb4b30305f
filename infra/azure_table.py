#!/usr/bin/env python3
"""Copies the table of the Azure side into a file, and brings the copy back: Azure keeps no backups of tables.

    infra/azure_table.py export  https://ACCOUNT.table.core.windows.net/SagaSteps copy.jsonl.gz
    infra/azure_table.py restore https://ACCOUNT.table.core.windows.net/SagaSteps copy.jsonl.gz

It acts as whoever is signed in (`az login`), who needs "Storage Table Data Reader" to export and "Storage Table Data
Contributor" to restore. For an emulator, AZURE_STORAGE_KEY holds the account's key.

A copy is of one moment: rows that changed while the table was read are read again, until none has. (A row of the outbox that was
published meanwhile may still be in it. It is published again, which changes nothing.) On a table that is never still for so long,
`export` ends with 3 and leaves no file; stop the Function App for that minute (events wait on its queue), or take what there
is with --any-moment.

`restore` writes into an empty table, or goes on where it was interrupted, and refuses a table with other rows. What happened after
the copy is replayed from the archive of the bus: infra/RUNBOOK.md, "Restore".
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import hmac
import http.client
import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

from command_line import Parser

FORMAT = "saga-bridge table 1"
TRIES = 6
SECONDS = 60
# A page of the service. Timestamps of rows are the servers', which may differ by so much from the one that answers.
PAGE, SKEW_SECONDS = 1_000, 5
PASSES = 10
WRITERS = 16


class Failed(Exception):
    """What failed, and what to do."""


class Table:
    def __init__(self, url: str):
        self.url = url.rstrip("/")
        parts = urllib.parse.urlsplit(self.url)
        if not parts.hostname or not parts.path.strip("/"):
            raise Failed(f"{url} is no address of a table, such as https://ACCOUNT.table.core.windows.net/SagaSteps.")
        self.key = os.environ.get("AZURE_STORAGE_KEY")
        is_local = parts.hostname in ("127.0.0.1", "localhost")
        if parts.scheme != "https" and not is_local:
            raise Failed(f"{url} is not https: the token would travel in the open. Give the table's own address.")
        self.account = parts.path.split("/")[1] if is_local else (parts.hostname or "").split(".")[0]
        self.token, self.token_until, self.signing_in = "", 0.0, threading.Lock()

    def rows(self, condition: str | None = None):
        """The rows, page by page, each page with the server's time at which it was asked for."""
        base = {"$top": str(PAGE)} | ({"$filter": condition} if condition else {})
        query = base
        while True:
            body, headers = self._call("GET", "()", query)
            yield json.loads(body)["value"], parsedate_to_datetime(headers["Date"]).timestamp()
            where = {f"Next{key}": headers.get(f"x-ms-continuation-Next{key}") for key in ("PartitionKey", "RowKey")}
            if not any(where.values()):
                return
            # The next partition may have no row to begin with: that of the page before is not its.
            query = base | {key: value for key, value in where.items() if value}

    def put(self, row: dict) -> None:
        keys = [urllib.parse.quote(row[key].replace("'", "''"), safe="") for key in ("PartitionKey", "RowKey")]
        self._call("PUT", "(PartitionKey='{}',RowKey='{}')".format(*keys), body=json.dumps(row).encode())

    def _call(self, method: str, path: str, query: dict | None = None, body: bytes | None = None):
        url = self.url + path
        full = url + (f"?{urllib.parse.urlencode(query)}" if query else "")
        for tried in range(1, TRIES + 1):
            try:
                request = urllib.request.Request(full, body, self._headers(url, body), method=method)
                with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                    return answer.read(), answer.headers
            except urllib.error.HTTPError as error:
                why = f"{error.code}: {error.read()[:300].decode(errors='replace')}"
                if error.code == 401 and not self.key and tried == 1:
                    self.token_until = 0.0  # it ended on the way
                    continue
                if error.code not in (408, 429) and error.code < 500:
                    hint = "Sign in (`az login`) as somebody with the role that `--help` names." if error.code in (401, 403) else ""
                    raise Failed(f"{method} {url} was answered with {why}. {hint}".rstrip()) from error
            except (OSError, http.client.HTTPException) as error:  # timeouts, addresses that nobody answers at, answers cut short
                why = str(error) or type(error).__name__
            if tried < TRIES:
                time.sleep(random.uniform(2**tried / 4, 2**tried / 2))
        raise Failed(f"{method} {url} failed {TRIES} times, the last time with {why}. Run this again: it goes on where it was.")

    def _headers(self, url: str, body: bytes | None) -> dict[str, str]:
        headers = {"x-ms-version": "2020-12-06", "Accept": "application/json;odata=minimalmetadata", "x-ms-date": formatdate(usegmt=True)}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.key:
            text = f"{headers['x-ms-date']}\n/{self.account}{urllib.parse.urlsplit(url).path}"
            digest = hmac.new(base64.b64decode(self.key), text.encode(), hashlib.sha256).digest()
            return headers | {"Authorization": f"SharedKeyLite {self.account}:{base64.b64encode(digest).decode()}"}
        with self.signing_in:
            if time.time() > self.token_until:
                self.token, self.token_until = token()
            return headers | {"Authorization": f"Bearer {self.token}"}


def token() -> tuple[str, float]:
    """A token, and until when it is used: `az` may give one that has only five minutes left."""
    command = ["az", "account", "get-access-token", "--resource", "https://storage.azure.com/", "--output", "json"]
    try:
        said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)
        return said["accessToken"], max(float(said.get("expires_on") or 0) - 120, time.time() + 120)
    except FileNotFoundError as error:
        raise Failed("The Azure CLI (`az`) is not installed: it holds your sign-in.") from error
    except subprocess.TimeoutExpired as error:
        raise Failed("The Azure CLI did not give a token within two minutes. Run `az login`, then this again.") from error
    except subprocess.CalledProcessError as error:
        raise Failed(f"The Azure CLI gave no token: {error.stderr.strip()[-300:]} Run `az login`, then this again.") from error
    except (ValueError, LookupError, TypeError) as error:
        raise Failed("The Azure CLI answered something that is no token. Run `az upgrade`, then this again.") from error


def export(table: Table, file: Path, any_moment: bool) -> int:
    if file.exists():
        raise Failed(f"{file} is there already. Nothing was done: it may be the copy that you need. Give another name.")
    rows: dict[tuple[str, str], dict] = {}
    since, changed, starts = None, 0, []
    for number in range(1, PASSES + 1):
        condition = None if since is None else f"Timestamp ge datetime'{stamp(since - SKEW_SECONDS)}'"
        changed, asked = 0, []
        for page, now in table.rows(condition):
            asked.append(now)
            for row in page:
                key, old = (row["PartitionKey"], row["RowKey"]), rows.get((row["PartitionKey"], row["RowKey"]))
                changed += old is None or old["odata.etag"] != row["odata.etag"]
                rows[key] = row
            say(f"pass {number}: {len(rows)} rows, {changed} new or changed", again=True)
        say()
        since = asked[0]
        starts.append(since)
        if number > 1 and not changed:
            break
    if changed and not any_moment:
        raise Moving(
            f"{changed} rows changed while the last of {PASSES} passes read them, so this is no copy of one moment, and none was kept. "
            "Stop the Function App (`az functionapp stop`), export, and start it again: meanwhile events wait on its queue."
        )
    # What the last pass found unchanged is the table at its beginning.
    began = stamp(starts[0] if changed else starts[-1])
    part = file.with_name(file.name + ".part")
    with gzip.open(part, "wt", encoding="utf-8") as out:
        out.write(json.dumps({"format": FORMAT, "table": table.url, "began": began, "of_one_moment": not changed}) + "\n")
        for _, row in sorted(rows.items()):
            out.write(json.dumps(own(row)) + "\n")
        out.write(json.dumps({"rows": len(rows)}) + "\n")
    part.replace(file)
    print(f"{len(rows)} rows in {file}, as they were at {began}.")
    return 0


def own(row: dict) -> dict:
    """What is the row's own, with its types, and not the service's."""
    return {name: value for name, value in row.items() if not name.startswith("odata.") and name.split("@")[0] != "Timestamp"}


class Moving(Failed):
    pass


def read(file: Path) -> tuple[dict, list[dict]]:
    """What `export` wrote: what it says of the copy, and the rows."""
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            head, *rows, tail = map(json.loads, lines)
        if head["format"] == FORMAT and tail == {"rows": len(rows)}:
            return head, rows
    except FileNotFoundError as error:
        raise Failed(f"There is no file {file}.") from error
    except (OSError, EOFError, ValueError, LookupError, TypeError, zlib.error):
        pass
    raise Failed(f"{file} is no whole copy that `export` made. Nothing was written.")


def restore(table: Table, file: Path) -> int:
    head, rows = read(file)
    missing = {(row["PartitionKey"], row["RowKey"]): row for row in rows}
    for page, _ in table.rows():
        for row in page:
            if missing.pop((row["PartitionKey"], row["RowKey"]), None) != own(row):
                raise Failed(
                    f"{table.url} has other rows than the copy, such as {row['PartitionKey']} {row['RowKey']}. Nothing was written: rows of "
                    f"today would be mixed with those of {head['began']}. Make the table anew, or restore into another one."
                )
    rows = list(missing.values())
    done = 0
    with ThreadPoolExecutor(WRITERS) as writers:
        for _ in writers.map(table.put, rows):
            done += 1
            if done % 500 == 0 or done == len(rows):
                say(f"{done} of {len(rows)} rows", again=True)
    say()
    print(f"{len(rows)} rows of {head['began']} are back. Now start the Function App, and replay the bus' archive (infra/RUNBOOK.md).")
    return 0


def stamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def say(text: str = "", again: bool = False) -> None:
    print(f"\r{text}" if again else text, end="" if again else "\n", file=sys.stderr, flush=True)


def main() -> int:
    parser = Parser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("export", "restore"):
        command = commands.add_parser(name)
        command.add_argument("table", help="the table's address")
        command.add_argument("file", type=Path)
        if name == "export":
            command.add_argument("--any-moment", action="store_true", help="keep a copy in which rows are of different moments")
    asked = parser.parse_args()
    try:
        table = Table(asked.table)
        return export(table, asked.file, asked.any_moment) if asked.command == "export" else restore(table, asked.file)
    except Moving as error:
        print(error, file=sys.stderr)
        return 3
    except (Failed, OSError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
