"""One call of a service: what it is answered, with the faults that strike it."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import signature
from business import Business, Verdict
from faults import Faults, Request
from store import Decision, KeyReused, Store

MAX_BODY_BYTES = 256 * 1024
DIED = 86  # exit status of a provider that a fault stopped


@dataclass(frozen=True)
class Reply:
    """`note` is what the request log says of it. Status 0: the connection is closed without a byte."""

    status: int
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    note: str = ""
    declared_length: int | None = None  # in place of the content's


class Unreadable(Exception):
    pass


class Calls:
    def __init__(self, store: Store, faults: Faults, business: Business, secrets: list[bytes]):
        self._store, self._faults, self._business, self._secrets = store, faults, business, secrets
        self._lock, self._in_flight = threading.Lock(), set()

    def answer(self, service: str, verb: str, headers: Mapping[str, str], raw: bytes) -> Reply:
        key = headers.get("idempotency-key") or ""
        row, asked = self._store.note_request(service, verb, key)
        reply = self._answer(Request(service, verb, key, asked), headers, raw, row)
        self._store.note_reply(row, reply.note)
        return reply

    def _answer(self, request: Request, headers: Mapping[str, str], raw: bytes, row: int) -> Reply:
        draw = self._faults.draw
        if draw("down", request):
            return Reply(0, note="down")
        if hang := draw("hang", request):
            time.sleep(hang.get("seconds", 30))
            return Reply(0, note="hung")
        if self._secrets and (why := signature.wrong(self._secrets, headers, raw, time.time())):
            return problem(401, why)
        try:
            body = read(request, raw)
        except Unreadable as why:
            return problem(400, str(why))
        status = draw("status", request)
        if status and not status.get("after_effect"):
            return failed(status)
        if redirect := draw("redirect", request):
            location = redirect.get("location", f"/elsewhere/{request.verb}")
            return Reply(redirect["code"], headers={"location": location}, note=str(redirect["code"]))
        with self._only_one(request) as alone:
            if not alone:
                return problem(409, "a request with this key is in flight", {"retry-after": "1"})
            if self._is_put_off(request):
                return said(202, {"decision": "later"})
            if delay := draw("delay", request):
                shortest, longest = delay.get("at_least", 0), delay.get("seconds", max(20, delay.get("at_least", 0)))
                time.sleep(shortest + self._faults.chance("delay seconds", request) * max(0.0, longest - shortest))
            die = draw("die", request)
            if die and die["when"] == "before":
                self._die(row, "died before the effect")
            try:
                decision = self._decide(request, body)
            except KeyReused:
                return problem(422, "this key was used with another body")
            if die:
                self._die(row, "died after the effect")
        if held := draw("apply_and_time_out", request):
            time.sleep(held.get("hold", 30))
            return Reply(0, note=f"{decision.decision}, reply lost")
        if status:
            return failed(status, f", after it {decision.decision}")
        if garbage := draw("garbage", request):
            return spoilt(garbage["kind"], decision)
        if decision.decision == "accepted" and (bad := draw("bad_output", request)):
            return said(200, {"decision": "accepted", "output": bad_output(bad["kind"])}, f"accepted with a bad output ({bad['kind']})")
        return said(200, decision.reply())

    @contextlib.contextmanager
    def _only_one(self, request: Request):
        """Whether no other request with this key is being worked on."""
        name = (request.service, request.verb, request.key)
        with self._lock:
            alone = name not in self._in_flight
            self._in_flight.add(name)
        try:
            yield alone
        finally:
            if alone:
                with self._lock:
                    self._in_flight.discard(name)

    def _is_put_off(self, request: Request) -> bool:
        if request.verb != "act" or self._store.is_decided(request.service, request.key, self._faults.remembered_since(request.service)):
            return False
        due = self._store.due(request.service, request.key)
        if due is None and (later := self._faults.draw("later", request)):
            due = time.time() + later.get("seconds", 5)
            self._store.put_off(request.service, request.key, due)
        return due is not None and time.time() < due

    def _decide(self, request: Request, body: dict[str, Any]) -> Decision:
        service, since = request.service, self._faults.remembered_since(request.service)
        if request.verb == "undo":
            return self._store.undo(service, body, since)
        refuse = None
        if not self._store.is_decided(service, request.key, since):
            refuse = self._faults.draw("refuse", request)
        if refuse:
            return self._store.act(service, body, lambda spent: Verdict(reason=refuse.get("reason", "the provider was set to refuse")), since)
        given = body.get("input") if isinstance(body.get("input"), dict) else {}
        return self._store.act(service, body, lambda spent: self._business.judge(service, given, spent), since)

    def _die(self, row: int, note: str) -> None:
        self._store.note_reply(row, note)
        os._exit(DIED)


def read(request: Request, raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise Unreadable("the body is no JSON") from error
    if not isinstance(body, dict):
        raise Unreadable("the body is no object")
    if not request.key:
        raise Unreadable("the header idempotency-key is missing")
    if body.get("key") != request.key:
        raise Unreadable("the member key is not the header idempotency-key")
    if request.verb == "undo" and not (isinstance(body.get("act_key"), str) and body["act_key"]):
        raise Unreadable("the member act_key is missing")
    return body


def said(status: int, body: dict[str, Any], note: str | None = None) -> Reply:
    note = note or (f"{status} {body['decision']}" if "decision" in body else str(status))
    return Reply(status, json.dumps(body).encode(), {"content-type": "application/json"}, note)


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Reply:
    """RFC 9457."""
    content = json.dumps({"status": status, "detail": detail}).encode()
    return Reply(status, content, {"content-type": "application/problem+json", **(headers or {})}, f"{status} {detail}")


def failed(fault: dict[str, Any], note: str = "") -> Reply:
    seconds = fault.get("retry_after", 1 if fault["code"] == 429 else None)
    headers = {}
    if seconds is not None:
        headers["retry-after"] = formatdate(time.time() + seconds, usegmt=True) if fault.get("as_date") else str(int(seconds))
    reply = problem(fault["code"], "the provider was set to fail", headers)
    return Reply(reply.status, reply.content, reply.headers, f"{fault['code']}{note}")


def spoilt(kind: str, decision: Decision) -> Reply:
    """A 200 that says nothing, whatever was decided."""
    whole = json.dumps(decision.reply()).encode()
    contents = {
        "text": b"<html><body>OK</body></html>",
        "unknown": b'{"decision":"perhaps"}',
        "wrong_verb": b'{"decision":"accepted"}' if decision.decision == "undone" else b'{"decision":"undone"}',
        "truncated": whole[:-5],
        "large": whole[:-1] + b',"filler":"' + b"x" * (128 * 1024) + b'"}',
    }
    length = len(whole) if kind == "truncated" else None
    return Reply(200, contents[kind], {"content-type": "application/json"}, f"{decision.decision}, garbage ({kind})", length)


def bad_output(kind: str) -> Any:
    return {"array": ["booking"], "large": {"booking": "x" * (5 * 1024)}, "reserved": {"saga_id": "another", "booking": "1"}}[kind]
