#!/usr/bin/env python3
"""What only a real apply can show: a numbered checklist, with the command and the expected answer of each line.

    infra/day_one.py ENVIRONMENT            runs the list after `infra/environment.py apply ENVIRONMENT`; ends with 1 if a line fails
    infra/day_one.py ENVIRONMENT --list     prints it and runs nothing

Needs the AWS CLI and the Azure CLI, signed in, and curl 7.75 or newer. It changes nothing but this: two
lines start a saga each, one that completes and one that is compensated.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from command_line import Parser
from environment import NAME, settings

HERE = Path(__file__).resolve().parent
CALL_SECONDS, SAGA_SECONDS, PAUSE_SECONDS = 60, 120, 2


@dataclass
class Line:
    name: str
    command: str  # with {names} out of what is known
    expected: str
    holds: Callable[..., bool]  # of the answer, and of what is known where it takes two
    learns: Callable[[str, dict], None] = lambda _answer, _known: None
    again: float = 0  # for how many seconds it may not hold yet


def answer(command: str, known: dict) -> str:
    filled = command.format_map({name: shlex.quote(str(value)) for name, value in known.items()})
    process = subprocess.Popen(["bash", "-c", filled], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True, env=os.environ | known.get("credentials", {}))
    try:
        out, error = process.communicate(timeout=CALL_SECONDS)
    except subprocess.TimeoutExpired:
        # With what it has started, which would keep its output open.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return f"no answer within {CALL_SECONDS} seconds"
    return out.strip() or error.strip()


def is_json(text: str, holds: Callable[[object], bool]) -> bool:
    try:
        return bool(holds(json.loads(text)))
    except (ValueError, KeyError, TypeError):
        return False


def learn(*names: str) -> Callable[[str, dict], None]:
    """Takes these and nothing else out of what a stack left."""
    return lambda text, known: known.update({name: str(json.loads(text).get(name) or "") for name in names})


def learn_topic(text: str, known: dict) -> None:
    learn("transport", "topic_endpoint")(text, known)
    known["topic"] = re.sub(r"^https://|\..*$", "", known["topic_endpoint"])


def learn_credentials(text: str, known: dict) -> None:
    known["credentials"] = dict(re.findall(r"^export (AWS_\w+)=(.*)$", text, re.M))


def of_this(text: str, known: dict, name: str) -> bool:
    return is_json(text, lambda body: body["environment"] == known["environment"] and isinstance(body[name], str))


# The key goes through standard input: arguments can be read by every process of the machine.
SIGNED = ("{{ printf 'user = \"%s:%s\"\\n' \"$AWS_ACCESS_KEY_ID\" \"$AWS_SECRET_ACCESS_KEY\"; "
          "[ -z \"$AWS_SESSION_TOKEN\" ] || printf 'header = \"x-amz-security-token: %s\"\\n' \"$AWS_SESSION_TOKEN\"; }} | "
          "curl -sS --max-time 30 --config - --aws-sigv4 aws:amz:{region}:lambda ")


def saga(name: str, amount: str, status: str) -> list[Line]:
    return [
        Line(f"{name} is started",
             SIGNED + f"-H 'Content-Type: application/json' -H 'Idempotency-Key: '{{run}}-{status} -d '{{{{\"order_id\":\"day-one-'{{run}}'\",\"amount\":\"{amount}\",\"currency\":\"EUR\"}}}}' {{api_url}}sagas/payment",
             "a saga_id", lambda text: is_json(text, lambda body: body["saga_id"]), lambda text, known: known.update(saga_id=json.loads(text)["saga_id"])),
        Line(f"{name} ends", SIGNED + "{api_url}sagas/{saga_id}", status, lambda text: is_json(text, lambda body: body["status"] == status), again=SAGA_SECONDS),
    ]


LINES = [
    Line("AWS knows who you are", "aws sts get-caller-identity --output json", "an account", lambda text: is_json(text, lambda body: body["Account"]),
         lambda text, known: known.update(account=json.loads(text)["Account"])),
    Line("the AWS stack was applied", "aws ssm get-parameter --region {region} --name /saga-bridge/{environment}/aws --query Parameter.Value --output text",
         "the addresses of this environment", lambda text, known: of_this(text, known, "ingress_url"), learn("ingress_url", "api_url", "dead_letters_url")),
    Line("the Azure stack was applied", "aws ssm get-parameter --region {region} --name /saga-bridge/{environment}/azure --query Parameter.Value --output text",
         "its topic", lambda text, known: of_this(text, known, "topic_endpoint"), learn_topic),
    Line("the functions are there", "for name in saga-initiator outbox-poller saga-events event-ingress deadline-sweeper dlq-replayer; do aws lambda get-function-configuration --region {region} --function-name {environment}-$name --query '[FunctionName,State,LastUpdateStatus]' --output text; done",
         "six, each Active and Successful", lambda text: len(re.findall(r"(?m)\bActive\s+Successful$", text)) == 6, again=60),
    Line("the webhook may be called through its URL only", "aws lambda get-policy --region {region} --function-name {environment}-event-ingress --query Policy --output text",
         "InvokeFunctionUrl, and InvokeFunction under lambda:InvokedViaFunctionUrl",
         lambda text: is_json(text, lambda body: ("WebhookGateway" in text or {one["Action"] for one in body["Statement"]} >= {"lambda:InvokeFunctionUrl", "lambda:InvokeFunction"})
                              and all("lambda:InvokedViaFunctionUrl" in json.dumps(one) for one in body["Statement"] if one["Action"] == "lambda:InvokeFunction" and one["Principal"] == "*"))),
    Line("the webhook refuses calls without a token", "curl -sS --max-time 30 -o /dev/null -w '%{{http_code}}' -X POST -H 'Content-Type: application/cloudevents+json' -d '{{}}' {ingress_url}", "401", lambda text: text == "401"),
    Line("the API turns unsigned requests away", "curl -sS --max-time 30 -o /dev/null -w '%{{http_code}}' {api_url}sagas", "403", lambda text: text == "403"),
    Line("the connection to Azure is authorised (api-destination)", "if [ {transport} = federation-relay ]; then echo no connection; else aws events describe-connection --region {region} --name {environment}-saga-to-azure --query ConnectionState --output text; fi",
         "AUTHORIZED, or no connection", lambda text: text in ("AUTHORIZED", "ACTIVE", "no connection"), again=120),
    Line("the account may give roles to Entra (federation-relay)", "if [ {transport} = api-destination ]; then echo not needed; else aws iam get-outbound-web-identity-federation-info --output json; fi",
         "enabled, with an issuer", lambda text: text == "not needed" or "ssuer" in text and "rue" in text),
    Line("the schedules wake their functions", "aws logs filter-log-events --region {region} --log-group-name /aws/lambda/{environment}-outbox-poller --start-time $((($(date +%s) - 180) * 1000)) --filter-pattern '\"outbox swept\"' --max-items 1 --query 'events[0].message' --output text",
         "a line of the last three minutes", lambda text: "outbox swept" in text, again=180),
    Line("people confirmed their subscription to the alerts", "aws sns list-subscriptions --region {region} --query \"Subscriptions[?contains(TopicArn, ':{environment}-saga-alerts')].SubscriptionArn\" --output text",
         "none is pending", lambda text: "PendingConfirmation" not in text and "rror" not in text),
    Line("Azure knows who you are", "az account show --output json", "a subscription", lambda text: is_json(text, lambda body: body["id"])),
    Line("the subscription to AWS is there", "az resource list --resource-type Microsoft.EventGrid/topics --name {topic} --query '[0].id' --output tsv | xargs -I% az eventgrid event-subscription list --source-resource-id % --query '[].[name,provisioningState]' --output tsv",
         "every one Succeeded", lambda text: text.count("Succeeded") == len(text.splitlines()) >= 2, again=300),
    Line("the participant runs", "az functionapp list --query \"[?starts_with(name, 'saga-{environment}-')].[name,state]\" --output tsv", "Running", lambda text: "Running" in text),
    Line("the data account has no keys", "az storage account list --query \"[?tags.application=='saga-bridge' && tags.environment=='{environment}'].allowSharedKeyAccess\" --output tsv", "false for each", lambda text: bool(text) and set(text.lower().split()) == {"false"}),
    Line("credentials for signed requests", "aws configure export-credentials --format env", "three variables", lambda text: "AWS_SECRET_ACCESS_KEY=" in text, learn_credentials),
    *saga("a saga that Azure confirms", "12.90", "COMPLETED"),
    *saga("a saga that Azure refuses", "{over}", "CANCELLED_VIA_COMPENSATION"),
    Line("nothing lies dead", SIGNED + "{dead_letters_url}dead-letters", "no dead letter", lambda text: is_json(text, lambda body: body["letters"] == [])),
    Line("no alarm rings", "aws cloudwatch describe-alarms --region {region} --alarm-name-prefix {environment}-saga- --state-value ALARM --query 'MetricAlarms[].AlarmName' --output text", "none", lambda text: text in ("", "None")),
]


def look(number: int, line: Line, known: dict, patience: float) -> bool:
    end = time.monotonic() + patience * line.again
    shown_at = time.monotonic()
    while True:
        text = answer(line.command, known)
        if line.holds(*[text, known][: line.holds.__code__.co_argcount]):
            line.learns(text, known)
            print(f"{number:>2} ok      {line.name}", flush=True)
            return True
        if time.monotonic() >= end:
            print(f"{number:>2} FAILED  {line.name}\n           expected: {line.expected}\n           answered: {text[:500]}\n           command:  {line.command.format_map(Shown(known))}", flush=True)
            return False
        if time.monotonic() - shown_at > 10:
            shown_at = time.monotonic()
            print(f"{number:>2} …       {line.name}: not yet ({text[:80]})", flush=True)
        time.sleep(PAUSE_SECONDS)


class Shown(dict):
    """What a command is shown with: a name where nothing is known."""

    def __missing__(self, name: str) -> str:
        return f"<{name}>"


def main(arguments: list[str]) -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("environment")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--over", default="10000.01", help="an amount above the participant's inventory_limit")
    parser.add_argument("--patience", type=float, default=1, help="how many times as long to wait for what may take a while")
    parser.add_argument("--list", action="store_true")
    asked = parser.parse_args(arguments)
    variables = (asked.folder or HERE / "environments" / asked.environment) / "aws.tfvars"
    region = settings(variables).get("region") if variables.is_file() else None
    if not region or not NAME.fullmatch(asked.environment):
        parser.error(f"{variables} does not say the region of {asked.environment}")
    known = {"environment": asked.environment, "region": region, "run": uuid.uuid4().hex[:12], "over": asked.over}
    if asked.list:
        for number, line in enumerate(LINES, 1):
            print(f"{number:>2}  {line.name}\n      {line.command.format_map(Shown(known))}\n      expected: {line.expected}")
        return 0
    # Later lines need what earlier ones learnt, so it goes on only where that is there.
    failed = 0
    for number, line in enumerate(LINES, 1):
        missing = [name for name in re.findall(r"(?<!\{)\{(\w+)\}(?!\})", line.command) if name not in known]
        if missing:
            failed += 1
            print(f"{number:>2} not run {line.name}: {', '.join(missing)} is not known, because a line above failed")
        elif not look(number, line, known, asked.patience):
            failed += 1
    print(f"{len(LINES) - failed} of {len(LINES)} hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
