"""The programs of the stack: built by cargo, packed as the clouds want them.

Invariant: the same binary gives the same bytes, so that Terraform sees a change only when there is one.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

from .console import Problem, run

REPOSITORY = Path(__file__).resolve().parents[2]
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
    zips.mkdir(parents=True, exist_ok=True)
    for name in LAMBDAS:
        entry = zipfile.ZipInfo("bootstrap", date_time=(1980, 1, 1, 0, 0, 0))
        entry.create_system, entry.external_attr, entry.compress_type = 3, 0o100755 << 16, zipfile.ZIP_DEFLATED
        temporary = zips / f"{name}.zip.new"
        with zipfile.ZipFile(temporary, "w") as archive:
            archive.writestr(entry, (binaries / name).read_bytes(), compresslevel=1)
        temporary.replace(zips / f"{name}.zip")


def assemble_function_app(binaries: Path, app: Path) -> None:
    """host.json and one folder a function, as they are deployed, with the handler beside them."""
    source = REPOSITORY / "functions" / PARTICIPANT
    host = source / "host.json"
    try:
        handler = json.loads(host.read_text())["customHandler"]["description"]["defaultExecutablePath"]
    except (OSError, KeyError, ValueError) as error:
        raise Problem(f"{host} names no custom handler ({error})", "restore the file") from error
    fresh = app.with_name(app.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    shutil.copy(host, fresh)
    for function in sorted(source.glob("*/function.json")):
        (fresh / function.parent.name).mkdir()
        shutil.copy(function, fresh / function.parent.name)
    shutil.copy(binaries / PARTICIPANT, fresh / handler)
    os.chmod(fresh / handler, 0o755)
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
