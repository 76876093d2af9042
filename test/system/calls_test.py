#!/usr/bin/env python3
"""docs/system-calls.md is the table that the kernel dispatches on, as it prints it at the word `list_calls`:

    python3 test/system/calls_test.py --write      writes the page anew"""

import re
import subprocess
import sys
import unittest
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import guest

PAGE = guest.ROOT / "docs/system-calls.md"

HEAD = """# System calls

The Linux system calls (x86-64) that the kernel has. This page is written from the table that it dispatches on, and from the names that
`--strace` shows, by `python3 test/system/calls_test.py --write`; a test compares them. A call that is not here fails with `ENOSYS`
and is logged once, by its name. Flags and choices are listed where they have names; what is not listed is refused as
Linux refuses what it does not know. A remark stands where something is other than one would expect of Linux, or of little use.

With several processors calls are served one at a time; those marked *at once*, which are little more than the address
space that they change, by all processors at once ([decision 010](decisions/010-memory-calls-beside-the-system.md)).

"""


@dataclass
class Call:
    number: int
    name: str
    arguments: int
    at_once: bool
    named: dict = field(default_factory=dict)  # argument: [(name, remark)]


def kernel():
    path = subprocess.run([guest.ROOT / "vellum", "kernel"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=True)
    return guest.vellum(path.stdout.strip())


def calls_of(output):
    calls = []
    for line in output.splitlines():
        if found := re.fullmatch(r"call (\d+) (\w+) (\d) (in_turn|at_once)", line):
            calls.append(Call(int(found[1]), found[2], int(found[3]), found[4] == "at_once"))
        elif found := re.fullmatch(r"  argument (\d)", line):
            values = calls[-1].named[int(found[1])] = []
        elif found := re.fullmatch(r"    (\w+) (\d+) (.*)", line):
            values.append((found[1], found[3].strip()))
    return calls


def page(calls):
    rows = [f"| {call.number} | `{call.name}` | {call.arguments} | {'at once' if call.at_once else ''} |" for call in sorted(calls, key=lambda call: call.number)]
    sections = []
    for call in calls:
        for argument, values in call.named.items():
            lines = [f"- `{name}`" + (f": {remark}" if remark else "") for name, remark in values]
            sections.append(f"### {call.name}, argument {argument}\n\n" + "\n".join(lines) + "\n")
    return (HEAD + f"{len(calls)} calls:\n\n| number | call | arguments | served |\n|---|---|---|---|\n" + "\n".join(rows)
            + "\n\n## Flags and choices\n\n" + "\n".join(sections))


def current_page():
    return page(calls_of(guest.boot(kernel(), append="list_calls", memory="64M", cpu="max").output))


class Table(unittest.TestCase):
    def test_the_page_is_the_table_that_the_kernel_dispatches_on(self):
        self.assertEqual(PAGE.read_text(), current_page(), "write it anew: python3 test/system/calls_test.py --write")

    def test_numbers_and_names_are_linux_s(self):
        header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h").read_text()
        linux = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)", header)}
        calls = calls_of(guest.boot(kernel(), append="list_calls", memory="64M", cpu="max").output)
        self.assertGreater(len(calls), 200)
        self.assertEqual({call.name: call.number for call in calls}, {call.name: linux.get(call.name) for call in calls})


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(current_page())
    else:
        unittest.main()
