"""The ISO image, booted by GRUB."""

import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 300
SUCCESS = 0x10 << 1 | 1  # what isa-debug-exit makes of the self-test's success


INIT = b"""#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
echo "init is process $$, of $(/bin/busybox wc -l < /proc/mounts) mounts"
/bin/busybox poweroff -f
"""


def archive(entries):
    """A cpio archive (newc) of (name, mode, contents)."""
    result = b""
    for number, (name, mode, contents) in enumerate((*entries, ("TRAILER!!!", 0, b"")), 1):
        fields = (number, mode, 0, 0, 1, 0, len(contents), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        for part in (head, contents):
            result += part + b"\0" * (-len(part) % 4)
    return result


class Iso(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def make(self, *options):
        image = self.folder / "vellum.iso"
        made = subprocess.run([ROOT / "vellum", "iso", "-o", image, "--timeout", "0", *options], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual((made.returncode, made.stdout), (0, f"{image}\n"), made.stderr)
        return image

    def boot(self, image, machine):
        return subprocess.run(
            ["qemu-system-x86_64", "-accel", "tcg", "-machine", machine, "-cpu", "max", "-m", "256M", "-nodefaults",
             "-display", "none", "-no-reboot", "-serial", "stdio", "-cdrom", image,
             "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)

    def test_self_test_passes_on_each_kind_of_pc(self):
        image = self.make("--append", "selftest")
        for machine in ("pc", "q35"):
            booted = self.boot(image, machine)
            self.assertEqual(booted.returncode, SUCCESS, booted.stdout)
            self.assertIn(b"selftest: passed", booted.stdout)

    def test_init_of_an_archive_is_started(self):
        path = self.folder / "initrd.cpio"
        path.write_bytes(archive((("bin", 0o040755, b""), ("proc", 0o040755, b""), ("init", 0o100755, INIT),
                                  ("bin/busybox", 0o100755, Path("/bin/busybox").read_bytes()))))
        booted = self.boot(self.make("--initrd", path), "q35")
        self.assertRegex(booted.stdout, rb"init is process 1, of \d+ mounts")

    def test_what_is_missing_is_named(self):
        shown = subprocess.run([ROOT / "vellum", "iso", "--initrd", "/no/such/archive"], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual((shown.returncode, shown.stdout), (125, ""))
        self.assertIn("/no/such/archive: No such file", shown.stderr)


if __name__ == "__main__":
    unittest.main()
