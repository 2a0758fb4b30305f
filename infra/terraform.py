#!/usr/bin/env python3
"""Run terraform, finding its providers with or without a registry.

    infra/terraform.py -chdir=infra/stacks/local plan     any terraform command
    infra/terraform.py check [FOLDER…]                    fmt, validate and test all modules and stacks

A configured CLI (TF_CLI_CONFIG_FILE or ~/.terraformrc) is left alone. Without one, an installed plugin
mirror is used for the providers it holds: the folder in TF_PLUGIN_MIRROR, or a usual place. Everything
else comes from the registry. Needs Python 3.10+ and terraform 1.7+; exits with terraform's status.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

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


def cli_config(folder: Path) -> str:
    held = sorted(f"{REGISTRY}/{path.parent.name}/{path.name}" for path in (folder / REGISTRY).glob("*/*") if path.is_dir())
    names = ", ".join(f'"{name}"' for name in held)
    return (
        "provider_installation {\n"
        f'  filesystem_mirror {{\n    path    = "{folder}"\n    include = [{names}]\n  }}\n'
        f"  direct {{\n    exclude = [{names}]\n  }}\n"
        "}\n"
    )


def run(arguments: list[str], env: dict[str, str]) -> int:
    return subprocess.call(["terraform", *arguments], env=env)


def check(folders: list[Path], env: dict[str, str], scratch: Path) -> int:
    """Format, validate and test; all folders are tried, so that one run shows every failure."""
    failed = []
    if run(["fmt", "-check", "-diff", "-recursive", str(HERE)], env):
        failed.append("fmt")
    for number, folder in enumerate(folders):
        name = os.path.relpath(folder, HERE.parent)
        print(f"== {name}", flush=True)
        # Data of a check is kept away from the data of a stack that is applied from the same folder.
        own = dict(env, TF_DATA_DIR=str(scratch / f"data-{number}"))
        chdir = f"-chdir={folder}"
        quiet = subprocess.run(["terraform", chdir, "init", "-backend=false", "-input=false"], env=own, capture_output=True, text=True)
        if quiet.returncode:
            print(quiet.stdout + quiet.stderr, file=sys.stderr)
            failed.append(name)
        elif run([chdir, "validate"], own) or ((folder / "tests").is_dir() and run([chdir, "test"], own)):
            failed.append(name)
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
        if not configured(env):
            env.pop("TF_CLI_CONFIG_FILE", None)
            env.pop("TERRAFORM_CONFIG", None)
            folder = mirror(env)
            if folder:
                config = Path(scratch, "terraformrc")
                config.write_text(cli_config(folder))
                env["TF_CLI_CONFIG_FILE"] = str(config)
        if arguments[0] == "check":
            folders = [Path(each).resolve() for each in arguments[1:]]
            folders = folders or sorted({path.parent for path in HERE.glob("*/*/versions.tf")})
            return check(folders, env, Path(scratch))
        return run(arguments, env)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
