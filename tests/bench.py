#!/usr/bin/env python3
"""What the outbox costs on the emulators, with the function as it is deployed (`make bench`).

For a backlog of 1,000, 10,000 and 100,000 rows and one, two and four workers: the requests that the functions send, counted
by a proxy; the time from the first invocation to the empty table; and the most memory that a worker had. The emulator's
own time is most of it: what grows with the backlog is the figure to look at.

    python3 tests/bench.py [--rows 1000,10000] [--workers 1,4]      on a stack that SAGA_ENDPOINTS names
"""

from __future__ import annotations

import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from stack.processes import peak_mb
from stack.proxy import Rerouted
from stack.support import ROOT, StackTest
from stack.test_relay import DAY_MS, Counted, row

sys.path.append(str(ROOT / "infra"))
from command_line import Parser  # noqa: E402


def main() -> int:
    options = Parser(description=__doc__)
    options.add_argument("--rows", default="1000,10000,100000")
    options.add_argument("--workers", default="1,2,4")
    chosen = options.parse_args()
    test = StackTest()
    test.setUp()
    if test.dynamo.outbox_rows():
        print("the outbox is not empty; run this on a stack of its own", file=sys.stderr)
        return 2
    print("| rows | workers | requests an event | PutEvents | ms an event | peak memory of a worker |\n|---|---|---|---|---|---|", flush=True)
    for count in map(int, chosen.rows.split(",")):
        for workers in map(int, chosen.workers.split(",")):
            print(measure(test, count, workers), flush=True)
    return 0


def measure(test: StackTest, count: int, workers: int) -> str:
    at = int(time.time() * 1000) - DAY_MS // 2
    with Counted(test.e["aws"], remember=False) as proxy, Rerouted(test, proxy.url, "outbox-poller"):
        proxy.requests.clear()
        fill(test, [row(at + n, n % 16) for n in range(count)])
        began, peak = time.monotonic(), 0.0
        with ThreadPoolExecutor(workers) as pool:
            while test.dynamo.outbox_rows():
                list(pool.map(lambda _: test.invoke("outbox-poller"), range(workers)))
                peak = max(peak, peak_mb(test.e, "outbox-poller"))
        seconds = time.monotonic() - began
        requests = sum(proxy.requests.values())
    return (f"| {count} | {workers} | {requests / count:.3f} | {proxy.requests['PutEvents']} "
            f"| {1000 * seconds / count:.2f} | {peak:.1f} MB |")


def fill(test: StackTest, rows: list[dict]):
    began = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        parts = [rows[start:start + 1_000] for start in range(0, len(rows), 1_000)]
        for number, _ in enumerate(pool.map(test.dynamo.put_outbox_rows, parts), 1):
            if time.monotonic() - began > 5:
                print(f"  {number * 1_000} of {len(rows)} rows are there", file=sys.stderr, flush=True)
                began = time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
