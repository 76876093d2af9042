#!/usr/bin/env python3
"""`./vellum test`: every check, one line a step with its count and time, the output of what failed, and at the end a
line alone, `N passed, N failed`. Exit status 1 when anything failed."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import front_door_test
import fuzzers
import style
from results import Tally, count_ctest
from system import calls_test, commands_test, debian_test, inspect_test, iso_test, programs, run_test, terminal_test

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
JOBS = str(len(os.sched_getaffinity(0)))
LIVE = sys.stdout.isatty()  # on a terminal the tools draw their own progress
FUZZ_SECONDS = 60
# The long runs of the fuzzers' random drivers, in the optimised build: so many operations, or as many as fit the time (of
# those that now stand only the object caches', which look through whole slabs after each operation, need more).
RANDOM_OPERATIONS = 20_000_000
RANDOM_SECONDS = 60
RANDOM_TIMEOUT = RANDOM_SECONDS + 60


def log_of(name):
    return BUILD / "logs" / f"{name}.log"


def run(name, command, timeout=None):
    """Runs a tool without input; true if it went well. Its output goes to a log, and is shown if it did not."""
    command = [str(word) for word in command]
    if LIVE:
        return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, timeout=timeout).returncode == 0
    log = log_of(name)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        try:
            code = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output,
                                  stderr=subprocess.STDOUT, timeout=timeout).returncode
        except subprocess.TimeoutExpired:
            code = f"none, it still ran after {timeout} s"
    if code:
        print(f"---- {' '.join(command)}: exit status {code}")
        print(log.read_text(errors="replace"), end="")
        print("----", flush=True)
    return code == 0


def single(name, passed):
    return Tally(1) if passed else Tally(failures=[name])


def check_style():
    tally = Tally()
    for check in style.CHECKS:
        faults = check()
        for fault in faults:
            print(f"    {fault}")
        tally.add(single(check.__doc__, not faults))
    return tally


def cases_of(suite):
    for one in suite:
        if isinstance(one, unittest.TestSuite):
            yield from cases_of(one)
        else:
            yield one


def test_module(module, at_once=1):
    """A module of tests of what a user calls."""
    cases = list(cases_of(unittest.defaultTestLoader.loadTestsFromModule(module)))

    def run_case(case):
        with open(os.devnull, "w") as nowhere:
            result = unittest.TextTestRunner(stream=nowhere).run(unittest.TestSuite([case]))
        return [text for _, text in result.failures + result.errors + result.skipped]

    tally = Tally()
    with ThreadPoolExecutor(at_once) as pool:
        for case, texts in zip(cases, pool.map(run_case, cases)):
            print("".join(texts), end="")
            tally.add(single(case.id(), not texts))
    return tally


def build(preset):
    """Counts nothing but a failure."""
    passed = run(f"{preset}-build", [ROOT / "vellum", "build", preset])
    return Tally() if passed else Tally(failures=[f"build of {preset}; its tests were not run"])


def test(preset):
    reports = BUILD / preset / "results"
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir()
    junit = reports / "ctest.xml"
    run(f"{preset}-test", ["ctest", "--test-dir", BUILD / preset, "--output-on-failure", "--output-junit", junit,
                           "--parallel", JOBS])
    tally = count_ctest(junit, reports) if junit.exists() else Tally(failures=["ctest itself"])
    return Tally(tally.passed, [f"{preset}: {failure}" for failure in tally.failures])


def random_runs():
    """The fuzzers' random drivers, long."""
    programs = (BUILD / "release" / "fuzzers.txt").read_text().splitlines()

    def run_one(program):
        name = Path(program).name
        command = [program, "--operations", RANDOM_OPERATIONS, "--seconds", RANDOM_SECONDS, "--seed", 2]
        passed = run(name, command, RANDOM_TIMEOUT)
        if passed and not LIVE:
            print(f"    {name}: {log_of(name).read_text().strip()}", flush=True)
        return single(f"release: {name}", passed)

    tally = Tally()
    with ThreadPoolExecutor(int(JOBS)) as pool:
        for one in pool.map(run_one, programs):
            tally.add(one)
    return tally


def fuzz():
    tally = Tally()

    def report(name, passed, text):
        if not passed:
            print(text)
        print(f"    {name}: {text if passed else 'FAILED'}", flush=True)
        tally.add(single(f"fuzz: {name}", passed))

    fuzzers.run_all(fuzzers.programs(), FUZZ_SECONDS, report)
    return tally


def main():
    parser = argparse.ArgumentParser(prog="vellum test", description=__doc__)
    parser.add_argument("--all", action="store_true", help="also thread sanitizer, optimised build, fuzzers")
    everything = parser.parse_args().all
    # Who starts this in the background ignores these, and so would all programs that the tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    total = Tally()

    def step(title, action, *arguments):
        """Does one step and tells it; `action` returns its Tally."""
        start = time.monotonic()
        if LIVE:
            print(f"-- {title}", flush=True)
        tally = action(*arguments)
        total.add(tally)
        print(f"{title:44}{tally.passed or '':>6}{' passed' if tally.passed else '       '}"
              f"{time.monotonic() - start:8.1f} s", flush=True)
        for failure in tally.failures:
            print(f"    FAILED: {failure}", flush=True)
        return not tally.failures

    def step_preset(preset, what):
        if step(f"build {preset}: {what}", build, preset):
            step(f"test {preset}", test, preset)

    step("style of the sources", check_style)
    step("front door", test_module, front_door_test)
    step_preset("debug", "address and undefined sanitizers")
    step_preset("amd64", "64-bit PC, and layers")
    step_preset("i386", "32-bit PC with PAE, and layers")
    step("programs on the kernel", test_module, run_test)
    step("a shell at a terminal", test_module, terminal_test, int(JOBS))
    step("table of system calls", test_module, calls_test)
    step("commands as on Linux", test_module, commands_test, int(JOBS))
    step("looking into a running kernel", test_module, inspect_test)
    step("programs on Vellum", programs.on_vellum)
    step("ISO image", test_module, iso_test)
    if everything:
        step_preset("release", "optimised")
        step("Debian's programs as on Linux", test_module, debian_test, int(JOBS))
        step("long random runs, optimised", random_runs)
        step("programs on Linux", programs.on_linux)
        step("random system calls: ten million, or 200 s", programs.on_vellum_long)
        step_preset("tsan", "thread sanitizer")
        if step("build fuzz: libFuzzer", build, "fuzz"):
            step(f"each fuzzer for {FUZZ_SECONDS} s", fuzz)

    for failure in total.failures:
        print(f"FAILED: {failure}")
    print(f"{total.passed} passed, {len(total.failures)} failed", flush=True)
    return 1 if total.failures else 0


if __name__ == "__main__":
    sys.exit(main())
