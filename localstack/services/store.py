"""What the provider keeps, in SQLite: decisions by key, the ledger of effects, and the requests that it met.

Invariant: a decision and its effect are one transaction, which is on disk before anybody is answered. So a provider that is
killed at any moment has either decided or not, and a test may read the file without it:

    SELECT service, key, SUM(effect), COUNT(*) FROM effects GROUP BY service, key
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import threading
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Callable

from business import Verdict

SCHEMA = """
CREATE TABLE IF NOT EXISTS decisions (
    id INTEGER PRIMARY KEY, service TEXT NOT NULL, verb TEXT NOT NULL, key TEXT NOT NULL, act_key TEXT NOT NULL, saga TEXT,
    body_hash TEXT NOT NULL, decision TEXT NOT NULL, output TEXT, reason TEXT,
    found TEXT,  -- what an undo met under its act_key: accepted, refused, undone or unseen
    at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS decisions_by_key ON decisions (service, verb, key);
CREATE INDEX IF NOT EXISTS decisions_by_act_key ON decisions (service, act_key);
CREATE TABLE IF NOT EXISTS effects (
    id INTEGER PRIMARY KEY, service TEXT NOT NULL, key TEXT NOT NULL, saga TEXT, effect INTEGER NOT NULL CHECK (effect IN (1, -1)),
    account TEXT, amount TEXT, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS effects_by_account ON effects (service, account);
CREATE TABLE IF NOT EXISTS later (service TEXT, key TEXT, due REAL NOT NULL, PRIMARY KEY (service, key));
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY, service TEXT NOT NULL, verb TEXT NOT NULL, key TEXT NOT NULL, at REAL NOT NULL, reply TEXT);
CREATE INDEX IF NOT EXISTS requests_by_key ON requests (service, verb, key);
CREATE TABLE IF NOT EXISTS faults (id INTEGER PRIMARY KEY CHECK (id = 1), content TEXT NOT NULL);
"""
# Another attempt may differ in these and is still the same request. The contract asks no service to compare the rest; many banks do.
OF_THE_ATTEMPT = ("attempt", "deadline_at", "reason")


class KeyReused(Exception):
    """The key came before with another body."""


@dataclass(frozen=True)
class Decision:
    decision: str
    output: dict[str, Any] | None = None
    reason: str | None = None

    def reply(self) -> dict[str, Any]:
        members = {"decision": self.decision, "output": self.output, "reason": self.reason}
        return {name: value for name, value in members.items() if value is not None}


class Store:
    def __init__(self, file: Path):
        self._lock, self._log_lock = threading.RLock(), threading.Lock()
        self._db = connection(file, "FULL")
        self._db.executescript(SCHEMA)
        # A request that the disk has not yet is no promise to anybody.
        self._log = connection(file, "NORMAL")

    def act(self, service: str, body: dict[str, Any], judge: Callable[[Callable[[str], Decimal]], Verdict], remembered_since: float) -> Decision:
        """The final decision for this key. `judge` is asked the first time only."""
        key = body["key"]
        with self._transaction():
            if known := self._known(service, "act", key, fingerprint(body), remembered_since):
                return known
            tombstone = self._one("SELECT 1 FROM decisions WHERE service = ? AND verb = 'undo' AND act_key = ? AND at >= ?", service, key, remembered_since)
            verdict = Verdict(reason="this key was undone before it was asked to act") if tombstone else judge(lambda account: self._spent(service, account))
            if verdict.reason is None:
                number = self._effect(service, key, body.get("saga_id"), 1, verdict.account, verdict.amount)
                decision = Decision("accepted", {"booking": f"{service}-{number}"})
            else:
                decision = Decision("refused", reason=verdict.reason)
            self._decided(service, "act", key, key, body, decision, None)
            self._db.execute("DELETE FROM later WHERE service = ? AND key = ?", (service, key))
            return decision

    def undo(self, service: str, body: dict[str, Any], remembered_since: float) -> Decision:
        """Always undone; where nothing was accepted under `act_key`, this is the tombstone that refuses a later act."""
        key, act_key = body["key"], body["act_key"]
        with self._transaction():
            if known := self._known(service, "undo", key, fingerprint(body), remembered_since):
                return known
            # What was done can be taken back for ever, also when its key is forgotten.
            original = self._one("SELECT decision FROM decisions WHERE service = ? AND verb = 'act' AND key = ? ORDER BY id DESC", service, act_key)
            found = original["decision"] if original else "unseen"
            if found == "accepted":
                last = self._one("SELECT effect, account, amount FROM effects WHERE service = ? AND key = ? ORDER BY id DESC", service, act_key)
                if last["effect"] == 1:
                    self._effect(service, act_key, body.get("saga_id"), -1, last["account"], last["amount"])
                else:
                    found = "undone"
            decision = Decision("undone")
            self._decided(service, "undo", key, act_key, body, decision, found)
            return decision

    def is_decided(self, service: str, key: str, remembered_since: float) -> bool:
        """Whether an act with this key has its answer: it was asked before, or it was undone."""
        with self._lock:
            return bool(self._one("SELECT 1 FROM decisions WHERE service = ? AND act_key = ? AND at >= ?", service, key, remembered_since))

    def due(self, service: str, key: str) -> float | None:
        """When a decision that was put off may be made."""
        with self._lock:
            row = self._one("SELECT due FROM later WHERE service = ? AND key = ?", service, key)
        return row["due"] if row else None

    def put_off(self, service: str, key: str, due: float) -> None:
        with self._transaction():
            self._db.execute("INSERT OR IGNORE INTO later VALUES (?, ?, ?)", (service, key, due))

    def ledger(self, service: str | None, saga: str | None) -> dict[str, Any]:
        with self._lock:
            rows = self._db.execute(
                "SELECT service, key, saga, effect, account, amount, at FROM effects WHERE ?1 IN ('', service) AND ?2 IN ('', saga) ORDER BY id", (service or "", saga or "")
            ).fetchall()
        totals: dict[str, dict[str, int]] = {}
        for row in rows:
            total = totals.setdefault(row["service"], {"applied": 0, "undone": 0})
            total["applied" if row["effect"] == 1 else "undone"] += 1
        return {"totals": totals, "effects": [dict(row) for row in rows]}

    def note_request(self, service: str, verb: str, key: str) -> tuple[int, int]:
        """The request's row, and how often this key has been asked, this time included."""
        with self._log_lock:
            row = self._log.execute("INSERT INTO requests (service, verb, key, at) VALUES (?, ?, ?, ?)", (service, verb, key, time.time())).lastrowid
            asked = self._log.execute("SELECT COUNT(*) FROM requests WHERE service = ? AND verb = ? AND key = ?", (service, verb, key)).fetchone()[0]
        return row, asked

    def note_reply(self, request: int, reply: str) -> None:
        with self._log_lock:
            self._log.execute("UPDATE requests SET reply = ? WHERE id = ?", (reply, request))

    def requests(self, service: str | None, key: str | None, since: float) -> dict[str, Any]:
        with self._log_lock:
            rows = self._log.execute(
                "SELECT service, verb, key, at, reply FROM requests WHERE ?1 IN ('', service) AND ?2 IN ('', key) AND at >= ?3 ORDER BY id", (service or "", key or "", since)
            ).fetchall()
        totals: dict[str, dict[str, int]] = {}
        by_key: dict[tuple[str, str, str], dict[str, Any]] = {}
        for row in rows:
            verbs = totals.setdefault(row["service"], {"act": 0, "undo": 0})
            verbs[row["verb"]] += 1
            name = {"service": row["service"], "verb": row["verb"], "key": row["key"]}
            entry = by_key.setdefault(tuple(name.values()), {**name, "count": 0, "at": [], "replies": []})
            entry["count"] += 1
            entry["at"].append(round(row["at"], 3))
            entry["replies"].append(row["reply"])
        return {"totals": totals, "requests": list(by_key.values())}

    def read_faults(self) -> dict[str, Any]:
        with self._lock:
            row = self._one("SELECT content FROM faults")
        return json.loads(row["content"]) if row else {}

    def write_faults(self, faults: dict[str, Any]) -> None:
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO faults VALUES (1, ?)", (json.dumps(faults),))

    @contextlib.contextmanager
    def _transaction(self):
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _one(self, query: str, *values: Any) -> sqlite3.Row | None:
        return self._db.execute(query, values).fetchone()

    def _known(self, service: str, verb: str, key: str, body_hash: str, remembered_since: float) -> Decision | None:
        row = self._one("SELECT * FROM decisions WHERE service = ? AND verb = ? AND key = ? AND at >= ? ORDER BY id DESC", service, verb, key, remembered_since)
        if not row:
            return None
        if row["body_hash"] != body_hash:
            raise KeyReused
        return Decision(row["decision"], json.loads(row["output"]) if row["output"] else None, row["reason"])

    def _decided(self, service: str, verb: str, key: str, act_key: str, body: dict[str, Any], decision: Decision, found: str | None) -> None:
        output = None if decision.output is None else json.dumps(decision.output)
        values = (service, verb, key, act_key, body.get("saga_id"), fingerprint(body), decision.decision, output, decision.reason, found, time.time())
        self._db.execute(
            "INSERT INTO decisions (service, verb, key, act_key, saga, body_hash, decision, output, reason, found, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values
        )

    def _effect(self, service: str, key: str, saga: str | None, effect: int, account: str | None, amount: str | None) -> int | None:
        values = (service, key, saga, effect, account, amount, time.time())
        return self._db.execute("INSERT INTO effects (service, key, saga, effect, account, amount, at) VALUES (?, ?, ?, ?, ?, ?, ?)", values).lastrowid

    def _spent(self, service: str, account: str) -> Decimal:
        rows = self._db.execute("SELECT effect, amount FROM effects WHERE service = ? AND account = ?", (service, account))
        return sum((row["effect"] * Decimal(row["amount"]) for row in rows), Decimal(0))


def fingerprint(body: dict[str, Any]) -> str:
    kept = {name: value for name, value in body.items() if name not in OF_THE_ATTEMPT}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def connection(file: Path, synchronous: str) -> sqlite3.Connection:
    db = sqlite3.connect(file, timeout=30.0, check_same_thread=False, isolation_level=None)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {synchronous}")
    return db
