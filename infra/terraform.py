#!/usr/bin/env python3
"""Run terraform, finding its providers with or without a registry.

    infra/terraform.py -chdir=infra/stacks/local plan     any terraform command
    infra/terraform.py check [FOLDER…]                    fmt, validate and test all modules and stacks; without
                                                          FOLDER also infra/rules.py, iam_calls.py, deployer.py, azure_roles.py, shell_tests.py

A configured CLI (TF_CLI_CONFIG_FILE or ~/.terraformrc) is left alone. Without one, an installed plugin
mirror is used for the providers it holds: the folder in TF_PLUGIN_MIRROR, or a usual place. Everything
else comes from the registry. Needs Python 3.10+ and terraform 1.7+; exits with terraform's status.

Where a registry cannot be reached, TERRAFORM_HELPER may name a command that runs terraform with providers of its
own (`$TERRAFORM_HELPER terraform validate`); `check` uses it for folders whose providers no mirror holds. Folders
whose providers are nowhere to be had are reported as skipped, which is a failure in CI. Where the mirror holds an older
provider than the configuration asks for, a copy without the newer arguments is checked, and that is said.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import azure_roles
import deployer
import iam_calls
import names
import providers
import rules
import shell_tests
from command_line import Parser

HERE = Path(__file__).resolve().parent
# A mocked plan that knows what only an apply would, which the tests of what must not be destroyed need.
TESTED_SINCE = (1, 11)


def run(arguments: list[str], env: dict[str, str]) -> int:
    return subprocess.call(["terraform", *arguments], env=env)


@dataclass
class Outcome:
    """What one folder's check said. `skipped`: why it was not made, or not whole."""

    name: str
    output: str
    failed: bool = False
    skipped: str = ""


class Check:
    """Validates and tests folders, as many side by side as there are processors; the providers they share run once."""

    def __init__(self, env: dict[str, str], held: set[str], scratch: Path, infra: Path, running: providers.Running):
        self.env, self.held, self.scratch, self.infra, self.running = env, held, scratch, infra, running
        self.helper = shlex.split(env.get("TERRAFORM_HELPER", ""))
        self.one_at_a_time = threading.Lock()
        self.version = providers.version(json.loads(said(["terraform", "version", "-json"], env).stdout)["terraform_version"])

    def folder(self, folder: Path) -> Outcome:
        name = os.path.relpath(folder, HERE.parent)
        folder = self.infra / folder.relative_to(HERE)
        # Data of a check is kept away from the data of a stack that is applied from the same folder.
        data = self.scratch / name.replace(os.sep, "-")
        own = dict(self.env, TF_DATA_DIR=str(data))
        # A provider's schema is hundreds of megabytes in memory: collecting less often saves a quarter of the time.
        own.setdefault("GOGC", "400")
        terraform = [*(self.helper if providers.needed_by(folder) - self.held else []), "terraform", f"-chdir={folder}"]
        with self.one_at_a_time:
            init = said([*terraform, "init", "-backend=false", "-input=false", "-no-color"], own)
            if init.returncode:
                unreachable = "could not connect to " in " ".join(init.stdout.split())
                return Outcome(name, init.stdout, failed=not unreachable, skipped="its providers are in no mirror, and the registry cannot be reached" if unreachable else "")
            own |= self.running.attached(data)
        output, failed = "", False
        if self.version < TESTED_SINCE and any("override_during" in file.read_text() for file in folder.glob("tests/*.tftest.hcl")):
            done = said([*terraform, "validate"], own)
            return Outcome(name, done.stdout, bool(done.returncode), f"its tests need Terraform {'.'.join(map(str, TESTED_SINCE))}; it was only validated")
        for command in commands(folder):
            done = said([*terraform, command], own)
            output, failed = output + done.stdout, failed or bool(done.returncode)
        if not failed and (folder / names.TEST).exists():
            done = said([*terraform, "test", "-json", "-verbose", f"-filter={names.TEST}"], own)
            problems = [done.stdout] if done.returncode else names.shared(done.stdout)
            output += "".join(f"names: {why}\n" for why in problems) or "names: what has to differ differs in every environment and region\n"
            failed = bool(problems)
        return Outcome(name, output, failed)


def commands(folder: Path) -> list[str]:
    """`test` begins by validating, but not the settings of a provider, which it replaces by a mock."""
    tested = (folder / "tests").is_dir()
    provides = any(re.search(r'^provider "', file.read_text(), re.M) for file in folder.glob("*.tf"))
    return ["validate"] * (provides or not tested) + ["test"] * tested


def said(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess:
    return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)


def check(folders: list[Path], env: dict[str, str], held: dict[str, str], scratch: Path) -> int:
    """Format, validate and test; all folders are tried, so that one run shows every failure."""
    failed, skipped = [], []
    infra, lacking = providers.fitted(HERE, held, scratch)
    for line in lacking:
        print(f"older provider: {line}", file=sys.stderr)
    named = {f"{providers.REGISTRY}/{source}" for source in held}
    if run(["fmt", "-check", "-diff", "-recursive", str(HERE)], env):
        failed.append("fmt")
    with providers.Running() as running, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for outcome in pool.map(Check(env, named, scratch, infra, running).folder, folders):
            print(f"== {outcome.name}\n{outcome.output}", flush=True)
            if outcome.skipped:
                print(f"skipped: {outcome.skipped}", file=sys.stderr)
                skipped.append(outcome.name)
            if outcome.failed:
                failed.append(outcome.name)
    if skipped:
        print(f"SKIPPED, NOT CHECKED: {', '.join(skipped)} (see infra/README.md, Checks)", file=sys.stderr)
        failed += skipped if env.get("CI") else []
    if failed:
        print("terraform check failed: " + ", ".join(failed), file=sys.stderr)
    return 1 if failed else 0


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        parser = Parser(description=__doc__)
        parser.parse_args(arguments)
        parser.error("give a terraform command, or check")
    if not shutil.which("terraform"):
        print("terraform is not installed: https://developer.hashicorp.com/terraform/install", file=sys.stderr)
        return 127
    env = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="terraform-cli-") as scratch:
        held: dict[str, str] = {}
        if not providers.configured(env):
            env.pop("TF_CLI_CONFIG_FILE", None)
            env.pop("TERRAFORM_CONFIG", None)
            folder = providers.mirror(env)
            if folder:
                config = Path(scratch, "terraformrc")
                config.write_text(providers.cli_config(folder))
                env["TF_CLI_CONFIG_FILE"] = str(config)
                held = providers.newest_held(folder)
        if arguments[0] == "check":
            folders = [Path(each).resolve() for each in arguments[1:]]
            if folders:
                return check(folders, env, held, Path(scratch))
            # Cheap, and of all folders at once.
            read = max(rules.main(), iam_calls.main([]), deployer.main(), azure_roles.main(), shell_tests.main())
            return max(read, check(sorted({path.parent for path in HERE.glob("*/*/versions.tf")}), env, held, Path(scratch)))
        return run(arguments, env)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
