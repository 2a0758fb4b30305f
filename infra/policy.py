#!/usr/bin/env python3
"""Scan the Terraform with checkov, from a virtual environment of its own under target/.

    infra/policy.py [checkov's options]

Exceptions stand where they apply, with their reason: `#checkov:skip=<check>:<reason>`. Needs Python 3.10+, and
once a package index. What cannot be scanned is said loudly, and is a failure in CI.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pinned import installed

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements-policy.txt"
PLACE = HERE.parent / "target" / "policy"


def main(options: list[str]) -> int:
    if not installed(PLACE, REQUIREMENTS, "checkov"):
        print("SKIPPED: checkov cannot be installed: the policy scan is NOT DONE", file=sys.stderr)
        return 1 if os.environ.get("CI") else 0
    command = [PLACE / "bin" / "checkov", "--directory", HERE, "--framework", "terraform", "--skip-download", "--quiet", "--compact", *options]
    # Checks and their texts are those of the package: nothing is sent, nothing fetched.
    return subprocess.run(command, env={**os.environ, "LOG_LEVEL": "ERROR"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
