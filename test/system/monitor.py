"""QEMU's own view of a machine: its monitor, by QMP."""

import json
import re
import socket

WRAPPER = """#!/bin/sh
exec qemu-system-x86_64 "$@" -qmp unix:{socket},server=on,wait=off
"""


class Monitor:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("rw")
        self.lines.readline()
        self.command("qmp_capabilities")

    def close(self):
        self.lines.close()
        self.socket.close()

    def command(self, name, **arguments):
        self.lines.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self.lines.flush()
        while True:
            answer = json.loads(self.lines.readline())
            if "event" not in answer:
                return answer["return"]

    def ask(self, line):
        return self.command("human-monitor-command", **{"command-line": line}).replace("\r", "")

    def stop(self):
        self.command("stop")

    def go_on(self):
        self.command("cont")

    def root(self):
        """The root table of the tables that the processor runs."""
        return int(re.search(r"CR3=([0-9a-f]+)", self.ask("info registers"))[1], 16) & ~0xFFF

    def physical(self, address):
        """Of an address by those tables, or None."""
        match = re.match(r"gpa: (0x[0-9a-f]+)", self.ask(f"gva2gpa {address:#x}"))
        return int(match[1], 16) if match else None

    def word(self, physical):
        return int(self.ask(f"xp /1xg {physical:#x}").split(": ")[1], 16)

    def pages(self):
        """All that they map: {address: (physical, flags)}, with the flags' letters of `info tlb`."""
        rows = (re.match(r"([0-9a-f]+): ([0-9a-f]+) (\S+)", line) for line in self.ask("info tlb").splitlines())
        return {int(row[1], 16): (int(row[2], 16), row[3]) for row in rows if row}

    def ranges(self):
        """What they let be done: (start, end, "ur-" and the like), ascending, of `info mem`."""
        rows = (re.match(r"([0-9a-f]+)-([0-9a-f]+) [0-9a-f]+ (\S+)", line) for line in self.ask("info mem").splitlines())
        return [(int(row[1], 16), int(row[2], 16), row[3]) for row in rows if row]
