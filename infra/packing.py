"""What a package holds, and its bytes: for Lambda a zip with `bootstrap`, for the Function App the handler with host.json
and one folder a function.

Invariant: the same files give the same bytes, so that Terraform sees a change only when there is one.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

# The earliest time that a zip can say.
TIME = (1980, 1, 1, 0, 0, 0)
UNIX = 3
PROGRAM, DATA = 0o100755, 0o100644


class NotPackable(Exception):
    """What is missing or wrong."""


@dataclass(frozen=True)
class Entry:
    """One file of a package."""

    name: str
    content: bytes
    mode: int


def bootstrap(program: bytes) -> list[Entry]:
    """The package of a Lambda function on provided.al2023."""
    return [Entry("bootstrap", program, PROGRAM)]


def function_app(source: Path, handler: bytes) -> list[Entry]:
    """The package of a Function App whose host.json and functions are in this folder."""
    host = source / "host.json"
    try:
        program = json.loads(host.read_text())["customHandler"]["description"]["defaultExecutablePath"]
    except (OSError, KeyError, ValueError) as error:
        raise NotPackable(f"{host} names no custom handler ({error})") from error
    functions = sorted(source.glob("*/function.json"))
    if not functions:
        raise NotPackable(f"{source} has no folder with a function.json")
    return [
        Entry("host.json", host.read_bytes(), DATA),
        *(Entry(f"{function.parent.name}/{function.name}", function.read_bytes(), DATA) for function in functions),
        Entry(program, handler, PROGRAM),
    ]


def zipped(entries: list[Entry], level: int = 9) -> bytes:
    """The zip of these files: names in order, one time, no trace of the machine."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for entry in sorted(entries, key=lambda entry: entry.name):
            info = zipfile.ZipInfo(entry.name, date_time=TIME)
            info.create_system, info.external_attr, info.compress_type = UNIX, entry.mode << 16, zipfile.ZIP_DEFLATED
            archive.writestr(info, entry.content, compresslevel=level)
    return out.getvalue()


def entries(package: bytes) -> list[Entry]:
    """The files of such a zip."""
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return [Entry(info.filename, archive.read(info), info.external_attr >> 16) for info in archive.infolist()]


def write(file: Path, content: bytes) -> None:
    """All of it or nothing: who reads meanwhile sees the file as it was."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(file.name + ".new")
    fresh.write_bytes(content)
    fresh.replace(file)
