#!/usr/bin/env python3
"""Build and pack what is deployed.

    infra/package.py [--arch arm64|x86_64]… [FUNCTION…]

    target/package/<arch>/<function>.zip     every Lambda function, for each architecture (both by default)
    target/package/azure-participant.zip     the Function App: handler for x86-64, host.json, each function.json

The builds go through cargo-lambda and zig, which are installed under target/; the machine needs Rust and Python
3.10+, and its own architecture does not matter. No program is packed before it was seen to be for its
architecture and to need no newer glibc than there is where it runs. The same programs give the same bytes, and
no program says where it was built.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import elf
import packing
from command_line import Parser
from pinned import installed

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = ROOT / "functions"
PACKAGES = ROOT / "target" / "package"
BUILT = ROOT / "target" / "package-build"
TOOLS = ROOT / "target" / "package-tools"
REQUIREMENTS = ROOT / "infra" / "requirements-package.txt"
TARGETS = {"arm64": "aarch64-unknown-linux-gnu", "x86_64": "x86_64-unknown-linux-gnu"}
PARTICIPANT, PARTICIPANT_ARCHITECTURE = "azure-participant", "x86_64"
# Built against an old one, so that it starts on what both clouds run; provided.al2023 has 2.34.
OLDEST_GLIBC, NEWEST_GLIBC = (2, 26), (2, 34)


class Failed(Exception):
    """What went wrong, for a person."""


def lambdas() -> list[str]:
    """Every function but those that the other cloud's host runs."""
    folders = sorted(path.parents[1] for path in FUNCTIONS.glob("*/src/main.rs"))
    return [folder.name for folder in folders if not (folder / "host.json").exists()]


def cargo_home() -> Path:
    return Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")


def build(names: list[str], architecture: str) -> dict[str, bytes]:
    """The programs, built and checked."""
    target = TARGETS[architecture]
    if shutil.which("rustup"):
        run(["rustup", "target", "add", target], {})
    # What a program says of its source must not say where it was built.
    flags = [f"--remap-path-prefix={cargo_home()}=/cargo", f"--remap-path-prefix={ROOT}=/saga-bridge"]
    environment = {
        "PATH": f"{TOOLS / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(TOOLS),
        "CARGO_ENCODED_RUSTFLAGS": "\x1f".join(flags),
    }
    chosen = [word for name in names for word in ("--package", name, "--bin", name)]
    folder = BUILT / architecture
    # The profile is the workspace's: cargo-lambda's own would let a panic end the process.
    command = [TOOLS / "bin" / "cargo-lambda", "lambda", "build", "--locked", "--release", "--disable-optimizations", "--output-format", "binary"]
    run([*command, "--target", f"{target}.{elf.dotted(OLDEST_GLIBC)}", "--lambda-dir", folder, *chosen], environment)
    return {name: checked(name, (folder / name / "bootstrap").read_bytes(), architecture) for name in names}


def checked(name: str, program: bytes, architecture: str) -> bytes:
    try:
        needs = elf.check(program, architecture, NEWEST_GLIBC)
    except elf.WrongProgram as why:
        raise Failed(f"{name} for {architecture}: {why}") from why
    print(f"package: {name} is for {architecture} and needs glibc {elf.dotted(needs)}", flush=True)
    return program


def run(command: list, environment: dict[str, str]) -> None:
    words = [str(word) for word in command]
    if subprocess.run(words, cwd=ROOT, env={**os.environ, **environment}, check=False).returncode:
        raise Failed(f"`{' '.join(words)}` failed")


def pack(architectures: list[str], names: list[str]) -> list[Path]:
    """Builds and packs these functions; the packages."""
    packed = []
    for architecture in TARGETS:
        wanted = [name for name in names if (name == PARTICIPANT and architecture == PARTICIPANT_ARCHITECTURE) or (name != PARTICIPANT and architecture in architectures)]
        for name, program in build(wanted, architecture).items() if wanted else ():
            if name == PARTICIPANT:
                file, entries = PACKAGES / f"{name}.zip", packing.function_app(FUNCTIONS / name, program)
            else:
                file, entries = PACKAGES / architecture / f"{name}.zip", packing.bootstrap(program)
            packing.write(file, packing.zipped(entries))
            packed.append(file)
    return packed


def main(arguments: list[str]) -> int:
    known = [*lambdas(), PARTICIPANT]
    parser = Parser(description=__doc__)
    parser.add_argument("--arch", action="append", choices=list(TARGETS), help="of the Lambda functions; more than once for both")
    parser.add_argument("names", nargs="*", metavar="FUNCTION", help="only these; without any, all")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such function; there are {', '.join(known)}")
    if not installed(TOOLS, REQUIREMENTS, "cargo-lambda and zig"):
        print("package: cargo-lambda and zig cannot be installed: is the Python package index reachable?", file=sys.stderr)
        return 1
    try:
        packed = pack(options.arch or list(TARGETS), options.names or known)
    except (Failed, packing.NotPackable) as why:
        print(f"package: {why}", file=sys.stderr)
        return 1
    for file in packed:
        content = file.read_bytes()
        print(f"{hashlib.sha256(content).hexdigest()}  {len(content):>9,}  {file.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
