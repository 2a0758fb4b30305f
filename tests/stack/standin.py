"""The stand-in for Event Grid and the Functions host, with other settings."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .support import StackTest, endpoints

from local_stack import packages, processes, services  # noqa: E402 (support says where it is)
from local_stack.state import State, write_private  # noqa: E402


class Reconfigured:
    """Started again with a configuration that is changed, for a while. What it had accepted is in its journal."""

    def __init__(self, test: StackTest, change):
        self.test, self.change = test, change
        self.state = State(Path(os.environ["SAGA_ENDPOINTS"]).parent)

    def __enter__(self):
        self.before = self.state.standin_config.read_text()
        config = json.loads(self.before)
        self.change(config)
        try:
            self.restart(json.dumps(config))
        except BaseException:
            self.restart(self.before)
            raise
        return self

    def __exit__(self, *_):
        self.restart(self.before)

    def restart(self, config: str):
        processes.stop(self.state.process("azure"), 12.0)
        write_private(self.state.standin_config, config)
        services.start_standin(self.state, packages.binaries())
        services.write_endpoints(self.state, services.wait_for_standin(self.state))
        self.test.e = endpoints()
