"""moto as a server for `infra/whole.py`, with moto's own faults mended. Run by the Python of moto's environment:

    moto_server.py FILE     serves on a free port of 127.0.0.1, which it writes to FILE, and Terraform's calls to FILE.calls

Each of GAPS is a fault of moto, not of the stack: what AWS documents, what moto does, how it is mended here. Every fault is
looked for before it is mended, so an entry that a newer moto no longer needs ends the server with its name.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
from dataclasses import dataclass
from typing import Callable
from urllib.parse import parse_qs

from botocore.loaders import Loader
from moto.awslambda.models import LambdaFunction
from moto.budgets.responses import BudgetsResponse
from moto.cloudwatch.models import Alarm
from moto.cloudwatch.responses import CloudWatchResponse
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.events.models import Connection
from moto.events.responses import EventsHandler
from moto.kms.models import KmsBackend
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.sqs.models import Queue, sqs_backends
from werkzeug.serving import make_server

ACCOUNT, REGION = "123456789012", "eu-central-1"


@dataclass(frozen=True)
class Gap:
    name: str
    reason: str
    present: Callable[[], bool]
    mend: Callable[[], None]


# --- SQS -----------------------------------------------------------------------------------------------


def queue(**attributes) -> Queue:
    return Queue("probe", REGION, ACCOUNT, **attributes)


def other_attributes_take_the_policy_away() -> bool:
    probe = queue(Policy=compact({"Statement": [{"Effect": "Allow"}]}))
    probe._set_attributes({"VisibilityTimeout": 60})
    return probe.policy is None


def keep_the_policy() -> None:
    original = Queue._set_attributes

    def set_attributes(self, attributes, now=None):
        before = getattr(self, "policy", None)
        original(self, attributes, now)
        if "Policy" not in attributes:
            self.policy = before

    Queue._set_attributes = set_attributes


def redrive_allow_policy_is_not_answered() -> bool:
    return "RedriveAllowPolicy" not in queue(RedriveAllowPolicy="{}").attributes


def answer_the_redrive_allow_policy() -> None:
    Queue.redrive_allow_policy = ""
    Queue.BASE_ATTRIBUTES = [*Queue.BASE_ATTRIBUTES, "RedriveAllowPolicy"]
    answered = Queue.attributes.fget

    def attributes(self):
        return {name: value for name, value in answered(self).items() if name != "RedriveAllowPolicy" or value}

    Queue.attributes = property(attributes)


def redrive_policy_comes_back_in_other_words() -> bool:
    given = compact({"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:probe", "maxReceiveCount": 5})
    backend = sqs_backends[ACCOUNT][REGION]
    backend.queues["probe"] = queue()
    try:
        return queue(RedrivePolicy=given).attributes["RedrivePolicy"] != given
    finally:
        del backend.queues["probe"]


def answer_the_redrive_policy_as_it_was_given() -> None:
    answered = Queue.attributes.fget

    def attributes(self):
        return answered(self) | ({"RedrivePolicy": compact(self.redrive_policy)} if self.redrive_policy else {})

    Queue.attributes = property(attributes)


def compact(value) -> str:
    return json.dumps(value, separators=(",", ":"))


# --- Lambda --------------------------------------------------------------------------------------------


def logging_is_not_answered() -> bool:
    probe = LambdaFunction(ACCOUNT, {
        "FunctionName": "probe",
        "Role": f"arn:aws:iam::{ACCOUNT}:role/probe",
        "Code": {"ZipFile": ""},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/probe"},
    }, REGION)
    return "LoggingConfig" not in probe.get_configuration()


def answer_the_logging() -> None:
    create, update, answered = LambdaFunction.__init__, LambdaFunction.update_configuration, LambdaFunction.get_configuration

    def created(self, account_id, spec, *more, **named):
        create(self, account_id, spec, *more, **named)
        self.logging_config = spec.get("LoggingConfig") or {}

    def updated(self, config_updates):
        self.logging_config = config_updates.get("LoggingConfig") or self.logging_config
        return update(self, config_updates)

    def configuration(self, *more, **named):
        defaults = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.function_name}"}
        return answered(self, *more, **named) | {"LoggingConfig": defaults | self.logging_config}

    LambdaFunction.__init__, LambdaFunction.update_configuration, LambdaFunction.get_configuration = created, updated, configuration


# --- CloudWatch ----------------------------------------------------------------------------------------


def composite_alarms_cannot_be_made() -> bool:
    return not hasattr(CloudWatchResponse, "put_composite_alarm")


def make_composite_alarms() -> None:
    # Its alarms have room for the rule of a composite one, and are distinguished by it.
    CloudWatchResponse.put_composite_alarm = CloudWatchResponse.put_metric_alarm
    Alarm.alarm_rule = property(lambda self: self.rule)


# --- Budgets -------------------------------------------------------------------------------------------


def budgets_tell_neither_subscribers_nor_tags() -> bool:
    return not all(hasattr(BudgetsResponse, call) for call in ("describe_subscribers_for_notification", "list_tags_for_resource"))


def tell_subscribers_and_tags() -> None:
    create, tags = BudgetsResponse.create_budget, {}

    def created(self):
        answer = create(self)
        budget = self._get_param("Budget")["BudgetName"]
        tags[f"arn:aws:budgets::{self._get_param('AccountId')}:budget/{budget}"] = self._get_param("ResourceTags", [])
        return answer

    def subscribers(self):
        budget, asked = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")], self._get_param("Notification")
        same = ("NotificationType", "ComparisonOperator", "Threshold")
        [found] = [one for one in budget.notifications if all(one.details[name] == asked[name] for name in same)]
        return json.dumps({"Subscribers": found.subscribers})

    BudgetsResponse.create_budget = created
    BudgetsResponse.describe_subscribers_for_notification = subscribers
    BudgetsResponse.list_tags_for_resource = lambda self: json.dumps({"ResourceTags": tags.get(self._get_param("ResourceARN"), [])})


# --- EC2 -----------------------------------------------------------------------------------------------


def description_of_a_rule_for_a_group_is_not_answered() -> bool:
    probe = SecurityGroupRule.__new__(SecurityGroupRule)
    probe.ip_range, probe.source_group = {}, {"GroupId": "sg-probe", "Description": "probe"}
    return probe.description != "probe"


def answer_the_description_of_a_rule_for_a_group() -> None:
    SecurityGroupRule.description = property(lambda self: self.ip_range.get("Description") or self.source_group.get("Description"))


# --- EventBridge ---------------------------------------------------------------------------------------


def key_of_a_connection_is_not_answered() -> bool:
    probe = Connection.__new__(Connection)
    names = ("arn", "auth_parameters", "authorization_type", "creation_time", "description", "kms_key_identifier", "name", "secret_arn", "state")
    probe.__dict__.update(dict.fromkeys(names, "probe"))
    return probe.describe().get("KmsKeyIdentifier") != "probe"


def answer_the_key_of_a_connection() -> None:
    answered = Connection.describe

    def remembering(original):
        def handled(self):
            answer = original(self)
            self.events_backend.connections[self._get_param("Name")].kms_key_identifier = self._get_param("KmsKeyIdentifier")
            return answer

        return handled

    def describe(self):
        return answered(self) | ({"KmsKeyIdentifier": self.kms_key_identifier} if self.kms_key_identifier else {})

    EventsHandler.create_connection = remembering(EventsHandler.create_connection)
    EventsHandler.update_connection = remembering(EventsHandler.update_connection)
    Connection.describe = describe


# --- KMS -----------------------------------------------------------------------------------------------


def keys_of_aws_are_the_customers() -> bool:
    backend = KmsBackend(REGION, ACCOUNT)
    return backend.keys[backend.get_key_id_from_alias("alias/aws/dynamodb")].key_manager != "AWS"


def give_the_keys_of_aws_to_aws() -> None:
    generate = KmsBackend._generate_default_keys

    def generated(self, alias_name):
        key = generate(self, alias_name)
        if key:
            self.keys[key].key_manager = "AWS"
        return key

    KmsBackend._generate_default_keys = generated


GAPS = (
    Gap(
        "sqs: setting other attributes takes the policy away",
        "SetQueueAttributes changes what it names and nothing else; the provider waits for a policy that is gone until it gives up.",
        other_attributes_take_the_policy_away,
        keep_the_policy,
    ),
    Gap(
        "sqs: RedriveAllowPolicy is taken and never answered",
        "GetQueueAttributes has it; the provider waits for it until it gives up.",
        redrive_allow_policy_is_not_answered,
        answer_the_redrive_allow_policy,
    ),
    Gap(
        "sqs: RedrivePolicy comes back with other whitespace",
        "SQS answers the policy as it was given; the provider compares the texts, so every plan has a difference.",
        redrive_policy_comes_back_in_other_words,
        answer_the_redrive_policy_as_it_was_given,
    ),
    Gap(
        "lambda: LoggingConfig is taken and never answered",
        "GetFunction has it, with defaults when none was given; without it every plan has a difference.",
        logging_is_not_answered,
        answer_the_logging,
    ),
    Gap(
        "cloudwatch: PutCompositeAlarm is not there",
        "It is a call of CloudWatch; moto answers 500, which the provider repeats until it gives up.",
        composite_alarms_cannot_be_made,
        make_composite_alarms,
    ),
    Gap(
        "budgets: subscribers and tags cannot be asked for",
        "DescribeSubscribersForNotification and ListTagsForResource are calls of Budgets; moto answers 500, which the provider repeats.",
        budgets_tell_neither_subscribers_nor_tags,
        tell_subscribers_and_tags,
    ),
    Gap(
        "ec2: the description of a rule that names a security group is taken and never answered",
        "DescribeSecurityGroupRules has it, whatever the rule names; without it every plan would set it again.",
        description_of_a_rule_for_a_group_is_not_answered,
        answer_the_description_of_a_rule_for_a_group,
    ),
    Gap(
        "events: a connection's key is taken and never answered",
        "DescribeConnection has KmsKeyIdentifier; without it every plan would set it again.",
        key_of_a_connection_is_not_answered,
        answer_the_key_of_a_connection,
    ),
    Gap(
        "kms: AWS managed keys say that the customer manages them",
        "DescribeKey has KeyManager AWS for them; they come when the provider asks for one, stay for ever, and are not the stack's.",
        keys_of_aws_are_the_customers,
        give_the_keys_of_aws_to_aws,
    ),
)


# --- what Terraform calls ------------------------------------------------------------------------------


class Calls:
    """Writes down each call that Terraform makes, as IAM names it."""

    def __init__(self, app, file: str):
        self._app, self._file, self._seen, self._lock = app, file, set(), threading.Lock()

    def __call__(self, environ, start_response):
        if "erraform" in environ.get("HTTP_USER_AGENT", ""):
            call = named(environ)
            with self._lock:
                if call not in self._seen:
                    self._seen.add(call)
                    with open(self._file, "a") as out:
                        out.write(f"{call}\n")
        return self._app(environ, start_response)


def named(environ: dict) -> str:
    signed = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
    service = signed[1] if signed else "unsigned"
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    if target := environ.get("HTTP_X_AMZ_TARGET"):
        operation = target.rsplit(".", 1)[-1]
    elif rpc := re.fullmatch(r"/service/\w+/operation/(\w+)", path):
        operation = rpc[1]
    elif "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        operation = parse_qs(body.decode())["Action"][0]
    elif service == "apigateway":
        operation = method  # IAM knows its methods only
    else:
        operation = by_path(service, method, path)
    if service == "budgets" and not operation.endswith("Resource"):
        operation = "ModifyBudget" if operation.startswith(("Create", "Update", "Delete")) else "ViewBudget"
    return f"{ {'monitoring': 'cloudwatch'}.get(service, service) }:{operation}"


def by_path(service: str, method: str, path: str) -> str:
    found = []
    for name, operation in Loader().load_service_model(service, "service-2")["operations"].items():
        http = operation["http"]
        shape = re.sub(r"\\\{\w+(\\\+)?\\\}", lambda one: ".+" if one[1] else "[^/]+", re.escape(http["requestUri"].split("?")[0].rstrip("/")))
        if http["method"] == method and re.fullmatch(shape, path.rstrip("/")):
            found.append((shape.count("[^/]+") + 2 * shape.count(".+"), name))
    return min(found)[1] if found else f"{method} {path}"


def main(file: str) -> None:
    for gap in GAPS:
        if not gap.present():
            sys.exit(f"moto no longer needs the entry “{gap.name}” in {__file__}: remove it")
        gap.mend()
        if gap.present():
            sys.exit(f"the entry “{gap.name}” in {__file__} mends nothing")
    app = Calls(DomainDispatcherApplication(create_backend_app), f"{file}.calls")
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=MotoRequestHandler)
    # Whole or not at all: it is read as soon as it is there.
    with open(f"{file}.new", "w") as out:
        out.write(str(server.server_port))
    os.replace(f"{file}.new", file)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
