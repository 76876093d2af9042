#!/usr/bin/env python3
"""Runs the libFuzzer programs of the fuzz preset, as many at once as there are CPUs; the inputs that reached something
new stay in build/fuzz/corpus, and those that failed in build/fuzz/failures."""

import argparse
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TREE = Path(__file__).resolve().parent.parent / "build" / "fuzz"
GRACE = 120  # seconds that a fuzzer may need beyond its time, for the start and for the input that it is at


def programs():
    return [Path(line) for line in (TREE / "fuzzers.txt").read_text().splitlines()]


def run_fuzzer(program, seconds):
    """Runs one; gives (whether it passed, what to tell)."""
    corpus = TREE / "corpus" / program.name
    failures = TREE / "failures" / program.name
    for folder in (corpus, failures):
        folder.mkdir(parents=True, exist_ok=True)
    command = [str(program), f"-max_total_time={seconds}", "-print_final_stats=1", "-timeout=60",
               f"-artifact_prefix={failures}/", str(corpus)]
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                timeout=seconds + GRACE)
    except subprocess.TimeoutExpired as expired:
        return False, (expired.stdout or b"").decode(errors="replace") + f"\nstill runs after {seconds + GRACE} s"
    output = result.stdout.decode(errors="replace")
    units = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
    if result.returncode == 0 and units and int(units[1]) > 0:
        return True, f"{int(units[1]):,} inputs"
    found = re.search(r"Test unit written to (\S+)", output)
    again = f"\nrepeat it: {program} {found[1]}" if found else ""
    return False, f"{output}\nexit status {result.returncode}{again}"


def run_all(chosen, seconds, report):
    """Runs fuzzers; calls report(name, passed, text) as each ends."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        running = [(program, pool.submit(run_fuzzer, program, seconds)) for program in chosen]
        for program, run in running:
            report(program.name, *run.result())


def main():
    parser = argparse.ArgumentParser(prog="vellum fuzz", description="run coverage-guided fuzzers")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a fuzzer; all of them unless named")
    parser.add_argument("--seconds", type=int, default=60, help="time for each (60)")
    arguments = parser.parse_args()
    chosen = [program for program in programs() if not arguments.names or program.name in arguments.names]
    unknown = set(arguments.names) - {program.name for program in chosen}
    if unknown or not chosen:
        parser.error(f"no such fuzzer: {' '.join(sorted(unknown))}; there are: "
                     + " ".join(program.name for program in programs()))
    print(f"{len(chosen)} fuzzers, {arguments.seconds} s each", file=sys.stderr)
    failed = []

    def report(name, passed, text):
        print(f"{name:32} {'ok' if passed else 'FAILED':8} {text}", flush=True)
        if not passed:
            failed.append(name)

    run_all(chosen, arguments.seconds, report)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
