"""The AWS side, applied by Terraform to the emulator: infra/stacks/local."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

from . import storage
from .console import run
from .packages import REPOSITORY, digest
from .state import AUDIENCE, CLIENT_ID, TENANT, State, write_private

STACK = REPOSITORY / "infra" / "stacks" / "local"
MODULES = REPOSITORY / "infra" / "modules"


def write_variables(state: State) -> None:
    state.terraform.mkdir(exist_ok=True)
    oidc, account = state.oidc, storage.Account.on(state.port_base)
    write_private(state.terraform / "terraform.tfvars.json", json.dumps({
        "endpoint": state.aws,
        "zips_dir": str(state.zips),
        "architecture": "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64",
        "azure": {"topic_endpoint": state.topic, "oauth": {"token_endpoint": oidc["token"], "client_id": CLIENT_ID}},
        "azure_secret": oidc["client_secret"],
        "ingress": {
            "issuers": [oidc["issuer"]],
            "jwks_url": f"{state.standin}/{TENANT}/discovery/v2.0/keys",
            "audience": AUDIENCE,
            "tenant": TENANT,
        },
        "azure_places": {
            "account": storage.ACCOUNT,
            "blob_endpoint": account.blob,
            "queue_endpoint": account.queue,
            "table_endpoint": account.table,
            "container": storage.DEAD_LETTER_CONTAINER,
            "queue": storage.QUEUE,
            "poison_queue": storage.POISON_QUEUE,
            "quarantine_queue": storage.QUARANTINE_QUEUE,
            "table": storage.TABLE,
            "emulator_keys": {"account": storage.KEY, "topic": state.values["topic_key"]},
        },
    }, indent=2) + "\n")


def wanted(state: State) -> str:
    """Changes when an apply would change something."""
    return digest(MODULES, *sorted(STACK.glob("*.tf")), state.zips, state.terraform / "terraform.tfvars.json")


def init(state: State) -> None:
    _terraform(state, "init", "-input=false", "-reconfigure", f"-backend-config=path={state.terraform / 'terraform.tfstate'}")


def apply(state: State) -> None:
    # More at a time than Terraform's ten: the provider mostly waits.
    _terraform(state, "apply", "-input=false", "-auto-approve", "-parallelism=40", _variables(state))


def destroy(state: State) -> None:
    _terraform(state, "destroy", "-input=false", "-auto-approve", "-parallelism=40", _variables(state))


def outputs(state: State) -> dict:
    answer = subprocess.run([*_command(), "output", "-json"], env=_environment(state), capture_output=True, text=True, check=True)
    return {name: output["value"] for name, output in json.loads(answer.stdout).items()}


def _terraform(state: State, *arguments: str) -> None:
    todo = "if this is not about your last change to infra/, run `down` and then `up`"
    run([*_command(), *arguments, "-no-color"], state.logs / "terraform.log", todo, env=_environment(state))


def _command() -> list[str]:
    return [sys.executable, str(REPOSITORY / "infra" / "terraform.py"), f"-chdir={STACK}"]


def _variables(state: State) -> str:
    return f"-var-file={state.terraform / 'terraform.tfvars.json'}"


def _environment(state: State) -> dict[str, str]:
    # A profile or a role of the user's real account has no business here.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_", "TF_CLI_ARGS"))}
    return {**env, "TF_DATA_DIR": str(state.terraform / "data"), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
