"""What a program was built for, read from its ELF header and its version needs
(https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

MACHINES = {"arm64": 183, "x86_64": 62}
VERNEED = 0x6FFFFFFE


class WrongProgram(Exception):
    """Why it would not start where it is to run."""


def check(program: bytes, architecture: str, newest_glibc: tuple[int, int]) -> tuple[int, int]:
    """The newest glibc that a program needs, after all that would keep it from starting has been ruled out."""
    if program[:4] != b"\x7fELF":
        raise WrongProgram("it is no ELF file")
    try:
        if program[4:6] != b"\x02\x01":
            raise WrongProgram("it is not 64-bit little-endian")
        machine = struct.unpack_from("<H", program, 18)[0]
        if machine != MACHINES[architecture]:
            known = {number: name for name, number in MACHINES.items()}
            raise WrongProgram(f"it is for {known.get(machine, f'machine {machine}')}, not {architecture}")
        versions = sorted(glibc_versions(program))
    except (struct.error, ValueError) as error:
        raise WrongProgram(f"its ELF structure cannot be read ({error})") from error
    if not versions:
        # A program without glibc would be linked in a way that nobody chose.
        raise WrongProgram("it names no glibc version that it needs")
    if versions[-1] > newest_glibc:
        raise WrongProgram(f"it needs glibc {dotted(versions[-1])}; there is {dotted(newest_glibc)}")
    return versions[-1]


def dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def glibc_versions(program: bytes) -> Iterator[tuple[int, int]]:
    """Every version GLIBC_x.y that some symbol is needed in."""
    headers = list(sections(program))
    for kind, offset, link, count in headers:
        if kind != VERNEED:
            continue
        strings = headers[link][1]
        need = offset
        for _ in range(count):
            _, auxiliaries, _, first, following = struct.unpack_from("<HHIII", program, need)
            at = need + first
            for _ in range(auxiliaries):
                _, _, _, name, next_one = struct.unpack_from("<IHHII", program, at)
                start = strings + name
                text = program[start : program.index(b"\0", start)].decode("ascii", "replace")
                match = re.fullmatch(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?", text)
                if match:
                    yield int(match[1]), int(match[2])
                elif text.startswith("GLIBC_"):
                    raise ValueError(f"{text} is no version")
                at += next_one
            need += following


def sections(program: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Type, offset, link and info of each section."""
    start = struct.unpack_from("<Q", program, 40)[0]
    size, count = struct.unpack_from("<HH", program, 58)
    for number in range(count):
        _, kind, _, _, offset, _, link, info = struct.unpack_from("<IIQQQQII", program, start + number * size)
        yield kind, offset, link, info
