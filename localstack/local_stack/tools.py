"""What must be installed, and what is installed here: the emulators, at pinned versions."""

from __future__ import annotations

import fcntl
import hashlib
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from .console import Problem, run, say

HERE = Path(__file__).resolve().parent.parent
VENV = HERE / ".venv"
LOCALSTACK_VENV = HERE / ".venv-localstack"
AZURITE = HERE / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"

# name, arguments that print its version, least version, how to get it
TOOLS = (
    ("cargo", ["--version"], (1, 95), "install Rust from https://rustup.rs"),
    ("node", ["--version"], (20,), "install Node.js 20 or newer from https://nodejs.org"),
    ("npm", ["--version"], (9,), "npm comes with Node.js: https://nodejs.org"),
    ("terraform", ["version"], (1, 7), "install Terraform 1.7 or newer: https://developer.hashicorp.com/terraform/install"),
)


def check_prerequisites() -> None:
    missing = []
    if sys.version_info < (3, 10):
        missing.append(f"python {sys.version.split()[0]} is too old: run this with Python 3.10 or newer")
    for name, arguments, least, how in TOOLS:
        found = _version(name, arguments)
        if found is None:
            missing.append(f"{name} is not installed: {how}")
        elif found < least:
            missing.append(f"{name} {'.'.join(map(str, found))} is too old: {how}")
    if missing:
        raise Problem("the local stack needs more than this machine has:\n  " + "\n  ".join(missing), "install these and run `up` again")


def _version(name: str, arguments: list[str]) -> tuple[int, ...] | None:
    if not shutil.which(name):
        return None
    answer = subprocess.run([name, *arguments], capture_output=True, text=True)
    numbers = re.search(r"(\d+)\.(\d+)\.(\d+)", answer.stdout)
    return tuple(map(int, numbers.groups())) if numbers else None


@contextmanager
def exclusively(file: Path):
    """One at a time, also between two stacks that come up together."""
    with file.open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another command that works on the same files")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install_emulators(logs: Path, emulator: str) -> None:
    requirements, lockfile = HERE / "requirements.txt", HERE / "package-lock.json"
    with exclusively(requirements):
        if emulator == "localstack":
            pins = HERE / "requirements-localstack.txt"
            _once(LOCALSTACK_VENV, pins, "LocalStack into localstack/.venv-localstack (some minutes)", lambda: _install_python(LOCALSTACK_VENV, python_313(), pins, logs / "pip.log"))
        else:
            _once(VENV, requirements, "MiniStack into localstack/.venv", lambda: _install_python(VENV, sys.executable, requirements, logs / "pip.log"))
        _once(HERE / "node_modules", lockfile, "Azurite into localstack/node_modules", lambda: _install_azurite(logs / "npm.log"))


def python_313() -> str:
    """LocalStack's code needs 3.13, and its pins are for that one."""
    versions = Path("~/.pyenv/versions").expanduser()
    candidates = [sys.executable, "python3.13", *(str(each / "bin" / "python") for each in sorted(versions.glob("3.13.*")))]
    for each in candidates:
        if (_version(each, ["--version"]) or ())[:2] == (3, 13):
            return each
    raise Problem("LocalStack needs Python 3.13, and none is installed", "`uv python install 3.13`, `pyenv install 3.13`, or leave --emulator out")


def _once(folder: Path, pins: Path, what: str, install) -> None:
    stamp, wanted = folder / ".installed", hashlib.sha256(pins.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    say(f"installing {what}")
    install()
    stamp.write_text(wanted)


def _install_python(place: Path, python: str, requirements: Path, log: Path) -> None:
    run([python, "-m", "venv", "--clear", str(place)], log, "on Debian and Ubuntu: apt install python3-venv")
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "-r", str(requirements)]
    run(pip, log, "is the Python package index reachable?")


def _install_azurite(log: Path) -> None:
    run(["npm", "ci", "--no-audit", "--no-fund"], log, "is the npm registry reachable?", cwd=HERE)
