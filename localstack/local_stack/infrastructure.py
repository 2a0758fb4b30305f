"""The AWS side, applied by Terraform to the emulator: infra/stacks/local."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys

from . import outside_services, storage
from .console import run
from .packages import CALLER, LAMBDAS, REPOSITORY, architecture, digest
from .read_back import aws_rest
from .state import AUDIENCE, CLIENT_ID, REGION, TENANT, State, write_private

STACK = REPOSITORY / "infra" / "stacks" / "local"
MODULES = REPOSITORY / "infra" / "modules"


def write_variables(state: State) -> None:
    state.terraform.mkdir(exist_ok=True)
    oidc, account = state.oidc, storage.Account.on(state.port_base)
    write_private(state.terraform / "terraform.tfvars.json", json.dumps({
        "endpoint": state.aws,
        "zips_dir": str(state.zips),
        "architecture": architecture(),
        "azure": {"topic_endpoint": state.topic, "oauth": {"token_endpoint": oidc["token"], "client_id": CLIENT_ID}},
        "azure_secret": oidc["client_secret"],
        "services": outside_services.bound(state) if CALLER in LAMBDAS else {},
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
            "calls": {"queue": storage.CALLS_QUEUE, "poison_queue": storage.CALLS_POISON_QUEUE},
            "emulator_keys": {"account": storage.KEY, "topic": state.values["topic_key"]},
        },
    }, indent=2) + "\n")


def wanted(state: State) -> str:
    """Changes when an apply would change something other than the code of a function."""
    return digest(MODULES, *sorted(STACK.glob("*.tf")), state.terraform / "terraform.tfvars.json")


def code(state: State) -> dict[str, str]:
    """What the functions are to run: a hash of each package."""
    return {zipped.stem: digest(zipped) for zipped in sorted(state.zips.glob("*.zip"))}


def replace_code(state: State, name: str) -> None:
    """As an apply would, which takes half a minute to find out that nothing else changed."""
    package = base64.b64encode((state.zips / f"{name}.zip").read_bytes()).decode()
    for function in functions_of(state, name):
        aws_rest({"aws": state.aws, "region": REGION}, "lambda", "PUT", f"/2015-03-31/functions/{function}/code", {"ZipFile": package})


def functions_of(state: State, package: str) -> list[str]:
    """The functions that run a package: one of its name, but for the callers of services, which share one."""
    if package != CALLER:
        return [package]
    return [f"caller-{name}" for name, service in outside_services.bound(state).items() if service["cloud"] == "aws"]


def init(state: State) -> None:
    _terraform(state, "init", "-input=false", "-reconfigure", f"-backend-config=path={state.terraform / 'terraform.tfstate'}")


def apply(state: State) -> None:
    # More at a time than Terraform's ten: the provider mostly waits.
    _terraform(state, "apply", "-input=false", "-auto-approve", "-parallelism=40", _variables(state))


def destroy(state: State) -> None:
    _terraform(state, "destroy", "-input=false", "-auto-approve", "-parallelism=40", _variables(state))


def outputs(state: State) -> dict:
    return {name: output["value"] for name, output in _answer(state, "output", "-json").items()}


def differences(state: State) -> list[str]:
    """What another apply of the same would change: address, action, and each attribute before and after."""
    plan = state.terraform / "again.plan"
    _terraform(state, "plan", "-input=false", "-parallelism=40", f"-out={plan}", _variables(state))
    return [f"{address}: {described(change)}" for address, change in changes(_answer(state, "show", "-json", str(plan))).items()]


def changes(planned: dict) -> dict[str, dict]:
    """What `terraform show -json` says of a plan: the resources and outputs that would change, by address."""
    found = {one["address"]: one["change"] for one in planned.get("resource_changes", [])}
    found |= {f"output {name}": change for name, change in planned.get("output_changes", {}).items()}
    return {address: change for address, change in found.items() if change["actions"] != ["no-op"]}


def described(change: dict) -> str:
    """A planned change in a line, without what is secret."""
    before, after = (change[side] if isinstance(change[side], dict) else {"value": change[side]} for side in ("before", "after"))
    marks = ("after_unknown", "before_sensitive", "after_sensitive")
    unknown, *secrets = (change.get(mark) if isinstance(change.get(mark), dict) else {} for mark in marks)
    words = ["/".join(change["actions"])]
    for name in sorted({*before, *after, *unknown}):
        was, will = before.get(name), "(known after apply)" if _any(unknown.get(name)) else after.get(name)
        if was != will:
            hidden = any(_any(secret.get(name)) for secret in secrets)
            words.append(f"{name} (secret)" if hidden else f"{name} {was!r} → {will!r}")
    return ", ".join(words)


def _terraform(state: State, *arguments: str) -> None:
    todo = "if this is not about your last change to infra/, run `down` and then `up`"
    run([*_command(), *arguments, "-no-color"], state.logs / "terraform.log", todo, env=_environment(state))


def _any(marks) -> bool:
    """Terraform marks a value, or parts of it in the value's own shape."""
    inner = marks.values() if isinstance(marks, dict) else marks
    return any(map(_any, inner)) if isinstance(marks, (dict, list)) else bool(marks)


def _answer(state: State, *arguments: str) -> dict:
    answer = subprocess.run([*_command(), *arguments], env=_environment(state), capture_output=True, text=True, check=True, timeout=600)
    return json.loads(answer.stdout)


def _command() -> list[str]:
    return [sys.executable, str(REPOSITORY / "infra" / "terraform.py"), f"-chdir={STACK}"]


def _variables(state: State) -> str:
    return f"-var-file={state.terraform / 'terraform.tfvars.json'}"


def _environment(state: State) -> dict[str, str]:
    # A profile or a role of the user's real account has no business here.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_", "TF_CLI_ARGS"))}
    return {**env, "TF_DATA_DIR": str(state.terraform / "data"), "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}
