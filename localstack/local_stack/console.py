"""What a person at the terminal sees: one line for each step, and the right log when something fails."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

STARTED = time.monotonic()
HEARTBEAT_SECONDS = 10


class Problem(Exception):
    """Something a person has to do something about: what failed, what to do, and the log that says why."""

    def __init__(self, what: str, todo: str, log: Path | None = None):
        super().__init__(what)
        self.what, self.todo, self.log = what, todo, log
        # Read now: what is stopped because of this problem still writes to its log.
        self.evidence = last_lines(log, 20) if log and log.exists() else []

    def report(self) -> str:
        shown = [f"--- the last lines of {self.log}", *self.evidence, "---"] if self.evidence else []
        return "\n".join([f"error: {self.what}", *shown, f"what to do: {self.todo}"])


def say(message: str) -> None:
    print(f"[{time.monotonic() - STARTED:6.1f}s] {message}", flush=True)


def last_lines(file: Path, count: int) -> list[str]:
    with file.open("rb") as log:
        log.seek(0, 2)
        log.seek(max(0, log.tell() - 16384))
        text = log.read().decode(errors="replace")
    return text.splitlines()[-count:]


def run(command: list[str], log: Path, todo: str, **options) -> None:
    """Runs a command into a log; while it takes long, shows where it is. A failure is a Problem."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, **options)
        try:
            while True:
                try:
                    status = process.wait(timeout=HEARTBEAT_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    where = last_lines(log, 1)
                    say("  … " + (where[0].strip()[:100] if where else "working"))
        except BaseException:
            process.terminate()
            process.wait()
            raise
    if status:
        raise Problem(f"`{' '.join(command[:6])}` ended with status {status}", todo, log)
