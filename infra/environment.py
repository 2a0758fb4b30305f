#!/usr/bin/env python3
"""Plans and applies one environment: both stacks in their order, with what each hands to the other.

    infra/environment.py plan ENVIRONMENT       both plans, nothing changed
    infra/environment.py apply ENVIRONMENT      Azure, then AWS, then Azure again where it did not know AWS yet
    infra/environment.py drift ENVIRONMENT      like plan; ends with 2 where something differs
    infra/environment.py terraform ENVIRONMENT azure|aws COMMAND…
                                                any terraform command with the state and the data of that environment

    --folder DIR       the environment's folder, if it is not infra/environments/ENVIRONMENT (a second region has its own)
    --auto-approve     asks nothing, for CI
    --upgrade          takes the newest providers that the stacks allow

The folder holds azure.tfvars, aws.tfvars, azure.tfbackend and aws.tfbackend, and services.tfvars if sagas call outside services. What the Azure stack leaves for AWS goes into the
SSM parameter /saga-bridge/ENVIRONMENT/azure (a client secret into …/azure-secret, as a SecureString), and what AWS leaves is
read from …/aws. Needs Terraform, the AWS CLI and the Azure CLI, signed in. Terraform's working data lies in the folder, so that
nothing of another environment is loaded by accident.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from command_line import Parser

HERE = Path(__file__).resolve().parent
NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
# One call of the AWS CLI; it retries by itself.
CALL_SECONDS = 120
CHANGES = 2


class Stop(Exception):
    """Why it cannot go on, what that means and what to do."""


def settings(file: Path) -> dict[str, str]:
    """The texts at the top level of a tfvars file, without what stands in lists and objects."""
    found, depth = {}, 0
    for line in file.read_text().splitlines():
        code = re.sub(r'("(?:[^"\\]|\\.)*")|#.*|//.*', lambda one: one[1] or "", line)
        said = re.fullmatch(r'\s*(\w+)\s*=\s*"((?:[^"\\]|\\.)*)"\s*', code)
        if said and depth == 0:
            found[said[1]] = said[2]
        bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", code)
        depth += sum(bare.count(one) for one in "{[(") - sum(bare.count(one) for one in "}])")
    return found


class Environment:
    def __init__(self, name: str, folder: Path, approve: bool = False, upgrade: bool = False):
        self.name, self.folder, self.approve, self.upgrade = name, folder, approve, upgrade
        if not NAME.fullmatch(name):
            raise Stop(f"{name!r} is no name of an environment: lower-case letters, digits and single hyphens.")
        for stack in ("azure", "aws"):
            for file in (folder / f"{stack}.tfvars", folder / f"{stack}.tfbackend"):
                if not file.is_file():
                    raise Stop(f"{file} is missing. Nothing was changed. infra/environments has examples.")
            said = settings(folder / f"{stack}.tfvars").get("environment")
            if said != name:
                raise Stop(f"{folder / f'{stack}.tfvars'} is for the environment {said or 'nothing'}, not {name}. Nothing was changed.")
        aws = settings(folder / "aws.tfvars")
        self.region, self.account = aws.get("region"), aws.get("account_id")
        if not self.region:
            raise Stop(f"{folder / 'aws.tfvars'} does not say its region, where the hand-over is kept. Nothing was changed.")
        trusted = set(re.findall(r"arn:[a-z-]+:iam::(\d{12}):role/", (folder / "azure.tfvars").read_text()))
        if self.account and trusted - {self.account}:
            raise Stop(f"{folder / 'azure.tfvars'} trusts roles of account {', '.join(sorted(trusted - {self.account}))}, and aws.tfvars is for {self.account}. Nothing was changed.")

    # --- terraform -------------------------------------------------------------------------------------------

    def terraform(self, stack: str, *arguments: str, answer: bool = False) -> subprocess.CompletedProcess:
        command = [sys.executable, str(HERE / "terraform.py"), f"-chdir={HERE / 'stacks' / stack}", *arguments]
        print(f"\n== {stack}: terraform {' '.join(arguments)}", file=sys.stderr, flush=True)
        env = os.environ | {"TF_DATA_DIR": str(self.folder / ".terraform" / stack)}
        return subprocess.run(command, env=env, stdout=subprocess.PIPE if answer else None, text=True, check=False)

    def ran(self, stack: str, *arguments: str, codes: tuple[int, ...] = (0,), answer: bool = False) -> subprocess.CompletedProcess:
        done = self.terraform(stack, *arguments, answer=answer)
        if done.returncode not in codes:
            raise Stop(f"terraform {arguments[0]} of the {stack} stack ended with {done.returncode}; what it had changed until then is in its state. Run the same again once the cause is gone.")
        return done

    def init(self, stack: str) -> None:
        upgrade = ["-upgrade"] if self.upgrade else []
        self.ran(stack, "init", "-input=false", *upgrade, f"-backend-config={self.folder / f'{stack}.tfbackend'}")

    def files(self, stack: str) -> list[str]:
        # Both stacks take the same services, from one file if there is one.
        shared = [file for file in [self.folder / "services.tfvars"] if file.is_file()]
        return [f"-var-file={file}" for file in [self.folder / f"{stack}.tfvars", *shared]]

    def output(self, stack: str, name: str):
        return json.loads(self.ran(stack, "output", "-json", name, answer=True).stdout)

    # --- the hand-over ---------------------------------------------------------------------------------------

    def aws(self, *arguments: str, said: str | None = None) -> subprocess.CompletedProcess:
        print(f"\n== aws {' '.join(arguments)}", file=sys.stderr, flush=True)
        command = ["aws", "--region", self.region, "--output", "json", *arguments]
        try:
            return subprocess.run(command, input=said, capture_output=True, text=True, timeout=CALL_SECONDS, check=False)
        except FileNotFoundError:
            raise Stop("The AWS CLI is not installed.") from None
        except subprocess.TimeoutExpired:
            raise Stop(f"aws {' '.join(arguments[:2])} has not answered for {CALL_SECONDS} seconds. Both stacks keep what they have; run the same again.") from None

    def signed_in(self) -> None:
        done = self.aws("sts", "get-caller-identity")
        if done.returncode:
            raise Stop(f"AWS does not know who you are: {done.stderr.strip()} Nothing was changed.")
        account = json.loads(done.stdout)["Account"]
        if self.account and account != self.account:
            raise Stop(f"You are signed in to account {account}, and {self.name} is in {self.account} (account_id in aws.tfvars). Nothing was changed.")

    def left(self, by: str) -> dict | None:
        name = f"/saga-bridge/{self.name}/{by}"
        done = self.aws("ssm", "get-parameter", "--name", name)
        if done.returncode:
            if "ParameterNotFound" in done.stderr:
                return None
            raise Stop(f"What {by} left cannot be read: {done.stderr.strip()} Nothing was changed.")
        try:
            left = json.loads(json.loads(done.stdout)["Parameter"]["Value"])
            environment = left["environment"]
        except (ValueError, KeyError, TypeError):
            raise Stop(f"{name} does not hold what the {by} stack leaves. Nothing was changed. Delete it, and apply that stack again.") from None
        if environment != self.name:
            raise Stop(f"{name} holds what the environment {environment} left. Nothing was changed.")
        return left

    def hand_over(self, name: str, value: str, kind: str) -> None:
        # Through standard input: arguments can be read by every process of the machine.
        request = json.dumps({"Name": f"/saga-bridge/{self.name}/{name}", "Value": value, "Type": kind, "Overwrite": True})
        done = self.aws("ssm", "put-parameter", "--cli-input-json", "file:///dev/stdin", said=request)
        if done.returncode:
            raise Stop(f"The hand-over to AWS cannot be written: {done.stderr.strip()} Azure was applied; run the same again once that is mended.")

    def from_azure(self) -> None:
        for_aws = self.output("azure", "for_aws")
        self.hand_over("azure", json.dumps(for_aws, sort_keys=True), "String")
        if for_aws["transport"] == "api-destination":
            self.hand_over("azure-secret", self.output("azure", "azure_secret"), "SecureString")
            return
        done = self.aws("ssm", "delete-parameter", "--name", f"/saga-bridge/{self.name}/azure-secret")
        if done.returncode and "ParameterNotFound" not in done.stderr:
            raise Stop(f"The secret of the transport before cannot be deleted: {done.stderr.strip()} Azure was applied; run the same again once that is mended.")

    def way_back(self) -> list[str]:
        left = self.left("aws")
        if left is None:
            return []
        if not isinstance(left.get("ingress_url"), str):
            raise Stop(f"/saga-bridge/{self.name}/aws has no ingress_url. Nothing was changed. Apply AWS again.")
        return [f"-var=ingress_url={left['ingress_url']}"]

    def knows_its_webhook(self, known: list[str]) -> None:
        """Without the way back, Azure's subscription to AWS would be taken away."""
        if known:
            return
        # Of no state it tells nothing, and one that cannot be read stops here; `state list` ends alike for both.
        state = self.ran("azure", "show", "-json", answer=True).stdout
        if ".azurerm_eventgrid_event_subscription.to_ingress[0]" in state:
            raise Stop(f"Azure sends to a webhook of AWS, but there is no SSM parameter /saga-bridge/{self.name}/aws in {self.region}: is it another account or region that you are signed in to? Nothing was changed.")

    # --- what a person asks for --------------------------------------------------------------------------------

    def nothing_lies_about(self) -> None:
        for file in sorted([*HERE.glob("*/*/*override.tf"), *HERE.glob("stacks/*/terraform.tfvars*"), *HERE.glob("stacks/*/*.auto.tfvars*")]):
            if file.suffix != ".tf" or "prevent_destroy" in file.read_text():
                raise Stop(f"{file} would be read, too: it takes a protection away, or is of no environment. Nothing was changed. Remove it.")

    def plan(self) -> bool:
        """Whether anything would change."""
        self.signed_in()
        known = self.way_back()
        self.init("azure")
        self.knows_its_webhook(known)
        plan = ("plan", "-input=false", "-detailed-exitcode")
        changes = self.ran("azure", *plan, *self.files("azure"), *known, codes=(0, CHANGES)).returncode == CHANGES
        if self.left("azure") is None:
            print("\naws: not planned: the Azure stack has left nothing yet. `apply` applies Azure first.", file=sys.stderr)
            return True
        self.init("aws")
        return self.ran("aws", *plan, *self.files("aws"), codes=(0, CHANGES)).returncode == CHANGES or changes

    def apply(self) -> None:
        self.nothing_lies_about()
        self.signed_in()
        options = ["-input=false", "-auto-approve"] if self.approve else []
        known = self.way_back()
        self.init("azure")
        self.knows_its_webhook(known)
        self.ran("azure", "apply", *options, *self.files("azure"), *known)
        self.from_azure()
        self.init("aws")
        self.ran("aws", "apply", *options, *self.files("aws"))
        way_back = self.way_back()
        if way_back != known:
            self.ran("azure", "apply", *options, *self.files("azure"), *way_back)
        print(f"\n{self.name} is applied. infra/day_one.py {self.name} shows whether it works.", file=sys.stderr)


def main(arguments: list[str]) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--auto-approve", action="store_true")
    parser.add_argument("--upgrade", action="store_true")
    parser.add_argument("what", choices=["plan", "apply", "drift", "terraform"])
    parser.add_argument("environment")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="azure|aws COMMAND")
    asked = parser.parse_args(arguments)
    try:
        one = Environment(asked.environment, (asked.folder or HERE / "environments" / asked.environment).resolve(), asked.auto_approve, asked.upgrade)
        if asked.what == "terraform":
            if len(asked.command) < 2 or asked.command[0] not in ("azure", "aws"):
                parser.error("terraform ENVIRONMENT azure|aws COMMAND…")
            return one.terraform(*asked.command).returncode
        if asked.command:
            parser.error(f"{asked.what} takes an environment and nothing else")
        if asked.what == "apply":
            one.apply()
            return 0
        changes = one.plan()
        return CHANGES if changes and asked.what == "drift" else 0
    except Stop as why:
        print(f"environment: {why}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
