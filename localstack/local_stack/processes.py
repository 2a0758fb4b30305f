"""Processes that outlive the command that started them.

Invariant: nothing is signalled that this stack did not start. A process is known by its id and the moment it
started, so an id that the system has given to somebody else is not taken for ours.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Callable

from .console import Problem


def identity(pid: int) -> str | None:
    """When the process started, as the system tells it; None when there is no such process (or only its corpse)."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    answer = subprocess.run(["ps", "-p", str(pid), "-o", "stat=", "-o", "lstart="], capture_output=True, text=True)
    state, _, started = answer.stdout.strip().partition(" ")
    return None if answer.returncode or state.startswith("Z") else started.strip()


def start(command: list[str], log: Path, env: dict[str, str], cwd: Path) -> dict:
    """Starts a process in a session of its own, so that Ctrl-C at the terminal does not reach it."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=cwd, start_new_session=True
        )
    return {"pid": process.pid, "started": identity(process.pid)}


def alive(record: dict | None) -> bool:
    return bool(record) and record["started"] is not None and identity(record["pid"]) == record["started"]


def stop(record: dict | None, patience_seconds: float) -> None:
    """Asks the process and its children to end, insists after a while, and returns when all are gone."""
    if not alive(record):
        return
    for request, patience in ((signal.SIGTERM, patience_seconds), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(record["pid"], request)
        except ProcessLookupError:
            return
        end = time.monotonic() + patience
        while time.monotonic() < end:
            reap(record["pid"])
            if not alive(record) and not runs_on(record["pid"]):
                return
            time.sleep(0.05)


def runs_on(group: int) -> bool:
    """Whether a process of this group runs: a child may outlive its parent for a moment, and with it the ports that it has."""
    listing = subprocess.run(["ps", "-axo", "pgid=,stat="], capture_output=True, text=True).stdout
    lines = (line.split() for line in listing.splitlines())
    return any(line[0] == str(group) and line[1][0] not in "ZX" for line in lines if len(line) == 2)


def stop_orphans(*folders: Path) -> None:
    """Ends programs that lie in these folders of the stack: functions whose emulator or host was killed."""
    places = tuple(f"{folder}{os.sep}" for folder in folders)
    listing = subprocess.run(["ps", "-axo", "pid=,args="], capture_output=True, text=True).stdout
    for line in listing.splitlines():
        pid, _, arguments = line.strip().partition(" ")
        if arguments.startswith(places):
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass


def reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def require_free(port: int, owner: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # What the servers do too: a connection that lingers from the last run does not make a port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise Problem(
                f"port {port}, which {owner} needs, is taken ({error.strerror})",
                f"stop what listens on {port}, or move the stack: PORT_BASE=14566 (it uses seven ports from there on)",
            ) from error


def wait_until(answers: Callable[[], bool], record: dict | None, name: str, log: Path, seconds: float) -> None:
    """Waits for a condition; a process that died meanwhile is not waited for."""
    end = time.monotonic() + seconds
    while not answers():
        if record is not None:
            reap(record["pid"])
            if not alive(record):
                raise Problem(f"{name} ended while it started", "read the log above; then run `up` again", log)
        if time.monotonic() > end:
            raise Problem(f"{name} is not ready after {seconds:.0f} seconds", "read the log above; then run `up` again", log)
        time.sleep(0.1)
