#!/usr/bin/env python3
"""Apply, change and destroy `stacks/aws`, whole, with the real aws provider on an emulator of AWS (moto).

    infra/whole.py

Two deployments, one with each transport, are made side by side in one account. Then: AWS has what Terraform says to have
made; a second plan is empty; a change of three settings changes just those; tables refuse to be deleted while they are
protected; destroying one deployment leaves the other as it was; destroying both leaves nothing but keys that wait for
their deletion. About four minutes, most of it the provider's waiting for queues.

Nothing is asked of a real account: every address is moto's, on a free port of loopback, and the credentials are made up.
Needs Python 3.10+, terraform 1.7+ and once a package index (moto goes into a virtual environment under target/). What
cannot be had is said loudly, and is a failure in CI.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Callable

import providers
from command_line import takes_nothing
from pinned import installed

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
REQUIREMENTS = HERE / "requirements-moto.txt"
PLACE = ROOT / "target" / "moto"
sys.path.append(str(ROOT / "localstack"))

import packing  # noqa: E402
from local_stack import processes  # noqa: E402
from local_stack.console import HEARTBEAT_SECONDS, Problem, last_lines, say  # noqa: E402
from local_stack.infrastructure import changes, described  # noqa: E402

# Bounds, not expectations: a busy machine takes several times as long as an idle one.
START_SECONDS, INIT_SECONDS, PLAN_SECONDS, APPLY_SECONDS = 120, 300, 300, 900

# --- what is applied -----------------------------------------------------------------------------------

REGION = "eu-central-1"
FUNCTIONS = ("saga-initiator", "outbox-poller", "saga-events", "event-ingress", "deadline-sweeper", "dlq-replayer", "event-relay", "service-caller")
CHANGED_FUNCTION = "outbox-poller"
# All queues of the stack side by side: the provider waits half a minute for each.
PARALLELISM = "-parallelism=40"
KEY = "module.encryption[0].aws_kms_key.this"
# It goes with the protection of the tables, once destroy_override.tf lets it.
GUARD = "terraform_data.keeps_data[0]"


# One for each way to call a service; the one of Azure is not made here.
SERVICES = {
    "ledger": {"cloud": "aws", "url": "https://abcdef1234.execute-api.eu-central-1.amazonaws.com/prod/saga", "auth": "sigv4"},
    "tax": {"cloud": "aws", "url": "https://abc.lambda-url.eu-central-1.on.aws", "auth": "sigv4", "resource": "arn:aws:lambda:eu-central-1:123456789012:function:tax"},
    "mail": {"cloud": "aws", "lambda": "arn:aws:lambda:eu-central-1:123456789012:function:mail", "auth": "lambda", "max_concurrency": 1},
    "stock": {"cloud": "aws", "url": "https://stock.internal/saga", "auth": "signature", "secret": "prod/stock", "inside": True},
    "bank": {"cloud": "azure", "url": "https://bank.example.com/saga", "auth": "entra", "audience": "api://bank"},
}


def left_by_azure(environment: str, transport: str) -> dict:
    """The Azure stack's output `for_aws`."""
    return {
        "environment": environment,
        "transport": transport,
        "topic_endpoint": "https://topic.westeurope-1.eventgrid.azure.net/api/events",
        "tenant_id": "11111111-2222-3333-4444-555555555555",
        "audience": "22222222-3333-4444-5555-666666666666",
        "client_id": "66666666-7777-8888-9999-000000000000",
    }


def variables(environment: str, transport: str, network: dict) -> dict:
    """Of one deployment. The one with the relay reads what Azure left from SSM, the other one has everything that is optional."""
    given = {"environment": environment, "region": REGION, "services": SERVICES}
    if transport == "federation-relay":
        return given
    return given | {
        "azure": left_by_azure(environment, transport) | {
            "secret_expires": "2099-01-01T00:00:00Z",
            "dead_letters": {
                "client_id": "66666666-7777-8888-9999-00000000000d",
                "account": "sagadata",
                "container": "deadletters",
                "queue": "saga-events",
                "poison_queue": "saga-events-poison",
                "quarantine_queue": "saga-quarantine",
                "table": "SagaSteps",
                "calls": {"queue": "saga-calls", "poison_queue": "saga-calls-poison"},
            },
        },
        "azure_secret": "not-a-secret",
        # It asks with the AWS CLI, which not everybody has; infra/shell_tests.py tests it.
        "check_connection": False,
        "api_callers": ["arn:aws:iam::210987654321:role/caller"],
        "dead_letter_callers": ["arn:aws:iam::210987654321:role/operator"],
        "alert_email_addresses": ["on-call@example.com"],
        "iam_path": "/platform/",
        "permissions_boundary": "arn:aws:iam::123456789012:policy/boundary",
        "webhook_gateway": True,
        "network": network,
        "monthly_budget_usd": 100,
    }


# Besides, one function gets another package.
CHANGE = {"log_retention_days": 14, "deletion_protection": False}
# What it may change: of each type the attributes that the plan knows beforehand.
CHANGED = {
    "aws_cloudwatch_log_group": {"retention_in_days"},
    "aws_dynamodb_table": {"deletion_protection_enabled"},
    "aws_lambda_function": {"source_code_hash"},
}

# --- a deployment --------------------------------------------------------------------------------------


class Unreachable(Exception):
    """The provider is in no mirror, and the registry cannot be reached."""


@dataclass
class Deployment:
    environment: str
    transport: str
    folder: Path
    env: dict[str, str]
    started: list[dict]
    network: dict

    def __post_init__(self):
        self.settings = variables(self.environment, self.transport, self.network)
        self.stack, self.packages = self.folder / "infra" / "stacks" / "aws", self.folder / "packages"
        self.log, self.plan = self.folder / "terraform.log", self.folder / "plan"
        self.env = {**self.env, "TF_DATA_DIR": str(self.folder / "data")}
        # Neither a state nor variables nor a lock of whoever works in the repository.
        unwanted = shutil.ignore_patterns("tests", ".terraform*", "*.tfstate*", "*.tfvars", "*.tfvars.json")
        infra, _ = providers.fitted(HERE, {"hashicorp/aws": provider_version()}, self.folder)
        for part in ("modules", "stacks/aws"):
            shutil.copytree(infra / part, self.folder / "infra" / part, ignore=unwanted)
        (self.stack / "whole_override.tf").write_text(override())
        for name in FUNCTIONS:
            self.pack(name, "1")
        self.write_settings()

    def pack(self, name: str, version: str) -> bytes:
        package = packing.zipped(packing.bootstrap(f"#!/bin/sh\nexit {version}\n".encode()))
        for architecture in ("arm64", "x86_64"):
            packing.write(self.packages / architecture / f"{name}.zip", package)
        return package

    def write_settings(self) -> None:
        settings = {**self.settings, "packages_dir": str(self.packages)}
        (self.stack / "terraform.tfvars.json").write_text(json.dumps(settings))

    def terraform(self, *arguments: str, seconds: int) -> None:
        """Runs it into the log; does not outlive its bound."""
        command = [sys.executable, str(HERE / "terraform.py"), f"-chdir={self.stack}", *arguments, "-no-color"]
        with self.log.open("ab") as out:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=self.env, start_new_session=True)
        record = {"pid": process.pid, "started": processes.identity(process.pid)}
        self.started.append(record)
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Problem(f"{self.environment}: `terraform {arguments[0]}` has not ended after {seconds} s", f"see {self.log}", self.log) from None
        finally:
            processes.stop(record, 5)
        if status:
            raise Problem(f"{self.environment}: `terraform {arguments[0]}` ended with status {status}", f"see {self.log}", self.log)

    def answer(self, *arguments: str) -> dict:
        command = [sys.executable, str(HERE / "terraform.py"), f"-chdir={self.stack}", *arguments]
        return json.loads(subprocess.run(command, env=self.env, capture_output=True, text=True, check=True, timeout=PLAN_SECONDS).stdout)

    def init(self) -> None:
        try:
            self.terraform("init", "-input=false", seconds=INIT_SECONDS)
        except Problem as problem:
            if "could not connect to " in " ".join(self.log.read_text().split()):
                raise Unreachable from problem
            raise

    def apply(self) -> None:
        self.terraform("apply", "-input=false", "-auto-approve", PARALLELISM, seconds=APPLY_SECONDS)

    def apply_planned(self) -> None:
        self.terraform("apply", "-input=false", PARALLELISM, str(self.plan), seconds=APPLY_SECONDS)

    def destroy(self) -> None:
        self.terraform("destroy", "-input=false", "-auto-approve", PARALLELISM, seconds=APPLY_SECONDS)

    def forget_the_key(self) -> None:
        """As the README says before a destroy: backups need it."""
        self.terraform("state", "rm", KEY, seconds=PLAN_SECONDS)

    def free_the_data(self) -> None:
        shutil.copy(self.stack / "destroy_override.tf.example", self.stack / "destroy_override.tf")

    def refuses_a_rename(self) -> bool:
        kept, self.settings = self.settings, self.settings | {"prefix": "another-"}
        self.write_settings()
        before = self.log.stat().st_size
        try:
            self.terraform("plan", "-input=false", PARALLELISM, seconds=PLAN_SECONDS)
            return False
        except Problem:
            said = self.log.read_bytes()[before:].decode(errors="replace")
            return "terraform_data.keeps_data" in said and "Instance cannot be destroyed" in said
        finally:
            self.settings = kept
            self.write_settings()

    def planned(self) -> dict[str, dict]:
        self.terraform("plan", "-input=false", PARALLELISM, f"-out={self.plan}", seconds=PLAN_SECONDS)
        return changes(self.answer("show", "-json", str(self.plan)))

    def types(self) -> dict[str, str]:
        """The type of each resource of AWS in the state, by address."""
        return {one["address"]: one["type"] for one in resources(self.answer("show", "-json")["values"]["root_module"])}

    def progress(self) -> str:
        done = len(re.findall(r": (?:Creation|Modifications|Destruction) complete", self.log.read_text()))
        return f"{self.environment}: {done} done; " + "".join(last_lines(self.log, 1))[:90]


def resources(module: dict) -> list[dict]:
    inner = [one for child in module.get("child_modules", []) for one in resources(child)]
    return [one for one in module.get("resources", []) if one["mode"] == "managed" and one["type"].startswith("aws_")] + inner


def provider_version() -> str:
    """The one that the local stack is tested with: a newer one would be another test each month."""
    return re.search(r'version\s*=\s*"(\d+\.\d+\.\d+)"', (HERE / "stacks" / "local" / "versions.tf").read_text())[1]


def override() -> str:
    """State in the folder, whatever backend the stack has."""
    return (
        "terraform {\n"
        '  backend "local" {}\n\n'
        "  required_providers {\n"
        f'    aws = {{ source = "hashicorp/aws", version = "{provider_version()}" }}\n'
        "  }\n"
        "}\n"
    )


def surroundings(address: str) -> dict[str, str]:
    """The environment of everything that asks AWS: moto's address, made-up credentials, nothing of the user's account."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TF_VAR_", "TF_CLI_ARGS"))}
    return env | {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
    }


def together(what: str, work: Callable[[Deployment], object], *deployments: Deployment) -> list:
    """The same with each deployment at once; shows where each is while it takes long."""
    say(what)
    with ThreadPoolExecutor(len(deployments)) as pool:
        futures = {pool.submit(work, one): one for one in deployments}
        waiting, shown = set(futures), time.monotonic()
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=HEARTBEAT_SECONDS, return_when=FIRST_COMPLETED)
                for one in done:
                    one.result()
                if waiting and time.monotonic() - shown >= HEARTBEAT_SECONDS:
                    shown = time.monotonic()
                    for one in waiting:
                        say(f"  … {futures[one].progress()}")
        except BaseException:
            # The others would be waited for.
            for record in deployments[0].started:
                processes.stop(record, 5)
            raise
    return [future.result() for future in futures]


# --- what is found -------------------------------------------------------------------------------------


def only_by_the_key(change: dict) -> bool:
    """Whether an update follows from a key that is not there any more: its ARN, and what names it."""
    return change["actions"] == ["update"] and all("kms" in name or name in ("policy", "server_side_encryption", "value") for name in known(change))


def expect(found: list[str] | dict, what: str, todo: str) -> None:
    if found:
        lines = found if isinstance(found, list) else [f"{kind}: {', '.join(names)}" for kind, names in found.items()]
        raise Problem("\n  ".join([f"{what}:", *lines]), todo)


def differing(planned: dict[str, dict]) -> list[str]:
    return [f"{address}: {described(change)}" for address, change in planned.items()]


def known(change: dict) -> set[str]:
    """The attributes of an update that differ and whose new value the plan knows."""
    before, after, unknown = change["before"] or {}, change["after"] or {}, change.get("after_unknown") or {}
    return {name for name in {*before, *after} if before.get(name) != after.get(name) and not unknown.get(name)}


def beside_the_change(planned: dict[str, dict], types: dict[str, str]) -> list[str]:
    """What a plan for CHANGE changes besides, and what of it the plan leaves out."""
    wanted = {address for address, kind in types.items() if kind in CHANGED}
    wanted -= {address for address in wanted if types[address] == "aws_lambda_function" and f".{CHANGED_FUNCTION.replace('-', '_')}." not in address}
    wrong = []
    for address in sorted(wanted | set(planned)):
        if address not in planned:
            wrong.append(f"{address}: is not changed")
        elif address not in wanted or planned[address]["actions"] != ["update"] or known(planned[address]) != CHANGED[types[address]]:
            wrong.append(f"{address}: {described(planned[address])}")
    return wrong


def run(folder: Path, started: list[dict]) -> None:
    import inventory  # of moto's environment, where boto3 is

    say("starting moto")
    port, log = folder / "port", folder / "moto.log"
    moto = processes.start([sys.executable, str(HERE / "moto_server.py"), str(port)], log, surroundings(""), folder)
    started.append(moto)
    processes.wait_until(port.exists, moto, "moto", log, START_SECONDS)
    env = surroundings(f"http://127.0.0.1:{port.read_text()}")
    os.environ.update(env)
    account = inventory.Account(REGION)

    network = team_network(account)
    blue, green = both = [
        Deployment(environment, transport, folder / environment, env, started, network)
        for environment, transport in (("blue", "api-destination"), ("green", "federation-relay"))
    ]
    # What the Azure stack of the one leaves; the other's is in its variables.
    name, left = "/saga-bridge/green/azure", json.dumps(left_by_azure("green", "federation-relay"))
    account.client("ssm").put_parameter(Name=name, Value=left, Type="String")
    empty = inventory.held(account)
    together("terraform init", Deployment.init, *both)
    together("applying: blue with an API destination, green with the relay", Deployment.apply, *both)
    types = {one.environment: one.types() for one in both}
    made = inventory.held(account)
    every = [kind for one in types.values() for kind in one.values()]
    expect(inventory.unlike_the_state(inventory.beyond(made, empty), every), "AWS and Terraform's state differ", "see infra/inventory.py")
    say(f"{' and '.join(str(len(one)) for one in types.values())} resources, {len(every) - sum(kind in inventory.PARTS for kind in every)} of them found one by one")

    for one, planned in zip(both, together("a second plan, which has to be empty", Deployment.planned, *both)):
        expect(differing(planned), f"{one.environment}: applied again, this would change", "a gap of moto belongs into infra/moto_server.py")

    say("tables refuse to be deleted while they are protected")
    tables = inventory.beyond(made, empty)["aws_dynamodb_table"]
    expect(deleted(account, tables), "these could be deleted", "deletion_protection is on by default")

    for one, refused in zip(both, together("a plan that would rename the tables is refused", Deployment.refuses_a_rename, *both)):
        expect([] if refused else [one.environment], "this was planned, or was refused for another reason", "see terraform_data.keeps_data in stacks/aws")
        one.free_the_data()

    packages = []
    for one in both:
        one.settings |= CHANGE
        one.write_settings()
        packages.append(one.pack(CHANGED_FUNCTION, "2"))
    for one, planned in zip(both, together("planning a change: retention of logs, protection of tables, one function's package", Deployment.planned, *both)):
        guard = planned.pop(GUARD, {"actions": []})
        expect([] if guard["actions"] == ["delete"] else [f"{guard}"], f"{one.environment}: {GUARD} stays without protection", "see stacks/aws")
        expect(beside_the_change(planned, types[one.environment]), f"{one.environment}: the change and the plan differ", "see CHANGED in infra/whole.py")
    together("applying the change", Deployment.apply_planned, *both)
    changed = inventory.held(account)
    expect(inventory.beyond(changed, made) | inventory.beyond(made, changed), "the change made or deleted", "it should do neither")
    expect(unchanged(account, inventory.beyond(made, empty), packages[0]), "AWS does not have the change", "")

    together("forgetting the keys, which outlive everything", Deployment.forget_the_key, *both)
    together("destroying blue", Deployment.destroy, blue)
    left = inventory.beyond(inventory.held(account), empty)
    expect(inventory.unlike_the_state(left, [*types["green"].values(), "aws_kms_key"]), "after blue is gone, green is not what it was", "two deployments share a name")
    [planned] = together("a plan of green, which has to be empty but for the key that is forgotten", Deployment.planned, green)
    expect(differing({address: change for address, change in planned.items() if KEY.split(".aws_")[0] not in address and not only_by_the_key(change)}), "the destroy of blue changed green", "two deployments share a resource")
    together("destroying green", Deployment.destroy, green)
    keys = [kind for one in types.values() for kind in one.values()].count("aws_kms_key")
    left = inventory.beyond(inventory.held(account), empty)
    expect({kind: names for kind, names in left.items() if kind != "aws_kms_key"}, "a destroy leaves", "it should leave nothing but keys")
    expect([] if len(left.get("aws_kms_key", [])) == keys and not account.keys("PendingDeletion") else [f"{left}"], f"{keys} keys should be there, and none waits for its deletion", "backups need them")
    say(f"nothing is left but {keys} keys, which backups need")

    allowed = {call for needed in json.loads((HERE / "deployer" / "aws" / "permissions.json").read_text())["aws"].values() for call in needed["read"] + needed["write"]}
    called = set((folder / "port.calls").read_text().split())
    expect(sorted(called - allowed), "the provider made these calls, which deployer/aws does not allow", "see infra/deployer/aws/permissions.json")
    say(f"the deployer may make all {len(called)} calls that the provider made")


def team_network(account) -> dict:
    """A VPC with what belongs to the team: two subnets, a route table and the functions' security group."""
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    return {
        "subnet_ids": [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{part}.0/24")["Subnet"]["SubnetId"] for part in (1, 2)],
        "security_group_ids": [ec2.create_security_group(GroupName="functions", Description="functions", VpcId=vpc)["GroupId"]],
        "internet": True,
        "endpoints": {"vpc_id": vpc, "route_table_ids": [ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]]},
    }


def deleted(account, tables: list[str]) -> list[str]:
    """Which of these tables let themselves be deleted."""
    client, gone = account.client("dynamodb"), []
    for table in tables:
        try:
            client.delete_table(TableName=table)
            gone.append(table)
        except client.exceptions.ClientError as error:
            if "protect" not in str(error).lower():
                raise
    return gone


def unchanged(account, new: dict[str, list[str]], package: bytes) -> list[str]:
    """What AWS has otherwise than CHANGE says."""
    groups = {one["logGroupName"]: one.get("retentionInDays") for one in account.pages("logs", "describe_log_groups", "logGroups")}
    wrong = [f"{name}: kept for {groups[name]} days" for name in new["aws_cloudwatch_log_group"] if groups[name] != CHANGE["log_retention_days"]]
    for name in new["aws_dynamodb_table"]:
        table = account.client("dynamodb").describe_table(TableName=name)["Table"]
        if table.get("DeletionProtectionEnabled") != CHANGE["deletion_protection"]:
            wrong.append(f"{name}: DeletionProtectionEnabled is {table.get('DeletionProtectionEnabled')}")
    wanted = base64.b64encode(hashlib.sha256(package).digest()).decode()
    for name in new["aws_lambda_function"]:
        code = account.client("lambda").get_function(FunctionName=name)["Configuration"]["CodeSha256"]
        if (code == wanted) != (CHANGED_FUNCTION in name):
            wrong.append(f"{name}: its code is {code}, the new package is {wanted}")
    return wrong


def skipped(why: str) -> int:
    print(f"SKIPPED: {why}: stacks/aws is NOT APPLIED", file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


def main() -> int:
    if not installed(PLACE, REQUIREMENTS, "moto"):
        return skipped("moto cannot be installed")
    if Path(sys.prefix).resolve() != PLACE.resolve():
        # Only there is boto3.
        os.execv(PLACE / "bin" / "python", [str(PLACE / "bin" / "python"), __file__])
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder, started = Path(tempfile.mkdtemp(prefix="saga-whole-")), []
    try:
        run(folder, started)
    except Unreachable:
        shutil.rmtree(folder)
        return skipped("the aws provider is in no mirror, and the registry cannot be reached")
    except Problem as problem:
        print(problem.report(), f"logs and states are kept in {folder}", sep="\n", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        for record in started:
            processes.stop(record, 5)
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    takes_nothing(__doc__)
    sys.exit(main())
