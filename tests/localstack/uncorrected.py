"""Run by LocalStack's own Python without localstack_plugin: prints, as JSON, LocalStack's version and which of the
plugin's corrections it still needs. Each is asked of the function that is corrected, with everything around it replaced.
"""

from __future__ import annotations

import json
from unittest.mock import MagicMock, patch

from localstack.aws.api.events import ConnectionAuthorizationType
from localstack.services.events import api_destination, connection, target
from localstack.services.lambda_.urlrouter import FunctionUrlRouter
from localstack.services.s3 import provider as s3
from localstack.version import version

OAUTH = ConnectionAuthorizationType.OAUTH_CLIENT_CREDENTIALS
ENDPOINT = "http://127.0.0.1:1"


def a_connection_stays_authorizing() -> bool:
    client = {"ClientID": "id", "ClientSecret": "secret"}
    parameters = {"OAuthParameters": {"AuthorizationEndpoint": ENDPOINT, "HttpMethod": "POST", "ClientParameters": client}}
    with patch.object(connection, "connect_to"):
        made = connection.ConnectionService("name", "us-east-1", "000000000000", OAUTH, parameters)
    return made.state != "AUTHORIZED"


def a_token_is_asked_for_in_json() -> bool:
    secret = {"http_method": "POST", "authorization_endpoint": ENDPOINT, "client_id": "id", "client_secret": "secret"}
    with patch.object(api_destination, "requests") as requests:
        requests.request.return_value.text = "{}"
        api_destination._auth_keys_from_connection({"AuthorizationType": OAUTH, "AuthParameters": {"OAuthParameters": {}}}, secret)
    return isinstance(requests.request.call_args.kwargs.get("data"), str)


def the_targets_content_type_is_hidden() -> bool:
    arn = "arn:aws:events:us-east-1:000000000000:api-destination/name/1"
    wanted = "application/cloudevents+json"
    own = {"Id": "id", "Arn": arn, "HttpParameters": {"HeaderParameters": {"Content-Type": wanted}}}
    with (
        patch.object(target, "connect_to"),
        patch.object(target, "add_api_destination_authorization", return_value=ENDPOINT),
        patch.object(target, "requests") as requests,
    ):
        requests.request.return_value.status_code = 200
        sender = target.EventsApiDestinationTargetSender(own, "arn", "rule", "events", "us-east-1", "000000000000")
        sender.send_event({}, MagicMock())
    return requests.request.call_args.kwargs["headers"]["Content-Type"] != wanted


def functions_have_no_path() -> bool:
    router = MagicMock()
    FunctionUrlRouter(router, MagicMock()).register_routes()
    return all(call.kwargs.get("host") for call in router.add.call_args_list)


def objects_lie_in_one_folder_for_all() -> bool:
    return s3.DEFAULT_S3_TMP_DIR.startswith("/tmp/localstack")


CORRECTIONS = (
    a_connection_stays_authorizing,
    a_token_is_asked_for_in_json,
    the_targets_content_type_is_hidden,
    functions_have_no_path,
    objects_lie_in_one_folder_for_all,
)

if __name__ == "__main__":
    print(json.dumps({"version": version, "needed": {each.__name__: each() for each in CORRECTIONS}}))
