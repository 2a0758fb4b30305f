"""What LocalStack is given so that it runs without Docker and without downloads: an executor that starts a function's
`bootstrap` as a process, a path for function URLs that needs no name server, moto's DynamoDB and its streams, which
LocalStack carries, in place of a Java program that it would fetch, and API destinations that ask for a token and send
the target's headers as EventBridge does.

LocalStack finds these by the entry points in the folder beside this file, which is on its PYTHONPATH.

Each part says which version of LocalStack it was needed for. What can be asked of LocalStack itself is asked by
tests/localstack/uncorrected.py, which fails `make localstack-test` once a correction is no longer needed.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests
from localstack import config
from localstack.runtime import hooks
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import LambdaRuntimeException, RuntimeExecutor
from localstack.services.plugins import SERVICE_PLUGINS, Service, aws_provider

START_SECONDS, STOP_SECONDS = 30, 2
LOOK_SECONDS = 0.25
TABLES = threading.RLock()
DEFAULT_CONTENT_TYPE = "application/json; charset=utf-8"


# --- DynamoDB ------------------------------------------------------------------------------------------


@aws_provider(api="dynamodb", name="moto")
def dynamodb() -> Service:
    from localstack.aws.api.dynamodb import DynamodbApi

    return of_moto(DynamodbApi)


@aws_provider(api="dynamodbstreams", name="moto")
def dynamodbstreams() -> Service:
    from localstack.aws.api.dynamodbstreams import DynamodbstreamsApi

    return of_moto(DynamodbstreamsApi)


def of_moto(api: type) -> Service:
    """Needed for 4.14.0, whose only provider is Amazon's DynamoDB Local: a download, and Java."""
    from localstack.services.moto import MotoFallbackDispatcher

    # Nothing is implemented, so everything falls back. One call at a time: the tables of moto-ext 5.1.54, which LocalStack
    # 4.14.0 wants, bear no second thread.
    def dispatch_table(provider) -> dict:
        return {name: one_at_a_time(call) for name, call in MotoFallbackDispatcher(provider).items()}

    return Service.for_provider(type("Provider", (api,), {})(), dispatch_table_factory=dispatch_table)


def one_at_a_time(call):
    def locked(*arguments, **named):
        with TABLES:
            return call(*arguments, **named)

    return locked


# --- EventBridge ---------------------------------------------------------------------------------------


@hooks.on_infra_start()
def api_destinations_as_eventbridge_has_them() -> None:
    from localstack.services.events import api_destination, target
    from localstack.services.events.connection import ConnectionService

    # Needed for 4.14.0, which begins with AUTHORIZING and loses the change to AUTHORIZED, because it makes it before the
    # connection exists: Terraform waits for it in vain.
    ConnectionService._get_initial_state = lambda self, kind: "AUTHORIZED"
    api_destination.requests = FormRequests
    add = target.add_target_http_parameters

    def add_parameters(parameters: dict, endpoint: str, headers: dict, body) -> str:
        # Needed for 4.14.0, where a header that is sent by default hides the target's own.
        if "Content-Type" in parameters.get("HeaderParameters", {}) and headers.get("Content-Type") == DEFAULT_CONTENT_TYPE:
            del headers["Content-Type"]
        return add(parameters, endpoint, headers, body)

    target.add_target_http_parameters = add_parameters


class FormRequests:
    """In place of `requests` where LocalStack asks for a token: a form, as EventBridge and OAuth have it. Needed for
    4.14.0, which sends JSON."""

    @staticmethod
    def request(method: str, url: str, data: str, headers: dict) -> requests.Response:
        return requests.request(method=method, url=url, data=json.loads(data), headers=headers)


# --- S3 ------------------------------------------------------------------------------------------------


@hooks.on_infra_start()
def objects_in_the_folder_of_the_stack() -> None:
    """LocalStack keeps the functions' packages in S3. Needed for 4.14.0, where every LocalStack of a machine uses the same
    folder under /tmp, whatever TMPDIR says: a bucket that one deletes takes the folder of another's along."""
    from localstack.services.s3 import provider

    provider.DEFAULT_S3_TMP_DIR = os.path.join(tempfile.gettempdir(), "s3")


# --- functions -----------------------------------------------------------------------------------------


# Needed for 4.14.0, whose only executor starts containers.
class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *_, **__) -> type[RuntimeExecutor]:
        from localstack.services.edge import ROUTER

        ROUTER.add("/_aws/lambda-url/<url_id>/", endpoint=by_path, defaults={"path": ""})
        ROUTER.add("/_aws/lambda-url/<url_id>/<path:path>", endpoint=by_path)
        return ProcessExecutor


def by_path(request, url_id: str, path: str):
    """A function URL by a path of the gateway. Needed for 4.14.0, which knows functions by host names only: a name server
    would have to know them, too."""
    request.path = f"/{path}"
    urls = SERVICE_PLUGINS.get_service("lambda")._provider.router
    return urls.handle_lambda_url_invocation(request, url_id, os.environ["AWS_DEFAULT_REGION"])


class ProcessExecutor(RuntimeExecutor):
    """One `bootstrap`, and the runtime API that it asks for invocations, one at a time."""

    def __init__(self, id, function_version):
        super().__init__(id, function_version)
        self.invocations: queue.Queue[dict] = queue.Queue()
        self.results: dict[str, Future] = {}
        self.asked = threading.Event()
        self._log = tempfile.TemporaryFile()
        self._server: ThreadingHTTPServer | None = None
        self._process: subprocess.Popen | None = None

    @property
    def timeout_seconds(self) -> int:
        return self.function_version.config.timeout

    def start(self, env_vars: dict[str, str]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("OfOne", (RuntimeApi,), {"executor": self}))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        code = self.function_version.config.code.get_unzipped_code_location()
        env = {name: str(value) for name, value in env_vars.items()} | {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
            "LAMBDA_TASK_ROOT": str(code),
            "PATH": os.defpath,
        }
        self._process = subprocess.Popen([code / "bootstrap"], cwd=code, env=env, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        end = time.monotonic() + START_SECONDS
        while not self.asked.wait(LOOK_SECONDS):
            if time.monotonic() > end:
                self.stop()
                raise LambdaRuntimeException(f"bootstrap asked for nothing within {START_SECONDS} seconds: {self.get_logs()[-1000:]}")
            if self._process.poll() is not None:
                raise LambdaRuntimeException(f"bootstrap ended with status {self._process.returncode}: {self.get_logs()[-1000:]}")

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._server:
            self.invocations.put({})
            self._server.shutdown()
            self._server.server_close()
        for result in list(self.results.values()):
            result.cancel()

    def invoke(self, payload: dict[str, str]) -> InvocationResult:
        id, began = payload["invoke-id"], os.fstat(self._log.fileno()).st_size
        result = self.results[id] = Future()
        self.invocations.put(payload)
        try:
            body, failed = self._outcome(result)
        finally:
            del self.results[id]
        # Lambda's own lines around the function's; without any, LocalStack 4.14.0 complains about each invocation.
        logs = f"START RequestId: {id}\n{self._logs_from(began)}END RequestId: {id}\n"
        return InvocationResult(id, body, is_error=failed, logs=logs)

    def _outcome(self, result: Future) -> tuple[bytes, bool]:
        end = time.monotonic() + self.timeout_seconds
        while True:
            try:
                return result.result(LOOK_SECONDS)
            except NotYet:
                if self._process.poll() is not None:
                    return failure("Runtime.ExitError", f"bootstrap ended with status {self._process.returncode}")
                if time.monotonic() > end:
                    self._process.kill()
                    return failure("Sandbox.Timedout", f"Task timed out after {self.timeout_seconds}.00 seconds")

    def get_logs(self) -> str:
        return self._logs_from(0)

    def _logs_from(self, began: int) -> str:
        return os.pread(self._log.fileno(), os.fstat(self._log.fileno()).st_size - began, began).decode(errors="replace")

    def get_address(self) -> str:
        return "127.0.0.1"

    def get_endpoint_from_executor(self) -> str:
        return "127.0.0.1"

    def get_runtime_endpoint(self) -> str:
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}"

    @classmethod
    def prepare_version(cls, function_version) -> None:
        function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version) -> None:
        pass  # the code is LocalStack's to delete


def failure(kind: str, message: str) -> tuple[bytes, bool]:
    return json.dumps({"errorType": kind, "errorMessage": message}).encode(), True


class RuntimeApi(BaseHTTPRequestHandler):
    """https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html"""

    protocol_version = "HTTP/1.1"
    executor: ProcessExecutor

    def do_GET(self) -> None:
        self.executor.asked.set()
        call = self.executor.invocations.get()
        if not call:
            self.close_connection = True
            return
        self._answer(200, call["payload"].encode(), {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": call["invoke-id"],
            "Lambda-Runtime-Invoked-Function-Arn": call["invoked-function-arn"],
            "Lambda-Runtime-Trace-Id": call["trace-id"],
            "Lambda-Runtime-Deadline-Ms": str(int((time.time() + self.executor.timeout_seconds) * 1000)),
        })

    def do_POST(self) -> None:
        body = self._body()
        *_, id, what = self.path.split("/")
        result = self.executor.results.get(id)
        if result and what in ("response", "error"):
            result.set_result((body, what == "error"))
        self._answer(202, b"", {})

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if "chunked" not in (self.headers.get("Transfer-Encoding") or "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def log_message(self, *_) -> None:
        pass
