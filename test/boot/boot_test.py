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
FAILURE = 0x11 << 1 | 1

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
# Besides, of the 64-bit kernel.
EXPECTED_AMD64 = [
    r"layout: \d+ pages in 20 rows are as their rows say, \d+ rows are empty",
    r"kmap: \d+ lines, written by a module at 0xfffffffff77eb[0-9a-f]{3}",
    r"rows: user code gets into none of \d+",
]
# What a failure on purpose ends in, by the word of the command line that causes it.
FAILURES = {
    "overflow_stack": [
        r"overflow: of the stack from {address} to {address}",
        r"panic: a kernel stack overflowed into its red zone",
        r"  rip 0x[0-9A-F.]+ kernel::recurse\+0x[0-9a-f]+ in kernel text\. .*",
        r"  rsp 0x[0-9A-F.]+ in segkp\. .*",
        r"  cr2 0x[0-9A-F.]+ in segkp\. .*",
        r"  tables: root .*, not present",
        r"  from 0x[0-9A-F.]+ kernel::recurse\+0x[0-9a-f]+",
    ],
    "stray_access": [
        r"panic: page fault",
        r"  rip 0x[0-9A-F.]+ kernel::stray_into_red_zone\+0x[0-9a-f]+ in kernel text\. .*",
        r"  cr2 0x[0-9A-F]+\.00000008 in red zone\. .*",
        r"  tables: root 0x0, not present",
        r"  from 0x[0-9A-F.]+ kernel_main\+0x[0-9a-f]+",
    ],
}
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
    machine = MACHINES[options.machine]
    memory = []
    if options.memory.endswith("G") and int(options.memory[:-1]) > 64:
        # More than the host has: nothing is reserved for it.
        memory = ["-object", f"memory-backend-ram,id=ram,size={options.memory},reserve=off"]
        machine += ",memory-backend=ram"
    line = [
        QEMU[options.arch], "-accel", "tcg", *memory, "-machine", machine, "-cpu", options.cpu or PLAIN_CPU[options.arch],
        "-smp", "1", "-m", options.memory, "-nodefaults", "-display", "none", "-monitor", "none", "-serial", "stdio",
        "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-kernel", options.image,
        "-append", options.failure or "selftest",
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
    parser.add_argument("--failure", choices=FAILURES, help="make the kernel fail in this way")
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
    expected = FAILURES[options.failure] if options.failure else EXPECTED
    missing = missing_line(lines, expected, options.arch)
    if missing is None and not options.failure and options.arch == "amd64":
        missing = missing_line(lines, EXPECTED_AMD64, options.arch)
    if missing is None and not options.failure and options.cpu == "max":
        missing = missing_line(lines, PROTECTIONS, options.arch)
    if missing is not None:
        print(f"FAILED: no line matches: {missing}")
        return 1
    wanted = FAILURE if options.failure else SUCCESS
    if status != wanted:
        print(f"FAILED: QEMU's exit status is {status}, not {wanted}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
