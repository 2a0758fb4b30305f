"""The outside services of the stack: the file that binds them, and the provider that plays those of the stack's own.

Invariant: `services_json` is the only place where the environment variable SERVICES of this stack's functions comes from, on
both clouds.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

from . import http, processes
from .console import Problem, say
from .packages import digest
from .state import State
from .tools import HERE

try:
    import tomllib
except ImportError:  # Python 3.10
    tomllib = None

BINDINGS = HERE / "services.toml"
PROVIDER = HERE / "services" / "provider.py"
PLACEHOLDER = "{services}"
NAME = "services"  # of the process and of its log
PORT_OFFSET = 6
START_SECONDS = 60
# A provider that a switch stopped is a service that crashed: it comes back.
RESTART_AFTER_SECONDS = 1.0


def services_json(state: State) -> str:
    """The value of SERVICES: the stack's services file as JSON, with the provider's address in place of its placeholder."""
    return json.dumps(bound(state), sort_keys=True)


def bound(state: State) -> dict[str, dict[str, Any]]:
    """The same as a structure, by service: what Terraform's variable `services` takes."""
    return read(Path(state.values.get("services_file") or BINDINGS), state.url(PORT_OFFSET))


def read(file: Path, provider: str) -> dict[str, dict[str, Any]]:
    """The functions check each binding when they start; here only the file's form is checked."""
    todo = f"mend the file; {BINDINGS} is an example"
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"the services file {file} cannot be read: {error}", "name an existing file with SERVICES=FILE") from error
    try:
        services = tomllib.loads(text) if tomllib else simple_toml(text)
    except ValueError as error:
        raise Problem(f"the services file {file} is no TOML: {error}", todo) from error
    for name, service in services.items():
        if not isinstance(service, dict):
            raise Problem(f"the services file {file} has {name} outside of any service", todo)
        if service.get("cloud") not in ("aws", "azure") or ("url" in service) == ("lambda" in service) or "auth" not in service:
            raise Problem(f"service {name} in {file} is not bound", f"give it url or lambda, auth, and cloud = \"aws\" or \"azure\"; {BINDINGS} is an example")
        if isinstance(service.get("url"), str):
            service["url"] = service["url"].replace(PLACEHOLDER, provider)
    return services


TABLE = re.compile(r"\[([A-Za-z0-9_-]+)\]")
MEMBER = re.compile(r'([A-Za-z0-9_-]+)\s*=\s*("[^"\\]*"|\d+|true|false)')


def simple_toml(text: str) -> dict[str, Any]:
    """Enough of TOML for a services file: tables, and members that are plain strings, whole numbers or booleans. Raises ValueError."""
    tables: dict[str, Any] = {}
    current: dict[str, Any] = tables
    for number, line in enumerate(text.splitlines(), 1):
        line = without_comment(line).strip()
        if not line:
            continue
        if table := TABLE.fullmatch(line):
            if table[1] in tables:
                raise ValueError(f"line {number}: {table[1]} is there twice")
            current = tables[table[1]] = {}
        elif member := MEMBER.fullmatch(line):
            if member[1] in current:
                raise ValueError(f"line {number}: {member[1]} is there twice")
            current[member[1]] = json.loads(member[2])
        else:
            raise ValueError(f"line {number} is more than Python {sys.version_info[0]}.{sys.version_info[1]} reads (3.11 reads all of TOML)")
    return tables


def without_comment(line: str) -> str:
    """A `#` inside a string begins no comment."""
    inside = False
    for place, character in enumerate(line):
        inside ^= character == '"'
        if character == "#" and not inside:
            return line[:place]
    return line


def run(state: State) -> None:
    """Starts the provider, or another one when its code changed. Its ledger lasts until `down`."""
    code = digest(*sorted(PROVIDER.parent.glob("*.py")), PROVIDER.with_name("accounts.json"))
    record = state.process(NAME)
    if processes.alive(record) and state.values.get("provider") == code:
        return
    say("starting the provider of the outside services")
    processes.stop(record, 5.0)
    port = state.port_base + PORT_OFFSET
    processes.require_free(port, "the provider of the outside services")
    ledger(state).parent.mkdir(exist_ok=True)
    # Its modules are compiled into the state folder, so that nothing is left beside them.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPYCACHEPREFIX": str(state.scratch / "pycache"), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, str(PROVIDER), "--port", str(port), "--ledger", str(ledger(state)), "--restart-after", str(RESTART_AFTER_SECONDS)]
    log = state.logs / f"{NAME}.log"
    state.note_process(NAME, processes.start(command, log, environment, state.folder))
    processes.wait_until(lambda: http.get_json(f"{state.url(PORT_OFFSET)}/status") is not None, state.process(NAME), "the provider", log, START_SECONDS)
    state.values["provider"] = code
    state.save()


def ledger(state: State) -> Path:
    return state.folder / "services" / "ledger.sqlite"


def endpoints(state: State) -> dict[str, Any]:
    """For tests and scripts: where the provider is and which file it keeps, and what is bound."""
    return {"provider": state.url(PORT_OFFSET), "ledger": str(ledger(state)), "bound": bound(state)}
