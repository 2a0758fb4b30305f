"""Plain HTTP to loopback, past any proxy of the environment."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from email.message import Message
from http.client import HTTPException

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def request(method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None, seconds: float = 10.0) -> tuple[int, bytes]:
    """The status and the body of the answer, whatever the status; 0 when nobody answered."""
    status, _, content = exchange(method, url, body, headers, seconds)
    return status, content


def exchange(method: str, url: str, body: bytes | None = None, headers: dict[str, str] | None = None, seconds: float = 10.0) -> tuple[int, Message, bytes]:
    """The same, with the answer's headers."""
    call = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    try:
        with _OPENER.open(call, timeout=seconds) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()
    except (OSError, HTTPException):
        return 0, Message(), b""


def get_json(url: str) -> dict | None:
    status, body = request("GET", url, seconds=3.0)
    try:
        return json.loads(body) if status == 200 else None
    except ValueError:
        return None
