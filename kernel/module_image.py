#!/usr/bin/env python3
"""Writes the assembly that carries loadable modules inside the kernel image: the objects themselves, and a table of the
kernel's symbols that they use (kernel/modules.cpp)."""

import argparse
import subprocess
import sys


def undefined(nm, path):
    lines = subprocess.run([nm, "--undefined-only", path], check=True, capture_output=True, text=True).stdout.splitlines()
    return {line.split()[-1] for line in lines if line.strip()}


def check(nm, path):
    """A module must not have its own copy of a variable that the kernel has too."""
    for line in subprocess.run([nm, "--demangle", path], check=True, capture_output=True, text=True).stdout.splitlines():
        words = line.split(maxsplit=2)
        if len(words) == 3 and words[1] in "VvuC":
            sys.exit(f"module_image.py: {path}: {words[2]} is a variable that others share")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nm", required=True)
    parser.add_argument("--objcopy", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("modules", nargs="+", metavar="NAME=OBJECT")
    options = parser.parse_args()
    symbols = set()
    lines = ["        .section .rodata", ""]
    for module in options.modules:
        name, path = module.split("=", 1)
        check(options.nm, path)
        symbols |= undefined(options.nm, path)
        stripped = f"{options.output}.{name}.o"
        subprocess.run([options.objcopy, "--strip-debug", path, stripped], check=True)
        lines += ["        .balign 8", f"        .globl module_{name}_start, module_{name}_end", f"module_{name}_start:",
                  f'        .incbin "{stripped}"', f"module_{name}_end:", ""]
    lines += ["        .balign 8", "        .globl module_exports_start, module_exports_end", "module_exports_start:"]
    names = []
    for number, symbol in enumerate(sorted(symbols)):
        lines.append(f"        .quad module_name_{number}, {symbol}")
        names += [f"module_name_{number}:", f'        .asciz "{symbol}"']
    lines += ["module_exports_end:", *names, "", '        .section .note.GNU-stack, "", @progbits', ""]
    with open(options.output, "w", encoding="ascii") as out:
        out.write("\n".join(lines))


if __name__ == "__main__":
    main()
