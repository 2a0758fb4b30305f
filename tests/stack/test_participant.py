"""The participant's own door: it stands open to its host only, on loopback, and what comes in has a bound."""

from __future__ import annotations

import os
from http.client import HTTPConnection
from pathlib import Path

from .support import StackTest


class Door(StackTest):
    def listening(self) -> list[tuple[str, int]]:
        """Address, as the kernel writes it, and port of each socket on which the participant's process listens."""
        pid = self.e["pids"]["azure_participant"]
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
        inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
        found = []
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and fields[9] in inodes:
                    address, port = fields[1].split(":")
                    found.append((address, int(port, 16)))
        return found

    def test_it_listens_on_loopback_only(self):
        self.assertEqual([address for address, _ in self.listening()], ["0100007F"])

    def test_it_takes_invocations_and_nothing_else(self):
        [(_, port)] = self.listening()
        for method, path, length, status in [
            ("POST", "/saga-step", 1024 * 1024 + 1, 413), ("GET", "/saga-step", 0, 405), ("POST", "/elsewhere", 0, 404), ("GET", "/", 0, 404),
        ]:
            with self.subTest(method=method, path=path):
                connection = HTTPConnection("127.0.0.1", port, timeout=60)
                connection.request(method, path, b"x" * length)
                self.assertEqual(connection.getresponse().status, status)
                connection.close()
