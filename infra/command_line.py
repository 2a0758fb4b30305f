"""The command line of every script here, in `localstack/` and in `tests/`: a usage error is one line that says how to get
help, with exit code 2.
"""

from __future__ import annotations

import argparse
import os


class Parser(argparse.ArgumentParser):
    """`description` is the script's own text, shown as it is written."""

    def __init__(self, **options):
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**options)

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message} (help: {self.prog} --help)\n")


def takes_nothing(description: str | None) -> None:
    """For a script without arguments."""
    Parser(description=description).parse_args()


def port_base(text: str | None = None) -> int:
    """The first port of a local stack; without a text, what PORT_BASE says. The stacks of the demo and of the tests use ports
    up to 410 above it."""
    text = text or os.environ.get("PORT_BASE") or "4566"
    if not text.isdecimal() or not 1024 <= int(text) <= 65000:
        raise argparse.ArgumentTypeError(f"PORT_BASE={text} is not usable: give a number from 1024 to 65000")
    return int(text)
