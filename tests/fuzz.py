#!/usr/bin/env python3
"""Feeds chance to every place where bytes of others come in.

    python3 tests/fuzz.py               all of it: `make fuzz`
    python3 tests/fuzz.py targets [T …] each fuzz target for FUZZ_SECONDS (60)
    python3 tests/fuzz.py memory        a million malformed inputs, and what the process has in memory
    python3 tests/fuzz.py api           schemathesis against both APIs, on a local stack of its own
    python3 tests/fuzz.py keep [T …]    what the targets have found so far into tests/fuzz/corpus, as little as covers it

The targets need a nightly toolchain (`rustup toolchain install nightly`); cargo-fuzz and schemathesis are installed
under target/. What cannot run is said loudly, and is a failure in CI. A finding ends with the command that repeats it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from run import IN_CI, ROOT, Parser, Stack, on_a_stack, run

sys.path.append(str(ROOT / "infra"))
from pinned import installed  # noqa: E402

FUZZ = ROOT / "tests" / "fuzz"
BUILT = ROOT / "target" / "fuzz"
TOOLS = ROOT / "target" / "tools"
CARGO_FUZZ = "0.13.2"
SECONDS = int(os.environ.get("FUZZ_SECONDS") or 60)
# Larger inputs find nothing that smaller ones do not; the limits of what is read are tested elsewhere.
MAX_BYTES = 8192
# What is kept of one target.
KEPT_FILES, KEPT_BYTES, KEPT_FILE_BYTES = 20, 6 * 1024, 1024
SCHEMATHESIS = ROOT / "target" / "schemathesis"
SEEDS = (1, 2, 3)
EXAMPLES = 30
# What each says would be wrong here, and why it is not asked:
UNASKED = {
    "positive_data_acceptance": "a field that keeps the schema may still be refused: a currency that does not exist, a saga that has ended",
    "ignored_auth": "the local stack asks for no signature",
}


def main() -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("targets", "memory", "api", "keep"))
    parser.add_argument("names", nargs="*", metavar="TARGET")
    asked = parser.parse_args()
    unknown = sorted(set(asked.names) - set(all_targets()))
    if asked.names and asked.part not in ("targets", "keep"):
        parser.error(f"{asked.part} takes no targets")
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such target; there are {', '.join(all_targets())}")
    parts = {"targets": lambda: targets(asked.names), "memory": memory, "api": api, "keep": lambda: keep(asked.names)}
    # The million first: it needs nothing that may be missing.
    return parts[asked.part]() if asked.part else max(part() for part in (memory, lambda: targets([]), api))


def cannot(what: str) -> int:
    print(f"SKIPPED: {what}: NOT FUZZED", file=sys.stderr)
    return 1 if IN_CI else 0


def all_targets() -> list[str]:
    return sorted(file.stem for file in (FUZZ / "fuzz_targets").glob("*.rs"))


def cargo_fuzz(*arguments: str) -> list[str]:
    return ["cargo", "+nightly", "fuzz", *arguments]


def ready() -> str | None:
    """What is missing, if anything is; installs what can be."""
    nightly = subprocess.run(["cargo", "+nightly", "--version"], capture_output=True, text=True, check=False)
    if nightly.returncode:
        return "there is no nightly toolchain (rustup toolchain install nightly)"
    os.environ["PATH"] = f"{TOOLS / 'bin'}{os.pathsep}{os.environ['PATH']}"
    if shutil.which("cargo-fuzz"):
        return None
    print("installing cargo-fuzz (about a minute)", flush=True)
    if run(["cargo", "install", "--quiet", "--locked", "--root", str(TOOLS), f"cargo-fuzz@{CARGO_FUZZ}"]):
        return "cargo-fuzz cannot be installed"
    return None


def at(command: str, *arguments: str) -> list[str]:
    return cargo_fuzz(command, "--fuzz-dir", str(FUZZ), "--target-dir", str(BUILT), *arguments)


def targets(names: list[str]) -> int:
    missing = ready()
    if missing:
        return cannot(missing)
    print("building the fuzz targets (the first time takes some minutes)", flush=True)
    if run(at("build")):
        return 1
    found = []
    for number, name in enumerate(names or all_targets(), 1):
        print(f"{name}: target {number} of {len(names or all_targets())}, {SECONDS} s", flush=True)
        corpus = BUILT / "corpus" / name
        corpus.mkdir(parents=True, exist_ok=True)
        limits = [f"-max_total_time={SECONDS}", f"-max_len={MAX_BYTES}", "-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1", "-verbosity=0"]
        if run(at("run", name, str(corpus), str(FUZZ / "corpus" / name), "--", *limits)):
            found.append(name)
    for name in found:
        print(f"FOUND by {name}: what did it lies in tests/fuzz/artifacts/{name}; mend the code, and put it into tests/fuzz/corpus/{name}", file=sys.stderr)
    return 1 if found else 0


def memory() -> int:
    test = ["--test", "corpus", "--", "--nocapture", "--include-ignored", "memory_stays_flat_over_a_million"]
    return run(["cargo", "test", "--locked", "--package", "saga-tests", *test])


def keep(names: list[str]) -> int:
    missing = ready()
    if missing:
        return cannot(missing)
    for name in names or all_targets():
        kept, seeds, merged = FUZZ / "corpus" / name, BUILT / "seeds" / name, BUILT / "merged" / name
        for folder in (seeds, merged):
            shutil.rmtree(folder, ignore_errors=True)
        merged.mkdir(parents=True)
        # Only small ones are looked at: the tests run what is kept, and people read it.
        seeds.mkdir(parents=True)
        for folder in (kept, BUILT / "corpus" / name):
            for file in folder.iterdir() if folder.exists() else ():
                if file.stat().st_size <= KEPT_FILE_BYTES or file.name.startswith("seed-"):
                    shutil.copy(file, seeds / file.name)
        if run(at("run", name, str(merged), str(seeds), "--", "-set_cover_merge=1", f"-max_len={MAX_BYTES}")):
            return 1
        for file in kept.iterdir():
            if not file.name.startswith("seed-"):
                file.unlink()
        # Small ones and large ones alike, as many as there is room for.
        found = sorted(merged.iterdir(), key=lambda file: (file.stat().st_size, file.name))
        left = KEPT_BYTES
        for file in found[:: max(1, len(found) // KEPT_FILES)]:
            left -= file.stat().st_size
            if left < 0:
                break
            shutil.copy(file, kept / file.name)
        print(f"{name}: {sum(1 for _ in kept.iterdir())} inputs kept", flush=True)
    return 0


def api() -> int:
    requirements = ROOT / "tests" / "requirements-fuzz.txt"
    if not installed(SCHEMATHESIS, requirements, "schemathesis"):
        return cannot("schemathesis cannot be installed: the APIs")
    return on_a_stack(schemathesis)


def schemathesis(stack: Stack) -> int:
    endpoints = json.loads((stack.state / "endpoints.json").read_text())
    return max(one_api(endpoints[name], seed) for name in ("api", "dead_letters") for seed in SEEDS)


def one_api(url: str, seed: int) -> int:
    print(f"schemathesis: {url}, seed {seed}", flush=True)
    options = ["--exclude-checks", ",".join(UNASKED), "--seed", str(seed), "--max-examples", str(EXAMPLES), "--request-timeout", "30"]
    return run([str(SCHEMATHESIS / "bin" / "schemathesis"), "run", f"{url}/openapi.json", "--url", url, "--continue-on-failure", *options])


if __name__ == "__main__":
    sys.exit(main())
