#!/usr/bin/env python3
"""Counts a kernel's instructions from reset to the first one of its first program, firmware included, with an archive that
holds that program alone."""

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test/system"))

import cpio  # noqa: E402
import guest  # noqa: E402

PROGRAM = Path(__file__).resolve().parent / "guest/boot.cpp"


class NoStart(Exception):
    """The first program did not start."""


def boot_cost(kernel, memory="256M", machine="microvm", timeout=60):
    program = guest.build(PROGRAM, flags=["-nostdlib", "-fno-stack-protector"])
    result = guest.boot(kernel, [*guest.nodes(), cpio.file("init", program.read_bytes(), 0o755)], memory=memory, machine=machine,
                        count_instructions=True, timeout=timeout)
    found = re.search(r"^boot (\d+)$", result.output, re.MULTILINE)
    if not found:
        raise NoStart("\n  ".join([f"{kernel.name} started no program; its last lines:", *result.output.splitlines()[-15:]]))
    return int(found.group(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", choices=["linux", "vellum"], default="vellum")
    parser.add_argument("--image", help="Vellum's kernel image")
    parser.add_argument("--machine", default="microvm", help="(%(default)s)")
    parser.add_argument("--memory", default="256M", help="(%(default)s)")
    parser.add_argument("--limit", type=int, help="fail when it takes more instructions than this")
    options = parser.parse_args()
    kernel = guest.linux() if options.kernel == "linux" else guest.vellum(options.image)
    instructions = boot_cost(kernel, options.memory, options.machine)
    print(f"{kernel.name}, {options.machine}, {options.memory}: {instructions:,} instructions from reset to the first program")
    if options.limit and instructions > options.limit:
        print(f"FAILED: more than {options.limit:,}")
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NoStart as error:
        sys.exit(f"FAILED: {error}")
