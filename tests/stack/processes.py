"""The processes that the emulator runs functions in."""

from __future__ import annotations

import os

from .support import emulator_pid


def function_processes(endpoints: dict, name: str | None = None) -> list[int]:
    """Those that are alive: of one function, or all."""
    wanted = f"AWS_LAMBDA_FUNCTION_NAME={name or ''}".encode()
    found = []
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/environ", "rb") as file:
                variables = file.read().split(b"\0")
            is_it = wanted in variables if name else any(variable.startswith(wanted) for variable in variables)
            if is_it and emulator_pid(endpoints) in ancestors(int(entry)):
                found.append(int(entry))
        except OSError:  # it has ended meanwhile
            continue
    return found


def peak_mb(endpoints: dict, name: str) -> float:
    """The most memory that a process of the function has had."""
    found = []
    for pid in function_processes(endpoints, name):
        try:
            with open(f"/proc/{pid}/status") as file:
                found += [int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM")]
        except OSError:
            continue
    return max(found, default=0)


def ancestors(pid: int) -> list[int]:
    line = []
    while pid > 1:
        with open(f"/proc/{pid}/stat") as file:
            pid = int(file.read().rsplit(")", 1)[1].split()[1])
        line.append(pid)
    return line
