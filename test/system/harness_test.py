#!/usr/bin/env python3
"""Tests of the harness itself: archives against the cpio program's reading of them, and Linux booted with commands."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import cpio
import guest

PROBE = r"""
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <unistd.h>
int main(int count, char** words) {
  if (count > 1 && std::strcmp(words[1], "abort") == 0) std::abort();
  std::printf("%d words, process %s\n", count, getpid() == 1 ? "1" : "another");
  return count;
}
"""


class Archives(unittest.TestCase):
    def test_parents_come_first(self):
        listed = cpio.archive([cpio.file("a/b/c", b"text")])
        self.assertLess(listed.index(b"a\0"), listed.index(b"a/b\0"))
        self.assertLess(listed.index(b"a/b\0"), listed.index(b"a/b/c\0"))

    def test_twice_the_same_path_is_refused(self):
        with self.assertRaises(ValueError):
            cpio.archive([cpio.file("a/b", b""), cpio.directory("a")])

    @unittest.skipUnless(shutil.which("cpio"), "no cpio here")
    def test_cpio_reads_it(self):
        entries = [cpio.file("etc/motd", b"hello\n", 0o600), cpio.symlink("motd", "etc/motd"), cpio.node("null", "c", 1, 3)]
        listed = subprocess.run(["cpio", "-itv", "--quiet"], input=cpio.archive(entries), capture_output=True, check=True)
        lines = listed.stdout.decode().splitlines()
        self.assertEqual([line[:10] for line in lines], ["drwxr-xr-x", "-rw-------", "lrwxrwxrwx", "crw-------"])
        self.assertTrue(lines[2].endswith("motd -> etc/motd"))
        self.assertIn("1,   3", lines[3])


class Booting(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.cpp"
            source.write_text(PROBE)
            cls.probe = guest.build(source)

    def test_linux_runs_commands(self):
        result = guest.run(guest.linux(), [["/probe", "a"], ["/nowhere"], ["/probe", "abort"], ["/bin/probe"]],
                           {"/probe": self.probe, "/bin/probe": self.probe})
        self.assertEqual([command.status for command in result.commands], [2, 127, 134, 1], result.output)
        self.assertEqual(result.commands[0].output, "2 words, process another\n")
        self.assertEqual(result.status, 0)

    def test_linux_runs_a_program_as_init(self):
        result = guest.boot(guest.linux(), [*guest.nodes(), cpio.file("init", self.probe.read_bytes(), 0o755)])
        self.assertIn("1 words, process 1\n", result.output)
        self.assertIn("Attempted to kill init", result.output)
        self.assertFalse(result.timed_out)

    def test_stops_at_a_line(self):
        result = guest.run(guest.linux(), [["/probe"]], {"/probe": self.probe}, until="words")
        self.assertIn("words", result.output)

    def test_gives_up_in_time(self):
        result = guest.run(guest.linux(), [["/probe"]], {"/probe": self.probe}, timeout=0.5)
        self.assertTrue(result.timed_out)
        self.assertIsNone(result.commands[0].status)


if __name__ == "__main__":
    unittest.main()
