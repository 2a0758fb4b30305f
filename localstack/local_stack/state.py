"""What a stack remembers between two commands: `state.json` in its state folder.

Invariant: a process is noted before anything else is done, so that `down` finds it whatever happened next.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path
from typing import Any

# Made up, and the same in every stack: a tenant and the client that publishes to the topic.
TENANT = "7a1b0c52-6f0e-4c53-9d58-0f3c5a7e1d20"
CLIENT_ID = "c2d6a1de-8f0b-4c0e-b6a5-5b9c3f1e7a44"
AUDIENCE = "api://saga-ingress"
REGION = "us-east-1"


class State:
    def __init__(self, folder: Path):
        self.folder = folder
        self.logs = folder / "logs"
        self.zips = folder / "zips"
        self.app = folder / "functionapp"
        self.terraform = folder / "terraform"
        self.scratch = folder / "tmp"
        self.journal = folder / "standin"
        self.standin_config = folder / "standin.json"
        self.oidc_key = folder / "oidc.pem"
        self.endpoints = folder / "endpoints.json"
        self._file = folder / "state.json"
        self.values: dict[str, Any] = json.loads(self._file.read_text()) if self._file.exists() else {}

    def exists(self) -> bool:
        return bool(self.values)

    def begin(self, port_base: int, external: bool, emulator: str) -> None:
        self.values = {
            "port_base": port_base,
            "external": external,
            "emulator": emulator,
            "topic_key": base64.b64encode(secrets.token_bytes(32)).decode(),
            "client_secret": secrets.token_urlsafe(30),
            "processes": {},
        }
        self.save()

    def save(self) -> None:
        write_private(self._file, json.dumps(self.values, indent=2) + "\n")

    @property
    def port_base(self) -> int:
        return self.values["port_base"]

    @property
    def external(self) -> bool:
        return self.values["external"]

    @property
    def emulator(self) -> str:
        """Of AWS: ministack or localstack. Its process and its log have this name, too."""
        return self.values.get("emulator", "ministack")

    def process(self, name: str) -> dict | None:
        return self.values["processes"].get(name)

    def note_process(self, name: str, record: dict) -> None:
        self.values["processes"][name] = record
        self.save()

    def url(self, offset: int) -> str:
        return f"http://127.0.0.1:{self.port_base + offset}"

    @property
    def aws(self) -> str:
        return self.url(0)

    @property
    def standin(self) -> str:
        return self.url(4)

    @property
    def topic(self) -> str:
        return f"{self.standin}/api/events"

    @property
    def oidc(self) -> dict[str, str]:
        return {
            "issuer": f"{self.standin}/{TENANT}/v2.0",
            "token": f"{self.standin}/{TENANT}/oauth2/v2.0/token",
            "audience": AUDIENCE,
            "client_id": CLIENT_ID,
            "client_secret": self.values["client_secret"],
        }


def write_private(file: Path, text: str) -> None:
    """Whole or not at all, and for this user only."""
    temporary = file.with_name(file.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    temporary.replace(file)
