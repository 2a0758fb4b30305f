"""Where terraform's providers come from, and how a check starts each of them only once.

A plugin mirror that is installed on this machine is used for the providers it holds; everything else comes from the
registry. Terraform starts a provider anew for each walk of each run of a test, and a large one takes over a second of
CPU to start: one that runs with `-debug` is attached to instead.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REGISTRY = "registry.terraform.io"
USUAL_PLACES = ("/opt/*", "/usr/share/terraform/*", "/usr/local/share/terraform/*", "~/.terraform.d/plugins")
START_SECONDS, STOP_SECONDS = 60, 10
# Arguments of a kind of resource that came with a version, by provider. Only stacks/aws uses them; rules.py sees to it that it does.
NEWER = {
    "hashicorp/aws": {
        ("aws_lambda_permission", "invoked_via_function_url"): (6, 29),
        ("aws_cloudwatch_event_archive", "kms_key_identifier"): (6, 2),
    }
}


def configured(env: dict[str, str]) -> bool:
    named = env.get("TF_CLI_CONFIG_FILE") or env.get("TERRAFORM_CONFIG")
    if named:
        return Path(named).exists()
    return Path("~/.terraformrc").expanduser().exists()


def mirror(env: dict[str, str]) -> Path | None:
    named = env.get("TF_PLUGIN_MIRROR")
    if named:
        return Path(named)
    for place in USUAL_PLACES:
        root = Path(place).expanduser()
        for folder in sorted(Path(root.anchor).glob(str(root.relative_to(root.anchor)))):
            if (folder / REGISTRY).is_dir():
                return folder
    return None


def held_by(folder: Path) -> list[str]:
    return sorted(f"{REGISTRY}/{path.parent.name}/{path.name}" for path in (folder / REGISTRY).glob("*/*") if path.is_dir())


def cli_config(folder: Path) -> str:
    held = held_by(folder)
    names = ", ".join(f'"{name}"' for name in held)
    return (
        "provider_installation {\n"
        f'  filesystem_mirror {{\n    path    = "{folder}"\n    include = [{names}]\n  }}\n'
        f"  direct {{\n    exclude = [{names}]\n  }}\n"
        "}\n"
    )


def needed_by(folder: Path) -> set[str]:
    """The providers of a folder; a module and a stack name all of them themselves."""
    return {f"{REGISTRY}/{source}" for source in re.findall(r'source\s*=\s*"([\w-]+/[\w-]+)"', (folder / "versions.tf").read_text())}


def version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def newest_held(folder: Path) -> dict[str, str]:
    """Of each provider that a mirror holds, unpacked or packed, its newest version."""
    newest: dict[str, str] = {}
    for place in (folder / REGISTRY).glob("*/*/*"):
        found = re.search(r"(?:^|_)(\d+\.\d+\.\d+)(?:_|$)", place.name)
        source = f"{place.parent.parent.name}/{place.parent.name}"
        if found and version(found[1]) > version(newest.get(source, "0")):
            newest[source] = found[1]
    return newest


def fitted(infra: Path, held: dict[str, str], scratch: Path) -> tuple[Path, list[str]]:
    """`infra` itself, or, where a mirror holds older providers than it asks for, a copy that is content with those, and what
    the copy lacks. Without a registry there is nothing else to check with."""
    reported = []
    changed: dict[Path, str] = {}
    for source, has in held.items():
        for file in sorted(infra.glob("*/*/*.tf")):
            text = changed.get(file, file.read_text())
            if file.name == "versions.tf":
                block = re.search(rf'source\s*=\s*"{source}"\s*\n\s*version\s*=\s*">= ([\d.]+)', text)
                if block and version(block[1]) > version(has):
                    changed[file] = text[: block.start(1)] + has + text[block.end(1) :]
                    reported.append(f"{file.parent.relative_to(infra)} asks for {source} {block[1]}")
            for (kind, argument), since in NEWER.get(source, {}).items():
                if version(has) < since:
                    # Formatted code closes a block at the beginning of a line.
                    text, number = re.subn(rf'(?ms)^(resource "{kind}" "\w+" \{{\n(?:(?!^\}}).)*?)^\s*{argument}\s*=[^\n]*\n', r"\1", text)
                    if number:
                        changed[file] = text
                        reported.append(f"{argument} was taken out of {file.relative_to(infra)}")
    if not changed:
        return infra, []
    copy = scratch / "fitted" / infra.name
    shutil.copytree(infra, copy, symlinks=True, ignore=shutil.ignore_patterns(".terraform*", "__pycache__", "*.tfstate*"))
    for beside in infra.parent.iterdir():
        if beside != infra:
            (copy.parent / beside.name).symlink_to(beside)
    for file, text in changed.items():
        (copy / file.relative_to(infra)).write_text(text)
    return copy, [f"the mirror holds {source} {has}" for source, has in held.items() if source in " ".join(reported)] + reported


class Running:
    """Providers that wait for any number of terraform commands: for checks only, because one that was configured stays so."""

    def __init__(self):
        self._processes: list[subprocess.Popen] = []
        self._attach: dict[Path, dict | None] = {}

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_):
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def attached(self, data: Path) -> dict[str, str]:
        """What terraform's environment says so that it uses these, in the versions that `init` chose for this data folder."""
        attach = {}
        for binary in sorted((data / "providers" / REGISTRY).glob("*/*/*/*/terraform-provider-*")):
            binary = binary.resolve()
            if binary not in self._attach:
                self._attach[binary] = self._start(binary)
            attach |= self._attach[binary] or {}
        return {"TF_REATTACH_PROVIDERS": json.dumps(attach)} if attach else {}

    def _start(self, binary: Path) -> dict | None:
        # Into a file: a provider that fills a pipe which nobody reads stands still.
        with tempfile.TemporaryFile("w+") as out:
            process = subprocess.Popen([binary, "-debug"], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
            self._processes.append(process)
            end = time.monotonic() + START_SECONDS
            while process.poll() is None and time.monotonic() < end:
                out.seek(0)
                attached = re.search(r"TF_REATTACH_PROVIDERS='(\{.*\})'", out.read())
                if attached:
                    return json.loads(attached[1])
                time.sleep(0.05)
        print(f"{binary.name} cannot be attached to: terraform starts it each time, which is slow and right", file=sys.stderr)
        return None
