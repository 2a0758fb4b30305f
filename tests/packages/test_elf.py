"""The check of a program before it is packed, on programs that are made here byte by byte."""

from __future__ import annotations

import struct
import sys
import unittest
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "infra"))
import elf  # noqa: E402

HEADER, SECTION = 64, 64
ARM64, X86_64, RISC_V = 183, 62, 243


def program(machine: int = ARM64, needs: tuple[str, ...] = ("GLIBC_2.17", "GLIBC_2.26"), bits: int = 2, order: int = 1) -> bytes:
    """A header, the names, one library's version needs, and three section headers."""
    names, places = b"\0libc.so.6\0", []
    for need in needs:
        places.append(len(names))
        names += need.encode() + b"\0"
    versions = struct.pack("<HHIII", 1, len(needs), 1, 16, 0) if needs else b""
    for number, place in enumerate(places):
        versions += struct.pack("<IHHII", 0, 0, number + 2, place, 16 if number + 1 < len(places) else 0)
    at = HEADER + len(names) + len(versions)
    sections = bytes(SECTION)
    sections += struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, HEADER, len(names), 0, 0, 1, 0)
    if needs:
        sections += struct.pack("<IIQQQQIIQQ", 0, elf.VERNEED, 0, 0, HEADER + len(names), len(versions), 1, 1, 4, 0)
    identity = b"\x7fELF" + bytes([bits, order, 1]) + bytes(9)
    header = identity + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 0, at, 0, HEADER, 0, 0, SECTION, len(sections) // SECTION, 0)
    return header + names + versions + sections


class Elf(unittest.TestCase):
    def refused(self, content: bytes, architecture: str = "arm64") -> str:
        with self.assertRaises(elf.WrongProgram) as raised:
            elf.check(content, architecture, (2, 34))
        return str(raised.exception)

    def test_the_newest_glibc_is_reported(self):
        self.assertEqual(elf.check(program(), "arm64", (2, 34)), (2, 26))
        self.assertEqual(elf.check(program(X86_64, ("GLIBC_2.34", "GLIBC_2.2.5")), "x86_64", (2, 34)), (2, 34))

    def test_versions_are_numbers(self):
        self.assertEqual(elf.check(program(needs=("GLIBC_2.9", "GLIBC_2.10", "GCC_3.0")), "arm64", (2, 34)), (2, 10))

    def test_another_machine_is_refused(self):
        self.assertEqual(self.refused(program(X86_64)), "it is for x86_64, not arm64")
        self.assertEqual(self.refused(program(ARM64), "x86_64"), "it is for arm64, not x86_64")
        self.assertEqual(self.refused(program(RISC_V)), "it is for machine 243, not arm64")

    def test_another_class_or_byte_order_is_refused(self):
        self.assertEqual(self.refused(program(bits=1)), "it is not 64-bit little-endian")
        self.assertEqual(self.refused(program(order=2)), "it is not 64-bit little-endian")

    def test_a_newer_glibc_is_refused(self):
        self.assertEqual(self.refused(program(needs=("GLIBC_2.17", "GLIBC_2.35"))), "it needs glibc 2.35; there is 2.34")

    def test_what_cannot_be_judged_is_refused(self):
        self.assertEqual(self.refused(b"#!/bin/sh\n"), "it is no ELF file")
        self.assertEqual(self.refused(program(needs=())), "it names no glibc version that it needs")
        self.assertIn("GLIBC_PRIVATE is no version", self.refused(program(needs=("GLIBC_PRIVATE",))))
        whole = program()
        for length in (4, 20, HEADER, len(whole) - SECTION):
            self.assertTrue(self.refused(whole[:length]), length)


if __name__ == "__main__":
    unittest.main()
