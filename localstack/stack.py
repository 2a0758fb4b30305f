#!/usr/bin/env python3
"""The local stack: both clouds on this machine, without Docker and without an account.

    python3 localstack/stack.py setup     check the prerequisites, install the emulators, build everything
    python3 localstack/stack.py up        build everything, start everything, write .state/endpoints.json
    python3 localstack/stack.py status    what runs
    python3 localstack/stack.py down      stop everything, keep nothing but logs and downloads

`up` again keeps what runs, restarts what died and applies what changed: after an edit, the functions whose code it
changed are replaced, and nothing else is touched. `status` ends with 1 where something of a stack does not run. The stack uses seven ports from PORT_BASE
(4566): MiniStack or LocalStack, Azurite's blobs, queues and tables, the stand-in for Event Grid and the Functions host, the
functions handler, and the provider of the outside services. A second stack wants another --port-base and another --state. Everything binds 127.0.0.1.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from local_stack import http, infrastructure, outside_services, packages, processes, services, storage, tools
from local_stack.console import Problem, say
from local_stack.read_back import Missing
from local_stack.state import State

HERE = Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "infra"))
from command_line import Parser, port_base  # noqa: E402

EMULATORS = ("ministack", "localstack")


def up(state: State, port_base: int, external: bool, emulator: str, packed: Path | None, services_file: Path) -> None:
    say(f"local stack on ports {port_base} to {port_base + outside_services.PORT_OFFSET}, state in {state.folder}")
    tools.check_prerequisites()
    packages.require_runnable(packed)
    outside_services.read(services_file, "")  # a mistake in it is said before anything is built
    if state.exists() and not resumable(state, port_base, external, emulator):
        clear(state)
    if not state.exists():
        shutil.rmtree(state.logs, ignore_errors=True)
    state.logs.mkdir(exist_ok=True)
    tools.install_emulators(state.logs, emulator)

    started_here = not state.exists()
    try:
        if started_here:
            state.begin(port_base, external, emulator)
            if not external:
                say(f"starting {emulator} and Azurite")
                services.start_emulators(state)
        state.values["services_file"] = str(services_file)
        services.make_oidc_key(state.oidc_key)
        programs = build(state, packed)
        packages.pack_lambdas(programs, state.zips)
        state.values["packages"] = str(packed) if packed else None
        try:
            provision(state)
        except Problem as problem:
            if external or not started_here or not lost_answer(problem):
                raise
            say(f"{emulator} did what it was asked, and its answer was lost: once more, with fresh emulators")
            services.stop_all(state)
            shutil.rmtree(state.terraform)
            services.start_emulators(state)
            provision(state)
        run_standin(state, programs)
    except BaseException:
        # A half-built stack would only puzzle the next command; one that ran before is left as it was.
        if started_here:
            say("failed; stopping what was started")
            services.stop_all(state)
            remove_runtime_state(state)
        raise
    say(f"ready: {state.endpoints}")


def provision(state: State) -> None:
    say("waiting for the emulators")
    services.wait_for_emulators(state)
    say("filling the storage account")
    storage.Account.on(state.port_base).provision(HERE / "stock.json")
    outside_services.run(state)
    apply_infrastructure(state)


def lost_answer(problem: Problem) -> bool:
    """On a machine that is very busy, MiniStack closes a connection before it has answered. The provider asks again, and
    what it was to make is there."""
    return any("already exists" in line for line in problem.evidence)


def setup(state: State, emulator: str) -> None:
    say("checking what this machine has")
    tools.check_prerequisites()
    state.logs.mkdir(exist_ok=True)
    tools.install_emulators(state.logs, emulator)
    build(state)
    say("everything is here; `make up` starts it, `make demo` shows it")


def build(state: State, packed: Path | None = None) -> packages.Programs:
    say(f"building the stand-in; the functions come from {packed}" if packed else "building the functions and the stand-in (a few minutes the first time)")
    return packages.build(state.logs / "cargo.log", packed)


def resumable(state: State, port_base: int, external: bool, emulator: str) -> bool:
    """Whether what is there can be kept. Both emulators keep everything in memory: one that died took it along."""
    if (state.port_base, state.external, state.emulator) != (port_base, external, emulator):
        if any(processes.alive(state.process(name)) for name in (state.emulator, "azurite", "azure")):
            raise Problem(
                f"the stack in {state.folder} runs on port {state.port_base} with {'external emulators' if state.external else state.emulator}",
                f"run `down` first, or give this one its own folder with --state (PORT_BASE={port_base})",
            )
        return False
    if state.external:
        return True
    dead = [name for name in (state.emulator, "azurite") if not processes.alive(state.process(name))]
    if dead:
        say(f"{' and '.join(dead)} died and took the data along: building anew")
    return not dead


def apply_infrastructure(state: State) -> None:
    infrastructure.write_variables(state)
    wanted, code = infrastructure.wanted(state), infrastructure.code(state)
    deployed = state.values.setdefault("deployed", {})
    changed = [name for name in code if name in deployed and deployed[name] != code[name]]
    if changed:
        say(f"replacing the code of {', '.join(changed)}")
    try:
        for name in changed:
            infrastructure.replace_code(state, name)
            deployed[name] = code[name]
            state.save()
    except Missing:
        say("the emulator does not have the functions any more: the AWS side is made anew")
        state.values["applied"] = None
    if state.values.get("applied") == wanted:
        if not changed:
            say("the AWS side is up to date")
        return
    say("applying the AWS side with Terraform (about a minute)")
    with tools.exclusively(HERE / "requirements.txt"):  # `init` writes beside the configuration
        infrastructure.init(state)
    infrastructure.apply(state)
    state.values["outputs"] = infrastructure.outputs(state)
    state.values.update(applied=wanted, deployed=code)
    state.save()


def run_standin(state: State, programs: packages.Programs) -> None:
    services.write_standin_config(state, state.values["outputs"]["ingress"])
    packages.assemble_function_app(programs, state.app)
    running = packages.digest(programs.binaries / packages.STANDIN, state.standin_config, state.app)
    if processes.alive(state.process("azure")) and state.values.get("running") == running:
        say("the stand-in runs")
    else:
        say("starting the stand-in for Event Grid and the Functions host")
        processes.stop(state.process("azure"), 12.0)
        processes.require_free(state.port_base + 4, "the stand-in")
        services.start_standin(state, programs.binaries)
        state.values["running"] = running
        state.save()
    status = services.wait_for_standin(state)
    services.write_endpoints(state, status)
    api = state.values["outputs"]["api"]
    for _ in range(5):
        answered, body = http.request("GET", f"{api}/health", seconds=60.0)
        # On a busy machine a function's first start can take longer than the function may.
        if answered not in (0, 502, 503):
            break
    if answered != 200:
        raise Problem(f"{api}/health answered {answered}: {body[:200].decode(errors='replace')}", "read the log above", state.logs / f"{state.emulator}.log")


def down(state: State) -> None:
    if not state.exists():
        say("nothing runs")
        return
    clear(state)
    say("stopped")


def clear(state: State) -> None:
    services.stop_all(state)
    if state.external and "applied" in state.values:
        say("removing the AWS side from the external emulator")
        infrastructure.destroy(state)
    remove_runtime_state(state)


def remove_runtime_state(state: State) -> None:
    """All but the logs, which may be wanted now."""
    for path in state.folder.iterdir():
        if path.is_dir() and path != state.logs:
            shutil.rmtree(path, ignore_errors=True)
        elif path.is_file() and path.name != "lock":
            path.unlink()
    state.values = {}


def status(state: State) -> int:
    if not state.exists():
        print("nothing runs")
        return 0
    names = [] if state.external else [state.emulator, "azurite"]
    rows = [(name, processes.alive(state.process(name)), state.process(name)) for name in [*names, "azure", outside_services.NAME]]
    for name, alive, record in rows:
        print(f"{name:10} {'runs' if alive else 'DEAD':6} pid {record['pid'] if record else '-'}")
    page = services.standin_status(state)
    for subscription in (page or {}).get("subscriptions", []):
        print(f"{'':10} subscription {subscription['name']}: handshake {subscription['handshake']}, pending {subscription['pending']}, "
              f"delivered {subscription['delivered']}, dead-lettered {subscription['dead_lettered']}")
    print(f"{'endpoints':10} {state.endpoints if state.endpoints.exists() else 'not written'}")
    return 0 if all(alive for _, alive, _ in rows) and services.standin_ready(page) else 1


def main() -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("command", choices=("setup", "up", "down", "status"))
    parser.add_argument("--port-base", type=port_base, default=os.environ.get("PORT_BASE") or None, help="first of the seven ports (default: PORT_BASE, else 4566)")
    parser.add_argument("--state", type=Path, default=HERE / ".state", help="folder of the stack's state (default: localstack/.state)")
    parser.add_argument("--external", action="store_true", help="use emulators that run already on the first four ports (compose.yaml)")
    parser.add_argument("--emulator", default=os.environ.get("EMULATOR") or "ministack", help="ministack or localstack, for AWS (default: EMULATOR, else ministack)")
    parser.add_argument("--packages", type=Path, help="run the functions of these packages (target/package) in place of building them")
    parser.add_argument("--services", type=Path, default=outside_services.BINDINGS, help="the outside services that sagas call (default: localstack/services.toml)")
    arguments = parser.parse_args()
    if arguments.emulator not in EMULATORS:
        parser.error(f"there is no emulator {arguments.emulator}: {' or '.join(EMULATORS)}")
    first_port = arguments.port_base or port_base()

    # A request to end is an interruption like Ctrl-C: what was started is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = arguments.state.resolve()
    if arguments.command in ("setup", "up"):
        folder.mkdir(parents=True, exist_ok=True)
    elif not folder.exists():
        print("nothing runs")
        return 0
    try:
        if arguments.command == "status":
            return status(State(folder))
        (folder / "lock").touch()
        with tools.exclusively(folder / "lock"):
            state = State(folder)
            if arguments.command == "down":
                down(state)
            elif arguments.command == "setup":
                setup(state, arguments.emulator)
            else:
                up(state, first_port, arguments.external, arguments.emulator, arguments.packages and arguments.packages.resolve(), arguments.services.resolve())
    except Problem as problem:
        print(problem.report(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
