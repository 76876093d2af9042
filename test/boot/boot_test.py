#!/usr/bin/env python3
"""Boots a kernel image in QEMU and checks what its self-test prints and how it ends.

Passes when QEMU's exit status is that of success and each expected line appears, in order. Prints the console's
lines in any case."""

import argparse
import re
import subprocess
import sys

# isa-debug-exit turns the value 0x10 into this.
SUCCESS = 0x10 << 1 | 1

# What the lines must match, one after the other; between them other lines may stand.
EXPECTED = [
    r"boot: {arch}, \d+ MB of memory",
    r"protection: WP NX.*",
    r"paging: own tables, root 0x[0-9a-f]+, \d+ tables",
    r"kernel: text is not written, data and direct map are not executed, the stack has a guard",
    r"fault: read at {address} resolved, zeros",
    r"fault: write at {address} resolved, zero-filled page",
    r"fault: write to read-only at {address} SEGV_ACCERR",
    r"fault: execution of data at {address} SEGV_ACCERR",
    r"fault: read of nothing at {address} SEGV_MAPERR",
    r"fault: read through a null pointer at 0x0 SEGV_MAPERR",
    r"fault: read of kernel text at {kernel_text} SEGV_MAPERR",
    r"fault: write to the direct map at {address} SEGV_MAPERR",
    r"fault: write at {address} resolved, the stack grew",
    r"fork: parent and child read 0x1234 at {address}, each write copied",
    r"fork: a write to shared memory at {address} seen by both",
    r"ticks: .*",
    r"fault: read of what was unmapped at {address} SEGV_MAPERR",
    r"pages: all \d+ free again",
    r"time: \d+ ticks since reset",
    r"selftest: passed",
]
# Besides, where the processor can do all that emulation knows.
PROTECTIONS = [
    r"protection: WP NX SMEP SMAP UMIP",
    r"kernel: does not touch user memory unasked",
    r"kernel: does not execute user memory",
]
KERNEL_TEXT = {"amd64": "0xfffffffffb800000", "i386": "0xfe800000"}

MACHINES = {
    "microvm": "microvm,isa-serial=on,rtc=off,pit=off,pic=off",
    "pc": "pc",
    "q35": "q35",
}
QEMU = {"amd64": "qemu-system-x86_64", "i386": "qemu-system-i386"}
PLAIN_CPU = {"amd64": "qemu64", "i386": "qemu32,+nx"}


def command(options):
    line = [
        QEMU[options.arch], "-accel", "tcg", "-machine", MACHINES[options.machine], "-cpu", options.cpu or PLAIN_CPU[options.arch],
        "-smp", "1", "-m", options.memory, "-nodefaults", "-display", "none", "-monitor", "none", "-serial", "stdio",
        "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-kernel", options.image, "-append", "selftest",
    ]
    if options.count_instructions:
        # One nanosecond of guest time an instruction, so that the time-stamp counter counts them.
        line += ["-icount", "shift=0,sleep=off", "-rtc", "base=2024-01-01T00:00:00,clock=vm", "-seed", "1"]
    return line


def missing_line(lines, expected, arch):
    """The first expected line that is not there in its turn, or None."""
    rest = iter(lines)
    for pattern in expected:
        for name, value in {"arch": arch, "address": "0x[0-9a-f]+", "kernel_text": KERNEL_TEXT[arch]}.items():
            pattern = pattern.replace("{" + name + "}", value)
        if not any(re.fullmatch(pattern, line) for line in rest):
            return pattern
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", choices=QEMU, required=True)
    parser.add_argument("--machine", choices=MACHINES, default="microvm")
    parser.add_argument("--cpu", help="QEMU's CPU model (default: the plainest that has NX)")
    parser.add_argument("--memory", default="256M", help="(%(default)s)")
    parser.add_argument("--timeout", type=float, default=60, help="seconds (%(default)s)")
    parser.add_argument("--count-instructions", action="store_true",
                        help="run so that the guest's time-stamp counter counts instructions")
    parser.add_argument("image")
    options = parser.parse_args()

    try:
        result = subprocess.run(command(options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=options.timeout)
        output, status = result.stdout, result.returncode
    except subprocess.TimeoutExpired as expired:
        output, status = expired.stdout or b"", None
    lines = [line.rstrip("\r") for line in output.decode(errors="replace").split("\n")]
    print("\n".join(lines).rstrip())

    if status is None:
        print(f"FAILED: no end after {options.timeout:g} s")
        return 1
    missing = missing_line(lines, EXPECTED, options.arch)
    if missing is None and options.cpu == "max":
        missing = missing_line(lines, PROTECTIONS, options.arch)
    if missing is not None:
        print(f"FAILED: no line matches: {missing}")
        return 1
    if status != SUCCESS:
        print(f"FAILED: QEMU's exit status is {status}, not {SUCCESS}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
