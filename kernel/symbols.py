#!/usr/bin/env python3
"""Puts the names of a linked kernel image's functions into its section .symbols (kernel/symbols.cpp), which was left
empty for them, so that no address changes."""

import argparse
import re
import struct
import subprocess
import sys
import tempfile

MAGIC = int.from_bytes(b"Symbols", "little")
HEAD = struct.Struct("<QII")
FUNCTION = struct.Struct("<II")
LONGEST = 70  # characters of a name


def shorten(name):
    """The name without arguments and the namespaces that all have."""
    depth = 0
    for i, character in enumerate(name):
        if character == "<":
            depth += 1
        elif character == ">":
            depth -= 1
        elif character == "(" and depth == 0 and not name[i:].startswith("(anonymous namespace)"):
            name = name[:i]
            break
    return name.replace("vellum::", "").replace("(anonymous namespace)::", "")[:LONGEST]


def functions(nm, image):
    """(address, name) of the functions, ascending, one name for each address."""
    lines = subprocess.run([nm, "--demangle", "--numeric-sort", image], check=True, capture_output=True, text=True).stdout
    found = {}
    start = None
    for line in lines.splitlines():
        match = re.fullmatch(r"([0-9a-f]+) (\w) (.*)", line)
        if match is None:
            continue
        address, kind, name = match.groups()
        if name == "image_text_start":
            start = int(address, 16)
        elif kind in "tTwW" and not name.startswith("."):
            found.setdefault(int(address, 16), shorten(name))
    return start, sorted(found.items())


def table(start, entries, room):
    names = bytearray()
    rows = bytearray()
    first_name = HEAD.size + FUNCTION.size * len(entries)
    places = {}
    for address, name in entries:
        if name not in places:
            places[name] = first_name + len(names)
            names += name.encode() + b"\0"
        rows += FUNCTION.pack(address - start, places[name])
    whole = HEAD.pack(MAGIC, len(entries), first_name + len(names)) + rows + names
    if len(whole) > room:
        sys.exit(f"symbols.py: {len(entries)} names need {len(whole)} bytes, and there is room for {room}")
    return whole + bytes(room - len(whole))


def section_size(objdump, image):
    for line in subprocess.run([objdump, "--section-headers", image], check=True, capture_output=True, text=True).stdout.splitlines():
        words = line.split()
        if len(words) > 2 and words[1] == ".symbols":
            return int(words[2], 16)
    sys.exit("symbols.py: the image has no section .symbols")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nm", required=True)
    parser.add_argument("--objcopy", required=True)
    parser.add_argument("--objdump", required=True)
    parser.add_argument("image")
    options = parser.parse_args()
    start, entries = functions(options.nm, options.image)
    with tempfile.NamedTemporaryFile() as blob:
        blob.write(table(start, entries, section_size(options.objdump, options.image)))
        blob.flush()
        subprocess.run([options.objcopy, f"--update-section=.symbols={blob.name}", options.image], check=True)


if __name__ == "__main__":
    main()
