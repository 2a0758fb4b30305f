#!/usr/bin/env python3
"""Plans, applies and destroys one environment: both stacks in their order, with what each hands to the other.

    infra/environment.py plan ENVIRONMENT       both plans, nothing changed
    infra/environment.py apply ENVIRONMENT      Azure, then AWS, then Azure again where it did not know AWS yet
    infra/environment.py drift ENVIRONMENT      like plan; ends with 2 where something differs
    infra/environment.py --folder DIR …         the environment's folder, if it is not infra/environments/ENVIRONMENT
    infra/environment.py --auto-approve apply … asks nothing, for CI

The folder holds azure.tfvars, aws.tfvars, azure.tfbackend and aws.tfbackend. What the Azure stack leaves for AWS goes into the
SSM parameter /saga-bridge/ENVIRONMENT/azure (a client secret into …/azure-secret, as a SecureString), and what AWS leaves is
read from …/aws. Needs Terraform, the AWS CLI and the Azure CLI, signed in. Each environment has its own working data, so that
nothing of another one is loaded by accident. It runs the commands that infra/README.md shows, and prints each.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# One call of the AWS CLI; it retries by itself.
CALL_SECONDS = 120
CHANGES = 2


class Stop(Exception):
    """Why it cannot go on, what that means and what to do."""


class Environment:
    def __init__(self, name: str, folder: Path, approve: bool):
        self.name, self.folder, self.approve = name, folder, approve
        for stack in ("azure", "aws"):
            for file in (folder / f"{stack}.tfvars", folder / f"{stack}.tfbackend"):
                if not file.is_file():
                    raise Stop(f"{file} is missing. Nothing was changed. infra/environments has examples.")
            said = re.search(r'^\s*environment\s*=\s*"([^"]*)"', (folder / f"{stack}.tfvars").read_text(), re.M)
            if not said or said[1] != name:
                raise Stop(f"{folder / f'{stack}.tfvars'} is for the environment {said[1] if said else 'nothing'}, not {name}. Nothing was changed.")
        region = re.search(r'^\s*region\s*=\s*"([^"]*)"', (folder / "aws.tfvars").read_text(), re.M)
        if not region:
            raise Stop(f"{folder / 'aws.tfvars'} does not say its region, where the hand-over is kept. Nothing was changed.")
        self.region = region[1]

    # --- terraform -------------------------------------------------------------------------------------------

    def terraform(self, stack: str, *arguments: str, answer: bool = False) -> subprocess.CompletedProcess:
        command = [sys.executable, str(HERE / "terraform.py"), f"-chdir={HERE / 'stacks' / stack}", *arguments]
        data = Path(os.environ.get("TF_DATA_DIR") or HERE / "stacks" / stack / ".terraform") / self.name
        print(f"\n== {stack}: terraform {' '.join(arguments)}", file=sys.stderr, flush=True)
        return subprocess.run(command, env=os.environ | {"TF_DATA_DIR": str(data)}, stdout=subprocess.PIPE if answer else None, text=True, check=False)

    def ran(self, stack: str, *arguments: str, ends: tuple[int, ...] = (0,), answer: bool = False) -> subprocess.CompletedProcess:
        done = self.terraform(stack, *arguments, answer=answer)
        if done.returncode not in ends:
            raise Stop(f"terraform {arguments[0]} of the {stack} stack ended with {done.returncode}; what it had changed until then is in its state. Run the same again once the cause is gone.")
        return done

    def init(self, stack: str) -> None:
        self.ran(stack, "init", "-input=false", f"-backend-config={self.folder / f'{stack}.tfbackend'}")

    def files(self, stack: str) -> list[str]:
        return [f"-var-file={self.folder / f'{stack}.tfvars'}"]

    def output(self, stack: str, name: str):
        return json.loads(self.ran(stack, "output", "-json", name, answer=True).stdout)

    # --- the hand-over ---------------------------------------------------------------------------------------

    def aws(self, *arguments: str, said: str | None = None) -> subprocess.CompletedProcess:
        command = ["aws", "--region", self.region, "--output", "json", *arguments]
        try:
            return subprocess.run(command, input=said, capture_output=True, text=True, timeout=CALL_SECONDS, check=False)
        except FileNotFoundError:
            raise Stop("The AWS CLI is not installed.") from None
        except subprocess.TimeoutExpired:
            raise Stop(f"aws {' '.join(arguments[:2])} has not answered for {CALL_SECONDS} seconds. Both stacks keep what they have; run the same again.") from None

    def left_by_aws(self) -> dict | None:
        done = self.aws("ssm", "get-parameter", "--name", f"/saga-bridge/{self.name}/aws")
        if done.returncode == 0:
            return json.loads(json.loads(done.stdout)["Parameter"]["Value"])
        if "ParameterNotFound" in done.stderr:
            return None
        raise Stop(f"What AWS left cannot be read: {done.stderr.strip()} Nothing was changed.")

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

    def way_back(self) -> list[str]:
        left = self.left_by_aws()
        return [f"-var=ingress_url={left['ingress_url']}"] if left else []

    # --- what a person asks for --------------------------------------------------------------------------------

    def plan(self) -> bool:
        """Whether anything would change."""
        changes = False
        way_back = self.way_back()
        self.init("azure")
        changes |= self.ran("azure", "plan", "-input=false", "-detailed-exitcode", *self.files("azure"), *way_back, ends=(0, CHANGES)).returncode == CHANGES
        self.init("aws")
        if self.aws("ssm", "get-parameter", "--name", f"/saga-bridge/{self.name}/azure").returncode:
            print("\naws: not planned: the Azure stack has left nothing yet. `apply` applies Azure first.", file=sys.stderr)
            return True
        changes |= self.ran("aws", "plan", "-input=false", "-detailed-exitcode", *self.files("aws"), ends=(0, CHANGES)).returncode == CHANGES
        return changes

    def apply(self) -> None:
        options = ["-input=false", "-auto-approve"] if self.approve else []
        known = self.way_back()
        self.init("azure")
        self.ran("azure", "apply", *options, *self.files("azure"), *known)
        self.from_azure()
        self.init("aws")
        self.ran("aws", "apply", *options, *self.files("aws"))
        way_back = self.way_back()
        if way_back != known:
            self.ran("azure", "apply", *options, *self.files("azure"), *way_back)
        print(f"\n{self.name} is applied. infra/day_one.py {self.name} shows whether it works.", file=sys.stderr)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--auto-approve", action="store_true")
    parser.add_argument("what", choices=["plan", "apply", "drift"])
    parser.add_argument("environment")
    asked = parser.parse_args(arguments)
    try:
        one = Environment(asked.environment, (asked.folder or HERE / "environments" / asked.environment).resolve(), asked.auto_approve)
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
