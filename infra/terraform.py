#!/usr/bin/env python3
"""Run terraform, finding its providers with or without a registry.

    infra/terraform.py -chdir=infra/stacks/local plan     any terraform command
    infra/terraform.py check [FOLDER…]                    fmt, validate and test all modules and stacks; without
                                                          FOLDER also infra/rules.py and infra/iam_calls.py

A configured CLI (TF_CLI_CONFIG_FILE or ~/.terraformrc) is left alone. Without one, an installed plugin
mirror is used for the providers it holds: the folder in TF_PLUGIN_MIRROR, or a usual place. Everything
else comes from the registry. Needs Python 3.10+ and terraform 1.7+; exits with terraform's status.

Where a registry cannot be reached, TERRAFORM_HELPER may name a command that runs terraform with providers of its
own (`$TERRAFORM_HELPER terraform validate`); `check` uses it for folders whose providers no mirror holds. Folders
whose providers are nowhere to be had are reported as skipped, which is a failure in CI.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import iam_calls
import rules

HERE = Path(__file__).resolve().parent
REGISTRY = "registry.terraform.io"
USUAL_PLACES = ("/opt/*", "/usr/share/terraform/*", "/usr/local/share/terraform/*", "~/.terraform.d/plugins")


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


def run(arguments: list[str], env: dict[str, str]) -> int:
    return subprocess.call(["terraform", *arguments], env=env)


def needed_by(folder: Path) -> set[str]:
    """The providers of a folder; a module and a stack name all of them themselves."""
    return {f"{REGISTRY}/{source}" for source in re.findall(r'source\s*=\s*"([\w-]+/[\w-]+)"', (folder / "versions.tf").read_text())}


def check(folders: list[Path], env: dict[str, str], held: set[str], scratch: Path) -> int:
    """Format, validate and test; all folders are tried, so that one run shows every failure."""
    failed, skipped = [], []
    helper = shlex.split(env.get("TERRAFORM_HELPER", ""))
    if run(["fmt", "-check", "-diff", "-recursive", str(HERE)], env):
        failed.append("fmt")
    for number, folder in enumerate(folders):
        name = os.path.relpath(folder, HERE.parent)
        print(f"== {name}", flush=True)
        # Data of a check is kept away from the data of a stack that is applied from the same folder.
        own = dict(env, TF_DATA_DIR=str(scratch / f"data-{number}"))
        terraform = [*(helper if needed_by(folder) - held else []), "terraform", f"-chdir={folder}"]
        init = subprocess.run([*terraform, "init", "-backend=false", "-input=false", "-no-color"], env=own, capture_output=True, text=True)
        if init.returncode and "could not connect to " in " ".join(init.stderr.split()):
            print("skipped: its providers are in no mirror, and the registry cannot be reached", file=sys.stderr)
            skipped.append(name)
        elif init.returncode:
            print(init.stdout + init.stderr, file=sys.stderr)
            failed.append(name)
        elif subprocess.call([*terraform, "validate"], env=own) or ((folder / "tests").is_dir() and subprocess.call([*terraform, "test"], env=own)):
            failed.append(name)
    if skipped:
        print(f"SKIPPED, NOT CHECKED: {', '.join(skipped)} (no provider; see infra/README.md)", file=sys.stderr)
        failed += skipped if env.get("CI") else []
    if failed:
        print("terraform check failed: " + ", ".join(failed), file=sys.stderr)
    return 1 if failed else 0


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__, file=sys.stderr)
        return 2
    if not shutil.which("terraform"):
        print("terraform is not installed: https://developer.hashicorp.com/terraform/install", file=sys.stderr)
        return 127
    env = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="terraform-cli-") as scratch:
        held = set()
        if not configured(env):
            env.pop("TF_CLI_CONFIG_FILE", None)
            env.pop("TERRAFORM_CONFIG", None)
            folder = mirror(env)
            if folder:
                config = Path(scratch, "terraformrc")
                config.write_text(cli_config(folder))
                env["TF_CLI_CONFIG_FILE"] = str(config)
                held = set(held_by(folder))
        if arguments[0] == "check":
            folders = [Path(each).resolve() for each in arguments[1:]]
            if folders:
                return check(folders, env, held, Path(scratch))
            # Cheap, and of all folders at once.
            read = max(rules.main(), iam_calls.main([]))
            return max(read, check(sorted({path.parent for path in HERE.glob("*/*/versions.tf")}), env, held, Path(scratch)))
        return run(arguments, env)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
