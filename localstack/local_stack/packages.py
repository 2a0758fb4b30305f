"""The programs of the stack: built by cargo, packed as the clouds want them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from .console import Problem, run

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "infra"))
import packing  # noqa: E402  (what a package holds is decided there, for this machine as for the clouds)

LAMBDAS = ("saga-initiator", "outbox-poller", "saga-events", "event-ingress", "deadline-sweeper", "dlq-replayer")
PARTICIPANT = "azure-participant"
STANDIN = "saga-azure-standin"


def build(log: Path) -> Path:
    """Builds everything for this machine; the folder of the binaries."""
    names = [f"--package={name}" for name in (*LAMBDAS, PARTICIPANT, STANDIN)]
    run(["cargo", "build", "--locked", "--release", *names], log, "make `cargo build --release` work, then run `up` again", cwd=REPOSITORY)
    metadata = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version=1"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return Path(json.loads(metadata.stdout)["target_directory"], "release")


def pack_lambdas(binaries: Path, zips: Path) -> None:
    for name in LAMBDAS:
        # Nothing here is sent anywhere: fast is better than small.
        packing.write(zips / f"{name}.zip", packing.zipped(packing.bootstrap((binaries / name).read_bytes()), level=1))


def assemble_function_app(binaries: Path, app: Path) -> None:
    """The Function App's package, unpacked."""
    try:
        entries = packing.function_app(REPOSITORY / "functions" / PARTICIPANT, (binaries / PARTICIPANT).read_bytes())
    except packing.NotPackable as error:
        raise Problem(str(error), "restore the file") from error
    fresh = app.with_name(app.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    for entry in entries:
        file = fresh / entry.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(entry.content)
        os.chmod(file, entry.mode & 0o777)
    if app.exists() and digest(app) == digest(fresh):
        shutil.rmtree(fresh)  # the handler that runs from the old folder may stay
        return
    shutil.rmtree(app, ignore_errors=True)
    fresh.replace(app)


def digest(*roots: Path) -> str:
    """One hash over files and folders, by relative name and content."""
    sha = hashlib.sha256()
    for root in roots:
        base = root.parent if root.is_file() else root
        for file in [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file()):
            sha.update(f"{file.relative_to(base)}\0".encode())
            sha.update(hashlib.sha256(file.read_bytes()).digest())
    return sha.hexdigest()
