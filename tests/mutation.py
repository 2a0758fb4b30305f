#!/usr/bin/env python3
"""Every fault that cargo-mutants can plant, and whether a test of `make unit` catches it.

    python3 tests/mutation.py                 all of them
    python3 tests/mutation.py core app        those of these crates, by the names of their folders
    python3 tests/mutation.py --minutes 20    ends after so many minutes (60 by default) and says what was not looked at
    python3 tests/mutation.py --workers 1     judges one at a time, not as many as there are cores

cargo-mutants builds everything once for each mutant, which takes hours here. So its list is built in once, each mutant behind
a switch (tests/mutation), and each is judged by the tests that reach its place, the shortest first, until one fails. What
cannot stand behind a switch, or does not compile there, goes to cargo-mutants itself at the end. All in a copy of the tree
under target/mutation. What was not caught the last time is looked at first, and what may survive last.

Why each of those may survive stands in tests/mutation/explained.json. Ends with 1 when a mutant survives without an
explanation, or when an explanation is of no mutant that survives.
"""

from __future__ import annotations

import json
import os
import queue
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from mutants import ROOT, Parser, copy_tree

WORK = ROOT / "target" / "mutation"
TREE = WORK / "tree"
TOOL = ROOT / "tests" / "mutation"
EXPLAINED = TOOL / "explained.json"
# Which test caught each mutant the last time: it is tried first.
CAUGHT = WORK / "caught.json"
CRATES = ["core", "app", "wire", "participants", "runtime", "azure-participant", "deadline-sweeper", "dlq-replayer",
          "event-ingress", "event-relay", "outbox-poller", "saga-events", "saga-initiator"]
# They read the sources, tell how long something takes, or take too long.
NO_JUDGES = ["architecture", "bench_relay", "simulator"]
# A longer test is no judge of single mutants: with a hundred of them it would take a day.
LONGEST_TEST = 8.0
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MUTANT")} | {
    "CARGO_TARGET_DIR": str(WORK / "build"),
    "CARGO_INCREMENTAL": "0",
    "RUST_BACKTRACE": "0",
}


def main() -> int:
    parser = Parser(description=__doc__)
    parser.add_argument("crates", nargs="*", choices=[[], *CRATES], metavar="CRATE")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    if not shutil.which("cargo-mutants"):
        print("cargo-mutants is not installed: cargo install --locked cargo-mutants", file=sys.stderr)
        return 2
    until = time.monotonic() + 60 * asked.minutes
    crates = asked.crates or CRATES
    explained = {key: entry["why"] for entry in json.loads(EXPLAINED.read_text()) for key in entry["mutants"]}
    copy_tree(TREE)
    mutants = listed(crates)
    before = caught_before()
    mutants.sort(key=lambda mutant: (mutant["key"] in explained, mutant["key"] in before))
    say(f"{len(mutants)} mutants")
    prepare()
    built_in, unviable = build_in(mutants)
    say("building the tests")
    programs = build()
    tests = trace(programs, asked.workers)
    verdicts = judge([mutant for mutant in mutants if mutant["number"] in built_in], programs, tests, until, asked.workers)
    verdicts |= dict.fromkeys(unviable, UNVIABLE)
    rest = [mutant for mutant in mutants if mutant["number"] not in built_in | unviable]
    say(f"cargo-mutants looks at {len(rest)} that cannot stand behind a switch; {len(unviable)} more would not compile")
    verdicts |= judged_by_cargo_mutants(rest, [mutant for mutant in mutants if mutant not in rest], crates, until)
    return report(mutants, verdicts, explained, crates)


BEGAN = time.monotonic()


def say(what: str) -> None:
    minutes, seconds = divmod(int(time.monotonic() - BEGAN), 60)
    print(f"{minutes:>3}:{seconds:02} {what}", flush=True)


def package(crate: str) -> str:
    return f"saga-{crate}" if (ROOT / "shared" / crate).is_dir() else crate


def listed(crates: list[str]) -> list[dict]:
    """cargo-mutants' list of the tree as it is, each with a number, and with a key that holds while lines move."""
    command = ["cargo", "mutants", "--list", "--json"]
    for crate in crates:
        command += ["--package", package(crate)]
    out = subprocess.run(command, cwd=TREE, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout
    mutants = json.loads(out)
    for number, mutant in enumerate(mutants):
        line = (TREE / mutant["file"]).read_text().splitlines()[mutant["span"]["start"]["line"] - 1].strip()
        what = mutant["name"].split(": ", 1)[1]
        mutant |= {"number": number, "key": f"{mutant['file']}: {what} | {line}"}
    return mutants


def prepare() -> None:
    """One test program in place of one for each file, and the switch as a dependency of everything that is changed."""
    tests = TREE / "tests" / "tests"
    alone = [file.stem for file in sorted(tests.glob("*.rs"))
             if file.stem.startswith("stack_") or "crate::" in file.read_text() or "../../functions" in file.read_text()]
    together = [file.stem for file in sorted(tests.glob("*.rs")) if file.stem not in alone]
    modules = "".join(f'#[path = "{name}.rs"]\nmod {name};\n' for name in together)
    (tests / "together.rs").write_text("#![allow(missing_docs, unused, reason = \"each file stands for itself\")]\n" + modules)
    manifest = TREE / "tests" / "Cargo.toml"
    text = manifest.read_text().split("[[test]]")[0].replace("[package]\n", "[package]\nautotests = false\n", 1)
    for name in ["together", *(name for name in alone if not name.startswith("stack_"))]:
        text += f'[[test]]\nname = "{name}"\n'
    manifest.write_text(text)
    for manifest in [*TREE.glob("shared/*/Cargo.toml"), *TREE.glob("functions/*/Cargo.toml"), TREE / "tests" / "Cargo.toml"]:
        switch = os.path.relpath(TREE / "tests" / "mutation" / "switch", manifest.parent)
        line = f'[dependencies]\nsaga-mutation-switch = {{ path = "{switch}" }}\n'
        manifest.write_text(manifest.read_text().replace("[dependencies]\n", line, 1))


def cargo(verb: list[str]) -> subprocess.CompletedProcess[str]:
    """On everything that has a judge: the tests of one crate are judges of the others, too."""
    packages = [part for crate in CRATES for part in ("--package", package(crate))]
    command = ["cargo", *verb, "--offline", "--profile", "mutants", "--message-format", "json", *packages, "--package", "saga-tests"]
    return subprocess.run(command, cwd=TREE, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=False)


def messages(out: str) -> list[dict]:
    return [json.loads(line) for line in out.splitlines() if line.startswith("{")]


def errors(out: str) -> str:
    found = [message["message"] for message in messages(out) if message.get("reason") == "compiler-message"]
    return "\n".join(message["rendered"] for message in found if message["level"] == "error")


def build_in(mutants: list[dict]) -> tuple[set[int], set[int]]:
    """Puts the mutants behind their switches, without those that do not compile there; and which would compile nowhere."""
    tool = ["cargo", "build", "--quiet", "--locked", "--release", "--manifest-path", str(TOOL / "Cargo.toml")]
    subprocess.run(tool, env=ENVIRONMENT | {"CARGO_TARGET_DIR": str(WORK / "tool")}, check=True)
    left = {mutant["number"]: mutant for mutant in mutants}
    files = {file: (TREE / file).read_text() for file in {mutant["file"] for mutant in mutants}}
    unviable: set[int] = set()
    while True:
        for file, text in files.items():
            (TREE / file).write_text(text)
        done = subprocess.run([str(WORK / "tool" / "release" / "saga-mutation"), str(TREE)], input=json.dumps(list(left.values())),
                              check=True, capture_output=True, text=True).stdout
        left = {number: left[number] for number in map(int, done.split())}
        say(f"{len(left)} of them stand behind a switch: do they compile?")
        checked = cargo(["check", "--keep-going", "--tests"])
        if not checked.returncode:
            return set(left), unviable
        wrong = {number: codes for number, codes in to_blame(checked.stdout).items() if number in left}
        if not wrong:
            sys.exit(f"no mutant is to blame for this:\n{errors(checked.stdout)}")
        for number, codes in wrong.items():
            del left[number]
            if codes & OF_ITS_TYPE:
                unviable.add(number)


# No such trait, or no such operator, for the type of the mutated expression: the switch before it has no part in that.
OF_ITS_TYPE = {"E0277", "E0368", "E0369", "E0600"}


def to_blame(out: str) -> dict[int, set[str]]:
    """The mutants where the compiler's errors are, and their codes: each is at the nearest switch before the error."""
    switches: dict[Path, list[tuple[tuple[int, int], int]]] = {}
    found: dict[int, set[str]] = {}
    for message in messages(out):
        if message.get("reason") != "compiler-message" or message["message"]["level"] != "error":
            continue
        for span in message["message"]["spans"]:
            file = (TREE / span["file_name"]).resolve()
            if not span["is_primary"] or not file.is_file():
                continue
            if file not in switches:
                switches[file] = [((line, hit.start() + 1), int(hit[1]))
                                  for line, text in enumerate(file.read_text().splitlines(), 1)
                                  for hit in re.finditer(r"saga_mutation_switch::on\((\d+)\)", text)]
            before = [number for place, number in switches[file] if place <= (span["line_end"], span["column_end"])]
            for number in before[-1:]:
                found.setdefault(number, set()).add((message["message"]["code"] or {}).get("code", ""))
    return found


def build() -> dict[str, tuple[str, str]]:
    """The test programs: path and working directory, by the name of the target and of its crate's folder."""
    built = cargo(["test", "--no-run"])
    if built.returncode:
        sys.exit(errors(built.stdout))
    return {
        f"{message['target']['name']}@{Path(message['manifest_path']).parent.name}":
            (message["executable"], str(Path(message["manifest_path"]).parent))
        for message in messages(built.stdout)
        if message.get("reason") == "compiler-artifact" and message.get("executable") and message["profile"]["test"]
    }


def run(program: tuple[str, str], tests: list[str], seconds: float, **environment: str) -> tuple[str | None, float]:
    """Runs these tests, one after the other, until one fails: its name, or what else went wrong; and the processor's time."""
    path, folder = program

    def bounded() -> None:
        # Processor time: a busy machine makes no mutant time out.
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 1))
        resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
        os.setsid()

    command = [path, "--exact", *tests, "--test-threads", "1"]
    process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT | environment, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True, errors="replace", preexec_fn=bounded)
    stuck = threading.Timer(20 * seconds, lambda: os.killpg(process.pid, signal.SIGKILL))
    stuck.start()
    last = None
    for line in process.stdout:
        name = re.match(r"test (\S+)(?: - should panic)? \.\.\.", line)
        last = name[1] if name else last
        if "FAILED" in line:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            stuck.cancel()
            return last or "a test", 0.0
    _, status, used = os.wait4(process.pid, 0)
    stuck.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    wrong = None
    if process.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
        wrong = f"{TIMEOUT} in {last}"
    elif process.returncode:
        wrong = f"an end of the process in {last}"
    return wrong, used.ru_utime + used.ru_stime


TIMEOUT = "a timeout"


def side_by_side(what: str, work: list, workers: int, one) -> None:
    """Does all of the work, and what `one` gives back of it after that."""
    todo: queue.SimpleQueue = queue.SimpleQueue()
    for item in work:
        todo.put(item)

    def worker() -> None:
        while True:
            try:
                item = todo.get_nowait()
            except queue.Empty:
                return
            rest = one(item)
            if rest:
                todo.put(rest)

    threads = [threading.Thread(target=worker, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            say(f"{what}: {len(work) - min(len(work), todo.qsize())} of {len(work)}")
            thread.join(20)


def trace(programs: dict[str, tuple[str, str]], workers: int) -> dict[tuple[str, str], tuple[float, set[int]]]:
    """How long each test takes, in seconds of the processor, and which mutants it reaches."""
    names = []
    for name, (path, folder) in programs.items():
        lists = [subprocess.run([path, "--list", "--format", "terse", *more], cwd=folder, capture_output=True, text=True, check=True)
                 for more in ([], ["--ignored"])]
        all_tests, ignored = ({line.removesuffix(": test") for line in one.stdout.splitlines() if line.endswith(": test")} for one in lists)
        names += [(name, test) for test in sorted(all_tests - ignored)
                  if not {name.split("@")[0], test.split("::")[0]} & set(NO_JUDGES)]
    found = {}
    broken = []

    def one(test: tuple[str, str]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "trace"
            failed, seconds = run(programs[test[0]], [test[1]], 600, MUTANT_TRACE=str(file))
            if failed:
                broken.append(f"{' '.join(test)} ({failed})")
            found[test] = (seconds, set(map(int, file.read_text().split())) if file.exists() else set())

    side_by_side("tests, without any mutant", names, workers, one)
    if broken:
        sys.exit("without any mutant these fail:\n" + "\n".join(broken))
    return found


def reached_by(mutants: list[dict], tests) -> dict[int, list[tuple[str, str]]]:
    """The tests that reach each mutant: first those that are short and about its file rather than about everything."""
    files = {mutant["number"]: mutant["file"] for mutant in mutants}
    reaching: dict[int, list[tuple[float, tuple[str, str]]]] = {}
    for test, (seconds, reached) in tests.items():
        share = Counter(files[number] for number in reached if number in files)
        for number in reached if seconds <= LONGEST_TEST else ():
            rank = max(seconds, 0.2) * len(reached) / share[files[number]]
            reaching.setdefault(number, []).append((rank, test))
    return {number: [test for _, test in sorted(ranked)] for number, ranked in reaching.items()}


def caught_before() -> dict[str, tuple[str, str]]:
    return {key: tuple(test) for key, test in json.loads(CAUGHT.read_text()).items()} if CAUGHT.exists() else {}


def judge(mutants: list[dict], programs, tests, until: float, workers: int) -> dict[int, str | None]:
    """What caught each mutant, `None` where nothing did; without those for which there was no time."""
    long = [" ".join(test) for test, (seconds, _) in tests.items() if seconds > LONGEST_TEST]
    say(f"{len(long)} tests take longer than {LONGEST_TEST:.0f} s and judge nothing: {', '.join(long)}")
    reaching = reached_by(mutants, tests)
    verdicts: dict[int, str | None] = {}
    # What caught a mutant before, or another one of its function, is likely to catch it.
    caught_by = caught_before()
    of_function: dict[tuple[str, str], list[tuple[str, str]]] = {}

    def one(work: tuple[dict, list[tuple[str, str]], int]) -> tuple | None:
        """The next tests of a mutant. Most are caught by the first ones; the others come back, after all."""
        mutant, waiting, size = work
        number, key = mutant["number"], mutant["key"]
        function = mutant["file"], (mutant["function"] or {}).get("function_name", "")
        likely = [caught_by.get(key), *of_function.get(function, [])[:8]]
        waiting.sort(key=lambda test: test not in likely)
        if time.monotonic() > until:
            return None
        if not waiting:
            verdicts[number] = None
            how = "" if number in reaching else " (no test reaches it)"
            say(f"survives{how}: {key}")
            return None
        some = waiting[:size]
        for name in dict.fromkeys(name for name, _ in some):
            chosen = [test for other, test in some if other == name]
            seconds = 3 + 4 * sum(tests[name, test][0] for test in chosen)
            caught, _ = run(programs[name], chosen, seconds, MUTANT=str(number))
            if caught:
                verdicts[number] = caught
                if (name, caught) in waiting:
                    caught_by[key] = (name, caught)
                    of_function[function] = list(dict.fromkeys([(name, caught), *of_function.get(function, [])]))
                return None
        return mutant, waiting[size:], 2 * size

    try:
        side_by_side("mutants", [(mutant, reaching.get(mutant["number"], []), 4) for mutant in mutants], workers, one)
    finally:
        CAUGHT.write_text(json.dumps(caught_by))
    return verdicts


UNVIABLE = "the compiler"
KINDS = ["caught", "timeout", "explained", "unviable", "missed", "not looked at"]


def judged_by_cargo_mutants(mutants: list[dict], others: list[dict], crates: list[str], until: float) -> dict[int, str | None]:
    """Those that cannot stand behind a switch, one build each: first which of them compile, which is most of the work."""
    out = WORK / "cargo-mutants" / "mutants.out"
    shutil.rmtree(out.parent, ignore_errors=True)
    out.mkdir(parents=True)
    # Its filters by name do not hold for every kind of mutant, but what it has caught before it passes over.
    (out / "previously_caught.txt").write_text("".join(f"{mutant['name']}\n" for mutant in others))
    command = ["cargo", "mutants", "--iterate", "--in-place", "--baseline", "skip", "--timeout", "900", "--profile", "mutants",
               "--no-times", "--output", str(out.parent), "--test-package", ",".join(["saga-tests", *map(package, CRATES)])]
    for crate in crates:
        command += ["--package", package(crate)]
    numbers = {mutant["name"]: mutant["number"] for mutant in mutants}
    verdicts: dict[int, str | None] = {}
    for more in (["--check"], ["--", "--", *(f"--skip={name}::" for name in NO_JUDGES)]):
        if len(verdicts) == len(mutants) or time.monotonic() > until:
            break
        copy_tree(TREE)
        prepare()
        process = subprocess.Popen([*command, *more], cwd=TREE, env=ENVIRONMENT, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            process.wait(max(1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
        for file, verdict in [("caught", "a test"), ("timeout", TIMEOUT), ("unviable", UNVIABLE), ("missed", None)]:
            for name in (out / f"{file}.txt").read_text().splitlines():
                verdicts[numbers[name]] = verdict
    return verdicts


def report(mutants: list[dict], verdicts: dict[int, str | None], explained: dict[str, str], crates: list[str]) -> int:
    counts: dict[str, Counter] = {}
    lines: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for mutant in mutants:
        caught = verdicts.get(mutant["number"])
        if mutant["number"] not in verdicts:
            kind = "not looked at"
        elif caught is None:
            kind = "explained" if mutant["key"] in explained else "missed"
        elif caught == UNVIABLE:
            kind = "unviable"
        else:
            kind = "timeout" if caught.startswith(TIMEOUT) else "caught"
        counts.setdefault(mutant["file"].split("/")[1], Counter())[kind] += 1
        lines[kind].append(mutant["key"] + (f"  by {caught}" if kind in ("caught", "timeout") else ""))
    (WORK / "report.txt").write_text("".join(f"{kind:<14} {line}\n" for kind in KINDS for line in lines[kind]))
    for line in lines["missed"]:
        print(f"MISSED {line}")
    # An explanation may still be needed of what was not looked at.
    needed = {*lines["explained"], *lines["not looked at"]}
    needless = [key for key in explained if key not in needed and key.split("/")[1] in crates]
    for key in needless:
        print(f"explained, but no such mutant survives: {key}")
    print(f"{'':<18}" + "".join(f"{kind:>14}" for kind in KINDS))
    for crate, count in sorted(counts.items()) + [("all", sum(counts.values(), Counter()))]:
        print(f"{crate:<18}" + "".join(f"{count[kind]:>14}" for kind in KINDS))
    print(f"each mutant and what caught it: {(WORK / 'report.txt').relative_to(ROOT)}")
    return 1 if lines["missed"] or needless else 0


if __name__ == "__main__":
    sys.exit(main())
