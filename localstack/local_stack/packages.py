"""The programs of the stack: built by cargo for this machine and packed as the clouds want them, or, to try what is
deployed, the very packages of `make package`.

What is built here has the development profile `local` of Cargo.toml, because it is built after every edit. The release
profile is for packages: its link-time optimization takes minutes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from .console import Problem, run

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.append(str(REPOSITORY / "infra"))
import packing  # noqa: E402  (what a package holds is decided there, for this machine as for the clouds)

CALLER = "service-caller"
LAMBDAS = ("saga-initiator", "outbox-poller", "saga-events", "event-ingress", "deadline-sweeper", "dlq-replayer")
# One package for the callers of all services; without it, nobody on AWS calls any.
LAMBDAS += (CALLER,) * (REPOSITORY / "functions" / CALLER).exists()
PARTICIPANT = "azure-participant"
STANDIN = "saga-azure-standin"
DLQ = "dlq"
SAGA = "saga"
PROFILE = "local"


def architecture() -> str:
    return "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"


@dataclass(frozen=True)
class Programs:
    """What the stack runs. `packed` is the folder of the packages that the functions come from, when they are not built here."""

    binaries: Path
    packed: Path | None

    def function(self, name: str) -> bytes:
        """A Lambda function's package."""
        if self.packed:
            return read_package(self.packed / architecture() / f"{name}.zip")
        # Nothing here is sent anywhere: fast is better than small.
        return packing.zipped(packing.bootstrap((self.binaries / name).read_bytes()), level=1)

    def function_app(self) -> list[packing.Entry]:
        """The files of the Function App's package."""
        if self.packed:
            return packing.entries(read_package(self.packed / f"{PARTICIPANT}.zip"))
        try:
            return packing.function_app(REPOSITORY / "functions" / PARTICIPANT, (self.binaries / PARTICIPANT).read_bytes())
        except packing.NotPackable as error:
            raise Problem(str(error), "restore the file") from error


def read_package(file: Path) -> bytes:
    if not file.exists():
        raise Problem(f"there is no {file}", "run `make package` first")
    return file.read_bytes()


def require_runnable(packed: Path | None) -> None:
    """Both clouds run Linux, and the Function App is on x86-64."""
    here = (platform.system(), architecture())
    if packed and here != ("Linux", "x86_64"):
        raise Problem(f"packages cannot run on {' on '.join(here)}: they are for Linux, and the Function App's is for x86_64", "leave --packages out")


def build(log: Path, packed: Path | None) -> Programs:
    """Builds for this machine what does not come from packages."""
    names = [f"--bin={name}" for name in (STANDIN, DLQ, SAGA, *(() if packed else (*LAMBDAS, PARTICIPANT)))]
    command = ["cargo", "build", "--locked", "--profile", PROFILE, *names]
    run(command, log, f"make `{' '.join(command[:5])}` work, then run `up` again", cwd=REPOSITORY)
    return Programs(binaries(), packed)


def binaries() -> Path:
    """Where cargo leaves what `build` builds."""
    metadata = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version=1"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return Path(json.loads(metadata.stdout)["target_directory"], PROFILE)


def pack_lambdas(programs: Programs, zips: Path) -> None:
    for name in LAMBDAS:
        packing.write(zips / f"{name}.zip", programs.function(name))


def assemble_function_app(programs: Programs, app: Path) -> None:
    """The Function App's package, unpacked."""
    entries = programs.function_app()
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
