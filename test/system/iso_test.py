"""The ISO image, booted by GRUB."""

import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT = 120
SUCCESS = 0x10 << 1 | 1  # what isa-debug-exit makes of the self-test's success


class Iso(unittest.TestCase):
    def test_self_test_passes_on_each_kind_of_pc(self):
        with tempfile.TemporaryDirectory() as folder:
            image = Path(folder) / "vellum.iso"
            made = subprocess.run([ROOT / "vellum", "iso", "-o", image, "--append", "selftest", "--timeout", "0"],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
            self.assertEqual((made.returncode, made.stdout), (0, f"{image}\n"), made.stderr)
            for machine in ("pc", "q35"):
                booted = subprocess.run(
                    ["qemu-system-x86_64", "-accel", "tcg", "-machine", machine, "-cpu", "max", "-m", "256M", "-nodefaults",
                     "-display", "none", "-no-reboot", "-serial", "stdio", "-cdrom", image,
                     "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"],
                    stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT)
                self.assertEqual(booted.returncode, SUCCESS, booted.stdout)
                self.assertIn(b"selftest: passed", booted.stdout)

    def test_what_is_missing_is_named(self):
        shown = subprocess.run([ROOT / "vellum", "iso", "--initrd", "/no/such/archive"], stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual((shown.returncode, shown.stdout), (125, ""))
        self.assertIn("/no/such/archive: No such file", shown.stderr)


if __name__ == "__main__":
    unittest.main()
