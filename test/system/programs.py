#!/usr/bin/env python3
"""The programs of test/programs in QEMU, on Vellum and on Debian's Linux 6.1 alike; each of their cases counts.

    python3 test/system/programs.py                      all of them on Vellum
    python3 test/system/programs.py --kernel linux semantics
    python3 test/system/programs.py semantics -- signals only the cases whose names hold the word

No run may lose memory: a program runs three times, the first of which may fill caches that stay, and the later two must
not both leave less than there was. (What the caches of each CPU hold goes up and down.)"""

import argparse
import dataclasses
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

for folder in Path(__file__).resolve().parents[0:2]:
    sys.path.insert(0, str(folder))

import guest
from results import Tally

PROGRAMS = guest.ROOT / "build/release/test/programs"
# QEMU's far return in a program reads the stack as if it were the kernel: with SMAP Linux takes that for a fault of its own.
CPU = {"Vellum": "max", "Linux": "max,-smap"}
ISOLATED = "kernel_context=isolated"
# The free memory of Linux moves by itself.
LOST_KILOBYTES = {"Vellum": 64, "Linux": 4096}
FUZZ_CALLS = 10_000_000


@dataclasses.dataclass(frozen=True)
class Run:
    """One program in one kernel. `lines`: its output has a line for each case; otherwise `expected` must be in it."""
    name: str
    words: tuple[str, ...]
    memory: str = "256M"
    timeout: int = 300
    append: str = ""
    lines: bool = True
    expected: str = r"\n\d+ passed, 0 failed\n"
    again: bool = True  # runs twice more, and no memory may be lost by that
    processors: int = 1


def fuzzing(calls, seconds, seed):
    words = ("call_fuzz", "--seed", str(seed), "--calls", str(calls), "--seconds", str(seconds))
    return Run(f"call_fuzz for {seconds} s", words, timeout=2 * seconds + 120, lines=False, expected="the kernel stays up",
               again=False)


def on_several(run, processors=4):
    return dataclasses.replace(run, name=f"{run.name}, {processors} processors", processors=processors, again=False)


HOGS = ("touch", "heap", "sparse", "tables", "shared", "file", "fork", "pipes")
RUNS = {
    "semantics": Run("semantics", ("semantics",)),
    "hostile": Run("hostile", ("hostile",), expected="the kernel stays up"),
    "hostile_isolated": Run("hostile, isolated kernel context", ("hostile",), append=ISOLATED, expected="the kernel stays up"),
    "memory": Run("memory", ("memory_hog", "beside", *HOGS), memory="64M", again=False),
    "call_fuzz": fuzzing(FUZZ_CALLS, 20, seed=1),
    "processors": on_several(Run("processors", ("processors",))),
    "processors_isolated": on_several(Run("processors, isolated kernel context", ("processors",), append=ISOLATED), 3),
    "semantics_several": on_several(Run("semantics", ("semantics",))),
    "hostile_several": on_several(Run("hostile", ("hostile",), expected="the kernel stays up")),
    "call_fuzz_several": on_several(fuzzing(FUZZ_CALLS, 15, seed=500_000)),
    "call_fuzz_several_long": on_several(fuzzing(FUZZ_CALLS, 150, seed=2_000_000)),
    "call_fuzz_long": fuzzing(FUZZ_CALLS // 2, 200, seed=1000),
    "call_fuzz_long_too": fuzzing(FUZZ_CALLS // 2, 200, seed=1_000_000),
}
# What the test run does; the rest is for `./vellum test --all`.
USUAL = ("semantics", "hostile", "memory", "call_fuzz", "processors", "semantics_several", "call_fuzz_several")
# Random calls wait most of their time: three kernels at once.
LONG = ("call_fuzz_long", "call_fuzz_long_too", "call_fuzz_several_long", "hostile_isolated", "processors_isolated",
        "hostile_several")
ON_LINUX = ("semantics", "hostile", "processors")


def tally_of(output, run, kernel):
    """The cases by the lines that a program printed, or one by what it had to say."""
    where = f"{kernel.name}: {run.name}"
    if not run.lines:
        print(f"    {' '.join(output.splitlines()[-1:])}", flush=True)
        return Tally(1) if re.search(run.expected, output) else Tally(failures=[f"{where}: did not say '{run.expected}'"])
    tally = Tally()
    for line in output.splitlines():
        if line.startswith("ok "):
            tally.passed += 1
        elif line.startswith("not ok "):
            tally.failures.append(f"{where}: {line.removeprefix('not ok ')}")
    last = re.search(r"^(\d+) passed, (\d+) failed$", output, re.MULTILINE)
    if not last or (int(last[1]), int(last[2])) != (tally.passed, len(tally.failures)):
        tally.failures.append(f"{where}: ended before its end, or its lines are lost")
    elif not tally.failures and not re.search(run.expected, output):
        tally.failures.append(f"{where}: did not say '{run.expected}'")
    return tally


def free_after(command):
    found = re.search(r"(\d+) kB free", command.output)
    return int(found[1]) if found else None


def lost_memory(run, kernel, commands):
    """What the second run and the third both took and did not give back is a failure."""
    free = [free_after(commands[at]) for at in (2, 4, 6)]
    if None in free:
        return [f"{kernel.name}: {run.name}: the free memory was not told"]
    lost = min(free[0] - free[1], free[1] - free[2])
    if lost > LOST_KILOBYTES[kernel.name]:
        return [f"{kernel.name}: {run.name}: at least {lost} kB were not free again after each run"]
    return []


def execute(run, kernel, extra=(), show=print):
    program = ["/" + run.words[0], *run.words[1:], *extra]
    free = ["/memory_hog", "free"]
    commands = [free, *[program, free] * 3] if run.again else [program]
    files = {f"/{name}": PROGRAMS / name for name in {run.words[0], "memory_hog"}}
    append = " ".join([run.append, *(["no_timer_check"] if kernel.name == "Linux" else [])])  # which a busy host makes fail
    result = guest.run(kernel, commands, files, memory=run.memory, timeout=run.timeout, append=append,
                       cpu=CPU[kernel.name], processors=run.processors)
    first = result.commands[1 if run.again else 0]
    tally = tally_of(first.output, run, kernel)
    if run.again and not tally.failures:
        later = [tally_of(result.commands[at].output, run, kernel) for at in (3, 5)]
        tally.failures += later[0].failures or later[1].failures or lost_memory(run, kernel, result.commands)
    if tally.failures and first.status is None:
        show(f"---- {kernel.name}, {run.name}: the end of the console\n{result.output[-4000:]}\n----")
    return tally


def build():
    """The programs; where that fails, what the tools said."""
    folder = guest.ROOT / "build/release"
    steps = [["ninja", "-C", folder, "guest_programs"]]
    if not (folder / "build.ninja").exists():
        steps.insert(0, ["cmake", "--preset", "release"])
    for step in steps:
        result = subprocess.run(step, cwd=guest.ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode != 0:
            return result.stdout
    return None


def vellum_kernel():
    """Vellum as it is now, built if it must be."""
    path = subprocess.run([guest.ROOT / "vellum", "kernel"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True)
    return guest.vellum(path.stdout.strip())


def execute_all(names, kernel, at_once=1):
    said = build()
    if said:
        print(said)
        return Tally(failures=["build of the guest programs"])
    tally = Tally()
    with ThreadPoolExecutor(at_once) as pool:
        for name, one in zip(names, pool.map(lambda name: execute(RUNS[name], kernel), names)):
            print(f"    {RUNS[name].name}: {one.passed} passed, {len(one.failures)} failed", flush=True)
            tally.add(one)
    return tally


def on_vellum():
    kernel = vellum_kernel()
    tally = execute_all([name for name in USUAL if RUNS[name].processors == 1], kernel, at_once=2)
    tally.add(execute_all([name for name in USUAL if RUNS[name].processors > 1], kernel))
    return tally


def on_vellum_long():
    return execute_all(LONG, vellum_kernel(), at_once=3)


def on_linux():
    return execute_all(ON_LINUX, guest.linux())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernel", choices=["vellum", "linux"], default="vellum")
    parser.add_argument("--image", help="another kernel image than the one that was built")
    parser.add_argument("--once", action="store_true", help="run the program once, without looking at the memory")
    words = sys.argv[1:]
    extra = words[words.index("--") + 1:] if "--" in words else []
    parser.add_argument("names", nargs="*", choices=[*RUNS, []], metavar="NAME", help=", ".join(RUNS))
    options = parser.parse_args(words[: len(words) - len(extra) - ("--" in words)])

    said = build()
    if said:
        sys.exit(said)
    kernel = guest.linux() if options.kernel == "linux" else guest.vellum(options.image) if options.image else vellum_kernel()
    failed = False
    for name in options.names or (ON_LINUX if options.kernel == "linux" else USUAL):
        run = dataclasses.replace(RUNS[name], again=RUNS[name].again and not options.once)
        tally = execute(run, kernel, extra)
        for failure in tally.failures:
            print(f"FAILED: {failure}")
        print(f"{run.name}: {tally.passed} passed, {len(tally.failures)} failed", flush=True)
        failed = failed or bool(tally.failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
