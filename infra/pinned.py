"""Programs from the Python package index, at pinned versions, in a virtual environment of their own under target/."""

from __future__ import annotations

import hashlib
import subprocess
import venv
from pathlib import Path


def installed(place: Path, requirements: Path, what: str) -> bool:
    """Whether `place` holds what `requirements` names; installs it when it does not."""
    mark = place / "requirements.sha256"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if mark.exists() and mark.read_text() == wanted:
        return True
    print(f"installing {what} (about a minute)", flush=True)
    venv.create(place, clear=True, with_pip=True)
    install = [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--requirement", requirements]
    if subprocess.run(install, check=False).returncode:
        return False
    mark.write_text(wanted)
    return True
