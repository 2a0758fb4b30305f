"""Standard Webhooks: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping

TOLERANCE_SECONDS = 300
PREFIX = "whsec_"


def secrets_of(text: str) -> list[bytes]:
    """One or more `whsec_…`, separated by blanks. Raises ValueError."""
    return [secret_of(word) for word in text.split()]


def secret_of(word: str) -> bytes:
    if not word.startswith(PREFIX):
        raise ValueError(f"a secret begins with {PREFIX}")
    try:
        text = word[len(PREFIX):].rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"what follows {PREFIX} is no base64") from error


def sign(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    digest = hmac.new(secret, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def wrong(secrets: list[bytes], headers: Mapping[str, str], body: bytes, now: float) -> str | None:
    """Why this message is not taken; None when one of the secrets signed it."""
    message_id, timestamp, given = (headers.get(f"webhook-{name}") or "" for name in ("id", "timestamp", "signature"))
    if not (message_id and timestamp and given):
        return "webhook-id, webhook-timestamp or webhook-signature is missing"
    if not timestamp.isdecimal() or abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return f"webhook-timestamp is no time within {TOLERANCE_SECONDS} seconds of now"
    valid = [sign(secret, message_id, timestamp, body) for secret in secrets]
    if any(hmac.compare_digest(one.encode(), other.encode()) for one in given.split() for other in valid):
        return None
    return "no signature in webhook-signature is valid"
