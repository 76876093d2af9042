#!/usr/bin/env python3
"""An interactive shell on the kernel, driven through a terminal as a person would: what is seen is what bash shows on Linux."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from system.run_test import TIMEOUT, Case

PROMPT = "ready> "
UP, LEFT, START_OF_LINE, RUB_OUT = "\x1b[A", "\x1b[D", "\x01", "\x7f"
PATIENCE = 100  # seconds
INTERRUPT, SUSPEND, END = "\x03", "\x1a", "\x04"


class Shell(Case):
    rows, columns = 24, 80

    def setUp(self):
        super().setUp()
        self.ours, theirs = pty.openpty()
        self.addCleanup(os.close, self.ours)
        self.resize(self.rows, self.columns)
        (self.folder / "inputrc").write_text("set enable-bracketed-paste off\n")

        def take_terminal():
            os.setsid()
            fcntl.ioctl(theirs, termios.TIOCSCTTY, 0)

        words = self.command("--env", f"PS1={PROMPT}", "--env", "LC_ALL=C.UTF-8", "--env", f"INPUTRC={self.folder}/inputrc",
                             "--env", "TERM=xterm", "--", "/usr/bin/bash", "--norc", "--noprofile", "-i")
        self.process = subprocess.Popen(words, cwd=self.folder, stdin=theirs, stdout=theirs, stderr=theirs, preexec_fn=take_terminal)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        os.close(theirs)
        self.unread = ""
        self.expect(PROMPT)

    def resize(self, rows, columns):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.ours, keys.encode())

    def expect(self, text):
        """What was shown up to and including `text`."""
        end = time.monotonic() + PATIENCE
        while text not in self.unread:
            ready = select.select([self.ours], [], [], max(0, end - time.monotonic()))[0]
            self.assertTrue(ready, f"no {text!r} after {self.unread!r}")
            self.unread += os.read(self.ours, 4096).decode(errors="replace")
        shown, _, self.unread = self.unread.partition(text)
        return shown + text

    def do(self, line, shown):
        """Types a line, after which `shown` stands before the next prompt."""
        self.type(line + "\r")
        self.expect(shown + PROMPT)

    def start(self, line):
        """Types a line that begins a foreground job, and waits until the job is there."""
        self.type(f"echo begun; {line}\r")
        self.expect("begun\r\n")
        time.sleep(2)

    def test_a_line_is_edited(self):
        self.type("echo xz" + LEFT + "y\r")
        self.expect("\r\nxyz\r\n" + PROMPT)
        self.type("cho abd" + RUB_OUT + "c" + START_OF_LINE + "e\r")
        self.expect("\r\nabc\r\n" + PROMPT)
        self.type(UP)
        self.expect("echo abc")
        self.type(UP)
        self.expect("xyz")
        self.type("w\r")
        self.expect("\r\nxyzw\r\n" + PROMPT)

    def test_tab_completes_names(self):
        self.do("mkdir unusual-name; echo inside > unusual-name/file", "\r\n")
        self.type("cat unus\t")
        self.expect("unusual-name/")
        self.type("\t")
        self.expect("file ")
        self.type("\r")
        self.expect("\r\ninside\r\n" + PROMPT)

    def test_interrupt_ends_the_job_and_not_the_shell(self):
        self.start("sleep 100")
        self.type(INTERRUPT)
        self.expect("^C\r\n" + PROMPT)
        self.do("echo $?", "\r\n130\r\n")
        self.type("half a line" + INTERRUPT)
        self.expect("^C\r\n" + PROMPT)
        self.do("echo $?", "\r\n130\r\n")

    def test_jobs_stop_and_go_on(self):
        self.start("sleep 100")
        self.type(SUSPEND)
        self.expect("^Z\r\n[1]+  Stopped ")
        self.expect(PROMPT)
        self.do("echo $?", "\r\n148\r\n")
        self.type("bg\r")
        self.expect("[1]+ sleep 100 &\r\n" + PROMPT)
        self.type("jobs\r")
        self.expect("[1]+  Running ")
        self.expect(PROMPT)
        self.type("fg\r")
        self.expect("fg\r\nsleep 100\r\n")
        time.sleep(1)
        self.type(INTERRUPT)
        self.expect("^C\r\n" + PROMPT)
        self.do("jobs", "jobs\r\n")
        self.start("cat | cat")
        self.type("one\r")
        self.expect("one\r\none\r\n")
        self.type(SUSPEND)
        self.expect("Stopped ")
        self.expect(PROMPT)
        self.type("fg\r")
        self.expect("cat | cat\r\n")
        self.type("two\r")
        self.expect("two\r\ntwo\r\n")
        self.type(END)
        self.expect(PROMPT)

    def test_background_jobs_do_not_read_the_terminal(self):
        self.type("cat &\r")
        self.expect(PROMPT)
        time.sleep(2)
        self.type("\r")
        self.expect("Stopped ")
        self.expect(PROMPT)
        self.type("kill -9 %1; sleep 1\r")
        self.expect("Killed ")
        self.expect(PROMPT)

    def test_the_size_of_the_window(self):
        self.do("stty size", "\r\n24 80\r\n")
        self.do("trap 'echo changed' WINCH", "\r\n")
        self.resize(40, 100)
        time.sleep(2)
        self.type("\r")
        self.expect("changed")
        self.expect(PROMPT)
        self.do("stty size; echo $LINES $COLUMNS", "\r\n40 100\r\n40 100\r\n")

    def test_settings_are_sane(self):
        self.type("stty -a\r")
        shown = self.expect("-extproc\r\n")
        for setting in ("intr = ^C;", "erase = ^?;", "kill = ^U;", "eof = ^D;", "susp = ^Z;", " icrnl ", " onlcr ", "\nisig ", " icanon ", " echo ",
                        " echoe ", "\nechoctl ", "speed 38400 baud; rows 24; columns 80;"):
            self.assertIn(setting, shown)
        self.expect(PROMPT)
        self.type("read -s -p 'word: ' word\r")
        self.expect("word: ")
        time.sleep(1)
        self.type("secret\r")
        self.assertNotIn("secret", self.expect(PROMPT))
        self.do("echo $word", "\r\nsecret\r\n")

    def test_programs_that_fill_the_screen(self):
        self.type("seq 1 200 | less\r")
        self.expect("\r\n23\r\n")
        self.expect(":")
        self.type(" ")
        self.expect("46\r\n")
        self.type("/150\r")
        self.expect("150")
        self.expect(":")
        self.type("q")
        self.expect(PROMPT)
        self.type("busybox vi notes\r")
        self.expect("notes")
        time.sleep(1)
        self.type("ihello" + RUB_OUT + "o there\x1b")
        self.expect("there")
        self.type(":wq\r")
        self.expect(PROMPT)
        self.do("cat notes", "\r\nhello there\r\n")

    def test_the_end_of_input_ends_the_shell_with_the_last_status(self):
        self.do("(exit 7)", "\r\n")
        self.type(END)
        self.expect("exit")
        self.assertEqual(self.process.wait(TIMEOUT), 7)


if __name__ == "__main__":
    unittest.main(verbosity=2)
