#!/usr/bin/env python3
"""Scan the Terraform with checkov, from a virtual environment of its own under target/.

    infra/policy.py [checkov's options]

Exceptions stand where they apply, with their reason: `#checkov:skip=<check>:<reason>`. Needs Python 3.10+, and
once a package index. What cannot be scanned is said loudly, and is a failure in CI.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements-policy.txt"
PLACE = HERE.parent / "target" / "policy"


def installed() -> Path | None:
    """checkov at the pinned versions, or None where it cannot be had."""
    mark = PLACE / "requirements.sha256"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    checkov = PLACE / "bin" / "checkov"
    if checkov.exists() and mark.exists() and mark.read_text() == wanted:
        return checkov
    print("policy: installing checkov (about a minute)", flush=True)
    venv.create(PLACE, clear=True, with_pip=True)
    install = [PLACE / "bin" / "python", "-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS]
    if subprocess.run(install, check=False).returncode:
        return None
    mark.write_text(wanted)
    return checkov


def main(options: list[str]) -> int:
    checkov = installed()
    if checkov is None:
        print("SKIPPED: checkov cannot be installed: the policy scan is NOT DONE", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    command = [checkov, "--directory", HERE, "--framework", "terraform", "--skip-download", "--quiet", "--compact", *options]
    # Checks and their texts are those of the package: nothing is sent, nothing fetched.
    return subprocess.run(command, env={**os.environ, "LOG_LEVEL": "ERROR"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
