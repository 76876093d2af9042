#!/usr/bin/env python3
"""Makes an ISO image from which GRUB boots the kernel: on QEMU and on real PCs, by BIOS or by UEFI, from a disc or, as
the image is a disk image too, from a USB stick. Prints the path of the image."""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CANNOT = 125
MENU = """\
set default=0
set timeout={timeout}
if serial --unit=0 --speed=115200; then
  terminal_input console serial
  terminal_output console serial
fi
menuentry "Vellum" {{
  multiboot2 /boot/vellum.elf {words}
{module}}}
"""
QUOTED = set('"\\$\'`;|&<>{}#')


def quoted(words):
    """As words of GRUB's command language."""
    return " ".join("".join("\\" + c if c in QUOTED else c for c in word) for word in words.split())


def main():
    parser = argparse.ArgumentParser(prog="vellum iso", description=__doc__, epilog="""Example: vellum iso --initrd
        initrd.cpio && qemu-system-x86_64 -m 512M -nographic -cdrom build/vellum.iso""")
    parser.add_argument("--kernel", type=Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--output", "-o", type=Path, required=True, metavar="FILE", help="the image (build/vellum.iso)")
    parser.add_argument("--initrd", type=Path, metavar="CPIO",
                        help="the archive (cpio, newc) that is unpacked, and whose /init is started")
    parser.add_argument("--append", default="console=ttyS0", metavar="WORDS",
                        help="the kernel's command line (%(default)s)")
    parser.add_argument("--timeout", type=int, default=1, metavar="SECONDS", help="how long GRUB's menu waits (%(default)s)")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        (tree / "boot" / "grub").mkdir(parents=True)
        module = ""
        try:
            shutil.copy(options.kernel, tree / "boot" / "vellum.elf")
            if options.initrd:
                shutil.copy(options.initrd, tree / "boot" / "initrd.cpio")
                module = "  module2 /boot/initrd.cpio initrd\n"
        except OSError as error:
            print(f"vellum: {error.filename}: {error.strerror}", file=sys.stderr)
            return CANNOT
        menu = MENU.format(words=quoted(options.append), module=module, timeout=options.timeout)
        (tree / "boot" / "grub" / "grub.cfg").write_text(menu)
        made = subprocess.run(["grub-mkrescue", "-o", options.output, tree], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if made.returncode != 0:
        print(made.stdout, end="", file=sys.stderr)
        print("vellum: grub-mkrescue could not make the image", file=sys.stderr)
        return CANNOT
    print(options.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
