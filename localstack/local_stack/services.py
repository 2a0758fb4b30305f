"""The servers of both clouds: MiniStack, Azurite, and the stand-in for Event Grid and the Functions host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from . import http, outside_services, processes, storage
from .console import Problem, say
from .packages import STANDIN
from .state import AUDIENCE, CLIENT_ID, REGION, TENANT, State, write_private
from .tools import AZURITE, HERE, LOCALSTACK_VENV, VENV

# A second or two; far more where the machine is busy.
START_SECONDS = 300


def start_emulators(state: State) -> None:
    base = state.port_base
    for offset, owner in enumerate((state.emulator, "Azurite (blobs)", "Azurite (queues)", "Azurite (tables)", "the stand-in", "the functions handler", "the provider of the outside services")):
        processes.require_free(base + offset, owner)

    # The state folder is the emulator's home and its temporary folder: two stacks share no file.
    state.scratch.mkdir(exist_ok=True)
    command, env = localstack(state) if state.emulator == "localstack" else ministack(state)
    home = {"HOME": str(state.scratch), "TMPDIR": str(state.scratch)}
    state.note_process(state.emulator, processes.start(command, state.logs / f"{state.emulator}.log", home | env, state.scratch))

    azurite = [shutil.which("node") or "node", str(AZURITE), "--inMemoryPersistence", "--silent", "--disableTelemetry"]
    # Clients ask for the newest version of the API that they know, which is newer than any Azurite.
    azurite.append("--skipApiVersionCheck")
    for service, offset in (("blob", 1), ("queue", 2), ("table", 3)):
        azurite += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(base + offset)]
    azurite_env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(state.scratch), "TMPDIR": str(state.scratch)}
    state.note_process("azurite", processes.start(azurite, state.logs / "azurite.log", azurite_env, state.scratch))


def ministack(state: State) -> tuple[list[str], dict[str, str]]:
    """Command and environment. Functions inherit the environment, so it holds nothing but what they may see."""
    return [str(VENV / "bin" / "python"), "-m", "ministack"], {
        "PATH": os.defpath,
        "BIND_HOST": "127.0.0.1",
        "MINISTACK_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(state.port_base),
        "MINISTACK_REGION": REGION,
        "LAMBDA_EXECUTOR": "local",
        "IOT_MTLS_ENABLED": "0",  # a listener of its own, on a port that two stacks would fight for
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{state.scratch}/no-docker.sock",  # never look for containers to clean up
    }


def localstack(state: State) -> tuple[list[str], dict[str, str]]:
    """Command and environment; see localstack_plugin for what makes it run here."""
    address = f"127.0.0.1:{state.port_base}"
    return [str(LOCALSTACK_VENV / "bin" / "python"), "-m", "localstack.runtime.main"], {
        "PATH": f"{LOCALSTACK_VENV / 'bin'}{os.pathsep}{os.defpath}",
        "PYTHONPATH": str(HERE / "localstack_plugin"),
        "AWS_DEFAULT_REGION": REGION,
        "GATEWAY_LISTEN": address,
        "LOCALSTACK_HOST": address,
        "LOCALSTACK_VOLUME_DIR": str(state.scratch / "volume"),
        "FILESYSTEM_ROOT": str(state.scratch),
        "LAMBDA_RUNTIME_EXECUTOR": "process",
        "PROVIDER_OVERRIDE_DYNAMODB": "moto",
        "PROVIDER_OVERRIDE_DYNAMODBSTREAMS": "moto",
        "DISABLE_EVENTS": "1",  # nothing is reported to anybody
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "DNS_ADDRESS": "0",  # no name server
        "DISABLE_PREFLIGHT_PROCESSING": "1",  # OPTIONS is the webhook's to answer
        "DISABLE_CORS_CHECKS": "1",
        "DISABLE_CORS_HEADERS": "1",
        "DOCKER_HOST": f"unix://{state.scratch}/no-docker.sock",
    }


def wait_for_emulators(state: State) -> None:
    aws, azurite = state.process(state.emulator), state.process("azurite")
    processes.wait_until(lambda: aws_answers(state), aws, state.emulator, state.logs / f"{state.emulator}.log", START_SECONDS)
    account = storage.Account.on(state.port_base)
    processes.wait_until(account.answers, azurite, "Azurite", state.logs / "azurite.log", START_SECONDS)


def aws_answers(state: State) -> bool:
    # MiniStack answers LocalStack's health page too.
    return http.request("GET", f"{state.aws}/_localstack/health", seconds=2.0)[0] == 200


def make_oidc_key(file: Path) -> None:
    script = "process.stdout.write(require('crypto').generateKeyPairSync('rsa', {modulusLength: 2048}).privateKey.export({type: 'pkcs8', format: 'pem'}))"
    if not file.exists():
        write_private(file, subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True).stdout)


def write_standin_config(state: State, ingress: str) -> None:
    account = storage.Account.on(state.port_base)
    to_azure = {"operator": "StringIn", "key": "sagatarget", "values": ["azure"]}
    to_services = {"operator": "StringBeginsWith", "key": "sagatarget", "values": ["azure."]}
    from_azure = [
        {"operator": "StringNotIn", "key": "sagatarget", "values": ["azure"]},
        {"operator": "StringNotBeginsWith", "key": "sagatarget", "values": ["azure."]},
    ]
    # The app settings of the Function App.
    delivery = {"max_attempts": 30, "ttl_minutes": 1440, "dead_letter_container": storage.DEAD_LETTER_CONTAINER}
    oidc = state.oidc
    write_private(state.standin_config, json.dumps({
        "listen": f"127.0.0.1:{state.port_base + 4}",
        "state_dir": str(state.journal),
        "endpoints_file": str(state.endpoints),
        "storage": {"account": storage.ACCOUNT, "key": storage.KEY, "blob": account.blob, "queue": account.queue},
        "topic": {"name": "enterprise-saga-choreography", "key": state.values["topic_key"]},
        "retry_scale": 0.01,
        "subscriptions": [
            {"name": "to-azure-participant", "storage_queue": storage.QUEUE, "filters": [to_azure], **delivery},
            {"name": "to-azure-services", "storage_queue": storage.CALLS_QUEUE, "filters": [to_services], **delivery},
            {
                "name": "to-aws-ingress",
                "webhook": {"url": ingress, "entra": True, "audience": AUDIENCE, "max_events_per_batch": 1},
                "delivery_schema": "CloudEventSchemaV1_0",
                "filters": from_azure,
                **delivery,
            },
        ],
        "oidc": {
            "issuer": oidc["issuer"],
            "tenant": TENANT,
            "audience": AUDIENCE,
            "client_id": CLIENT_ID,
            "client_secret": oidc["client_secret"],
            "key_file": str(state.oidc_key),
        },
        "functions": {
            "app_dir": str(state.app),
            "handler_port": state.port_base + 5,
            "app_settings": {
                "AzureWebJobsStorage": account.connection_string(),
                "SagaStorage": account.connection_string(),  # the trigger's connection
                "AZURE_STORAGE_ACCOUNT": storage.ACCOUNT,
                "AZURE_STORAGE_KEY": storage.KEY,
                "AZURE_TABLE_ENDPOINT": account.table,
                "AZURE_QUEUE_ENDPOINT": account.queue,
                "SAGA_TABLE": storage.TABLE,
                "SAGA_QUEUE": storage.QUEUE,
                "CALLS_QUEUE": storage.CALLS_QUEUE,
                "QUARANTINE_QUEUE": storage.QUARANTINE_QUEUE,
                "EVENTGRID_TOPIC_ENDPOINT": state.topic,
                "EVENTGRID_TOPIC_KEY": state.values["topic_key"],
                "INVENTORY_LIMIT": "10000",
                "SERVICES": outside_services.services_json(state),
                "RUST_LOG": "info",
            },
        },
    }, indent=2) + "\n")


def start_standin(state: State, binaries: Path) -> None:
    state.journal.mkdir(exist_ok=True)
    env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(state.scratch), "TMPDIR": str(state.scratch), "RUST_LOG": "info"}
    command = [str(binaries / STANDIN), "--config", str(state.standin_config)]
    state.note_process("azure", processes.start(command, state.logs / "azure.log", env, state.folder))


def wait_for_standin(state: State) -> dict:
    """Its status page, once the handler runs and the webhook has agreed to be called."""
    log = state.logs / "azure.log"
    try:
        processes.wait_until(lambda: standin_ready(standin_status(state)), state.process("azure"), "the stand-in", log, START_SECONDS)
    except Problem as problem:
        refused = [one for one in (standin_status(state) or {}).get("subscriptions", []) if not handshake_done(one)]
        if refused:
            todo = f"the subscription {refused[0]['name']} shows: {refused[0]['handshake']}; see {state.logs / state.emulator}.log"
            raise Problem(problem.what, todo, log) from problem
        raise
    return standin_status(state) or {}


def standin_status(state: State) -> dict | None:
    return http.get_json(f"{state.standin}/status")


def standin_ready(status: dict | None) -> bool:
    return bool(status) and status["ready"] and all(handshake_done(one) for one in status["subscriptions"])


def handshake_done(subscription: dict) -> bool:
    return subscription["handshake"] == "ok"


def write_endpoints(state: State, status: dict) -> None:
    account = storage.Account.on(state.port_base)
    outputs = state.values["outputs"]
    pids = {name: state.process(name)["pid"] for name in (state.emulator, "azurite", "azure", outside_services.NAME) if state.process(name)}
    handler = (status.get("handler") or {}).get("pid")
    if handler:
        pids["azure_participant"] = handler
    write_private(state.endpoints, json.dumps({
        "region": REGION,
        "emulator": None if state.external else state.emulator,
        "packages": state.values.get("packages"),
        "aws": state.aws,
        "api": outputs["api"],
        "dead_letters": outputs["dead_letters"],
        "ingress": outputs["ingress"],
        "eventgrid": {"topic": state.topic, "key": state.values["topic_key"]},
        "oidc": state.oidc,
        "services": outside_services.endpoints(state),
        "azurite": {"account": storage.ACCOUNT, "key": storage.KEY, "blob": account.blob, "queue": account.queue, "table": account.table},
        "names": {
            **outputs["names"],
            "azure_table": storage.TABLE,
            "azure_queue": storage.QUEUE,
            "azure_poison_queue": storage.POISON_QUEUE,
            "azure_quarantine_queue": storage.QUARANTINE_QUEUE,
            "azure_calls_queue": storage.CALLS_QUEUE,
            "azure_calls_poison_queue": storage.CALLS_POISON_QUEUE,
            "dead_letter_container": storage.DEAD_LETTER_CONTAINER,
        },
        "pids": pids,
    }, indent=2) + "\n")


def stop_all(state: State) -> None:
    """In the order in which they use each other, so that the last logs are not about vanished neighbours."""
    for name, patience in (("azure", 12.0), ("azurite", 5.0), (state.emulator, 10.0), (outside_services.NAME, 5.0)):
        record = state.process(name)
        if processes.alive(record):
            say(f"stopping {name} (pid {record['pid']})")
            processes.stop(record, patience)
    processes.stop_orphans(state.scratch, state.app)
