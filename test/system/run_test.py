"""Programs on the kernel, run as a user runs them: `./vellum run` against what Linux does with the same program."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FRONT_DOOR = ROOT / "vellum"
TIMEOUT = 300

FAULT = """
struct node { char name[42]; long value; };
__attribute__((noinline)) void set(struct node *n) { n->value = 7; }
int main(int count, char **words) { set(count == 1 ? 0 : (struct node *)words); return 0; }
"""
HUNGRY = """
#include <stdlib.h>
#include <string.h>
int main(void) { for (;;) { char *page = malloc(1 << 20); if (!page) return 1; memset(page, 1, 1 << 20); } }
"""
SPARSE = """
#include <sys/mman.h>
int main(void) {
  char *at = mmap(0, 1UL << 40, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  for (unsigned long i = 0; i < 1UL << 40; i += 2UL << 20) at[i] = 1;
}
"""
PROMISED = """
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int error_of(unsigned long size, int flags) {
  void *at = mmap(0, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  return at == MAP_FAILED ? errno : 0;
}
int main(void) {
  printf("%d", error_of(60 << 20, MAP_PRIVATE) == 0);
  printf("%d", error_of(60 << 20, MAP_PRIVATE) == ENOMEM);
  printf("%d", error_of(60 << 20, MAP_PRIVATE | MAP_NORESERVE) == ENOMEM);
  printf("%d", error_of(60 << 20, MAP_SHARED) == ENOMEM);
  printf("%d", sbrk(60 << 20) == (void *)-1);
  printf("%d", fork() == -1 && errno == ENOMEM);
  printf("%d", error_of(30 << 20, MAP_PRIVATE) == 0);
}
"""
HELLO = """
#include <stdio.h>
int main(int count, char **words) { printf("%d %s %s\\n", count, words[0], words[1]); return 42; }
"""


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()

    def command(self, *words):
        return [str(FRONT_DOOR), "run", *map(str, words)]

    def run_words(self, *words, **options):
        streams = {} if "input" in options else {"stdin": subprocess.DEVNULL}
        return subprocess.run(self.command(*words), **{"cwd": self.folder, "capture_output": True, "timeout": TIMEOUT} | streams | options)

    def start(self, *words, **streams):
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        return subprocess.Popen(self.command(*words), cwd=self.folder, **pipes)

    def same_as_on_linux(self, *words, **options):
        streams = {} if "input" in options else {"stdin": subprocess.DEVNULL}
        linux = subprocess.run(words, cwd=self.folder, capture_output=True, timeout=TIMEOUT, **streams, **options)
        vellum = self.run_words("--", *words, **options)
        self.assertEqual((vellum.returncode, vellum.stdout, vellum.stderr), (linux.returncode, linux.stdout, linux.stderr), words)
        return vellum

    def compiled(self, source, *options, compiler="clang-19", name="demo"):
        (self.folder / f"{name}.c").write_text(source)
        subprocess.run([compiler, "-static", *options, "-o", self.folder / name, self.folder / f"{name}.c"], check=True)
        return self.folder / name

    def shell(self, script):
        return self.run_words("--", "busybox", "sh", "-c", script)


class Programs(Case):
    def test_shell_pipeline(self):
        shown = self.same_as_on_linux("busybox", "sh", "-c", "for i in 1 2 3; do echo $i; done | sort -r")
        self.assertEqual(shown.stdout, b"3\n2\n1\n")

    def test_applets_on_real_files(self):
        for words in (("sha256sum", "/bin/busybox"), ("wc", "/etc/passwd"), ("sort", "/etc/group"), ("head", "-n", "3", "/etc/services"),
                      ("grep", "-c", "root", "/etc/passwd"), ("ls", "/usr"), ("stat", "-c", "%s %a %h", "/bin/busybox"),
                      ("awk", "-F:", "{n += $3} END {print n}", "/etc/passwd"), ("readlink", "-f", "/bin/sh"),
                      ("find", "/etc/apt", "-type", "f"), ("gzip", "-c", "/etc/services")):
            self.same_as_on_linux("busybox", *words)

    def test_bash(self):
        self.same_as_on_linux("bash-static", "-c", 'a=(1 2 3); echo "${a[@]/2/x}"; (exit 3); echo $?; printf "%s\\n" {a..e} | tac')

    def test_programs_of_both_c_libraries(self):
        for compiler, options in (("clang-19", ()), ("clang-19", ("-static-pie",)), ("musl-gcc", ())):
            program = self.compiled(HELLO, *options, compiler=compiler)
            self.same_as_on_linux(program, "one two")
            self.same_as_on_linux("./demo", "here")

    def test_other_layout(self):
        shown = self.run_words("--user", "linux", "busybox", "grep", "stack", "/proc/self/maps")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertLess(int(shown.stdout.split(b"-")[0], 16), 1 << 47)
        shown = self.run_words("busybox", "grep", "stack", "/proc/self/maps")
        self.assertGreater(int(shown.stdout.split(b"-")[0], 16), 1 << 63)

    def test_it_believes_in_linux(self):
        self.assertRegex(self.run_words("busybox", "uname", "-sr").stdout, rb"^Linux 6\.1")


class Surroundings(Case):
    def test_directory_and_environment(self):
        (self.folder / "file").write_text("contents")
        shown = self.run_words("--env", "WORD=a b", "--", "busybox", "sh", "-c", 'pwd; cat file; echo "$WORD $HOME"')
        self.assertEqual(shown.stdout.decode(), f"{self.folder}\ncontentsa b {os.environ['HOME']}\n")

    def test_writes_stay_in_memory(self):
        (self.folder / "old").write_text("old")
        shown = self.shell("echo new > new; echo more >> old; mkdir -p a/b; rm -f gone; cat new old")
        self.assertEqual(shown.stdout, b"new\noldmore\n")
        self.assertEqual([path.name for path in self.folder.iterdir()], ["old"])
        self.assertEqual((self.folder / "old").read_text(), "old")

    def test_bind(self):
        (self.folder / "file").write_text("shown")
        shown = self.run_words("--bind", f"{self.folder}:/other/place", "busybox", "cat", "/other/place/file")
        self.assertEqual((shown.returncode, shown.stdout), (0, b"shown"))

    def test_files_of_any_bytes_arrive_exactly(self):
        data = os.urandom(1 << 20)
        (self.folder / "data").write_bytes(data)
        shown = self.run_words("busybox", "cat", "data")
        self.assertEqual((shown.returncode, shown.stderr, shown.stdout == data), (0, b"", True))

    def test_input_of_any_bytes_arrives_exactly(self):
        data = os.urandom(1 << 20)
        shown = self.run_words("busybox", "cat", input=data)
        self.assertEqual((shown.returncode, shown.stderr, shown.stdout == data), (0, b"", True))

    def test_slow_reader_gets_everything(self):
        data = os.urandom(8 << 20)
        (self.folder / "data").write_bytes(data)
        process = self.start("busybox", "cat", "data")
        time.sleep(2)
        out, err = process.communicate(timeout=TIMEOUT)
        self.assertEqual((process.returncode, err, out == data), (0, b"", True))

    def test_input_that_ends_at_once(self):
        self.assertEqual(self.run_words("busybox", "wc", "-c", input=b"").stdout, b"0\n")
        self.assertEqual(self.run_words("busybox", "wc", "-c").stdout, b"0\n")

    def test_stderr_is_apart(self):
        shown = self.shell("echo out; echo err >&2")
        self.assertEqual((shown.stdout, shown.stderr), (b"out\n", b"err\n"))


class Ends(Case):
    def test_status(self):
        for status in (0, 1, 42, 255):
            self.assertEqual(self.shell(f"exit {status}").returncode, status)

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGABRT, signal.SIGUSR1):
            self.assertEqual(self.shell(f"kill -{int(number)} $$").returncode, 128 + number)

    def test_what_cannot_be_run(self):
        self.assertEqual(self.run_words("no-such-program").returncode, 127)
        self.assertEqual(self.run_words("/etc").returncode, 126)
        (self.folder / "text").write_text("no program")
        self.assertEqual(self.run_words("./text").returncode, 126)
        (self.folder / "text").chmod(0o755)
        self.assertEqual(self.run_words("./text").returncode, 126)

    def test_script(self):
        (self.folder / "script").write_text(f"#!{self.folder}/shell -e\necho \"$0 $1\"\n")
        (self.folder / "script").chmod(0o755)
        (self.folder / "shell").symlink_to("/bin/bash-static")
        self.same_as_on_linux("./script", "word")

    def test_interrupt_and_termination(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start("busybox", "sh", "-c", "echo begun; exec busybox sleep 100")
            self.assertEqual(process.stdout.readline(), b"begun\n")
            process.send_signal(number)
            process.communicate(timeout=TIMEOUT)
            self.assertEqual(process.returncode, 128 + number)

    def test_trap_takes_a_signal(self):
        process = self.start("busybox", "sh", "-c", "trap 'echo caught; exit 5' TERM; echo begun; while :; do :; done")
        self.assertEqual(process.stdout.readline(), b"begun\n")
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=TIMEOUT)
        self.assertEqual((process.returncode, out), (5, b"caught\n"))

    def test_time_limit(self):
        shown = self.run_words("--time", "1.5", "busybox", "sleep", "100")
        self.assertEqual((shown.returncode, shown.stdout), (124, b""))

    def test_reader_that_goes_away(self):
        process = self.start("busybox", "yes")
        self.assertEqual(process.stdout.readline(), b"y\n")
        process.stdout.close()
        process.stderr.read()
        process.stderr.close()
        self.assertEqual(process.wait(TIMEOUT), 128 + signal.SIGPIPE)


class Explained(Case):
    def test_fault_in_words_and_in_the_report(self):
        self.compiled(FAULT, "-g", "-O1")
        shown = self.run_words("--report", "report.json", "./demo")
        self.assertEqual((shown.returncode, shown.stdout), (139, b""))
        text = shown.stderr.decode()
        for part in ("demo (pid ", "SIGSEGV (SEGV_MAPERR)", "of 8 bytes to 0x30", "  set  (demo.c:3)", "A null pointer plus 0x30", "segfault at 30 ip"):
            self.assertIn(part, text)
        report = json.loads((self.folder / "report.json").read_text())
        self.assertEqual((report["schema"], report["status"], report["verdict"]), ("vellum.report/1", 139, {"reason": "signal", "signal": 11}))
        self.assertEqual((report["fatal_faults"][0]["verdict"], report["fatal_faults"][0]["address"]), ("no_mapping", "0x30"))

    def test_shell_goes_on_after_the_fault_of_a_child(self):
        self.compiled(FAULT)
        shown = self.shell("./demo; echo $?")
        self.assertEqual((shown.returncode, shown.stdout), (0, b"139\n"))
        self.assertIn(b"demo (pid ", shown.stderr)

    def test_out_of_memory(self):
        self.compiled(HUNGRY, "-O0")
        shown = self.run_words("--memory", "64M", "--report", "report.json", "./demo")
        self.assertEqual((shown.returncode, shown.stdout), (137, b""))
        self.assertIn("out of memory", shown.stderr.decode())
        self.assertEqual(json.loads((self.folder / "report.json").read_text())["verdict"]["reason"], "out_of_memory")

    def test_tables_count_for_who_touches_sparsely(self):
        self.compiled(SPARSE)
        shown = self.run_words("--memory", "64M", "--report", "report.json", "./demo")
        self.assertEqual(shown.returncode, 137)
        self.assertRegex(shown.stderr.decode(), r"demo \(pid 1\): [\d.]+ MiB resident, [\d.]+ MiB of tables")
        (verdict,) = json.loads((self.folder / "report.json").read_text())["fatal_faults"]
        (holder,) = verdict["holders"]
        self.assertEqual((holder["pid"], holder["command"], verdict["living"]), (1, "demo", 1))
        self.assertGreater(holder["tables"], 20 << 20)
        self.assertEqual(holder["tables"] + holder["resident"], verdict["memory"]["resident"])
        self.assertGreaterEqual(verdict["machine"]["tables"], holder["tables"])
        used = sum(verdict["machine"][kind] for kind in ("anonymous", "shared", "cache", "tables", "kernel", "free"))
        self.assertEqual(used, verdict["memory"]["limit"])

    def test_who_held_what(self):
        self.compiled(HUNGRY, "-O0")
        shown = self.run_words("--memory", "96M", "--report", "report.json", "--", "busybox", "sh", "-c",
                               "dd if=/dev/zero of=/dev/shm/kept bs=1M count=20 2>/dev/null; ./demo; echo $?")
        self.assertEqual((shown.returncode, shown.stdout), (0, b"137\n"), shown.stderr)
        (verdict,) = json.loads((self.folder / "report.json").read_text())["fatal_faults"]
        self.assertEqual([holder["command"] for holder in verdict["holders"]], ["demo", "busybox"])
        self.assertGreater(verdict["machine"]["shared"], 19 << 20)

    def test_reserved_memory_is_limited(self):
        self.compiled(PROMISED)
        shown = self.run_words("--vmem", "100M", "--report", "report.json", "./demo")
        self.assertEqual((shown.returncode, shown.stdout), (0, b"1111111"), shown.stderr)
        self.assertEqual(shown.stderr.decode().count("over the budget of --vmem"), 1)
        report = json.loads((self.folder / "report.json").read_text())
        self.assertEqual((report["vmem"], report["verdict"], report["fatal_faults"]), (100 << 20, {"reason": "exited"}, []))
        (refusal,) = report["refusals"]
        self.assertEqual((refusal["verdict"], refusal["memory"]), ("over_budget", {"limit": 100 << 20, "refused": 60 << 20}))
        self.assertGreater(refusal["holders"][0]["reserved"], 60 << 20)

    def test_report_of_a_run_that_went_well(self):
        self.assertEqual(self.run_words("--report", "report.json", "busybox", "true").returncode, 0)
        report = json.loads((self.folder / "report.json").read_text())
        self.assertEqual(report["verdict"], {"reason": "exited"})
        self.assertGreater(report["peak_resident"], 0)
        self.assertLess(report["peak_resident"], 16 << 20)
        for kind in ("minor", "zero_filled", "object_mapped"):
            self.assertGreater(report["faults"][kind], 0)
        self.assertGreater(report["tables"], 0)

    def test_several_processors(self):
        words = "nproc; grep -c ^processor /proc/cpuinfo; grep -c '^cpu[0-9]' /proc/stat; for i in 1 2 3; do (echo x | wc -c) & done; wait"
        shown = self.run_words("--cpus", "3", "--report", "report.json", "--", "busybox", "sh", "-c", words)
        self.assertEqual((shown.returncode, shown.stdout), (0, b"3\n3\n3\n2\n2\n2\n"))
        report = json.loads((self.folder / "report.json").read_text())
        self.assertEqual(report["cpus"], 3)
        self.assertEqual(report["shootdowns"], 0)  # each process runs on one of them at a time

    def test_report_counts_copies_between_relatives(self):
        self.shell("true")
        shown = self.run_words("--report", "report.json", "busybox", "sh", "-c", "for i in 1 2 3; do (true); done")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        report = json.loads((self.folder / "report.json").read_text())
        self.assertGreater(report["faults"]["copied"], 0)
        self.assertEqual(report["processes"], 4)

    def test_strace(self):
        shown = self.run_words("--strace", "busybox", "true")
        self.assertIn(b"exit_group(0)", shown.stderr)


class OnTerminal(Case):
    def setUp(self):
        super().setUp()
        self.ours, self.theirs = pty.openpty()
        self.addCleanup(os.close, self.ours)
        self.addCleanup(os.close, self.theirs)
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))

    def begin(self, *words):
        def take_terminal():
            os.setsid()
            fcntl.ioctl(self.theirs, termios.TIOCSCTTY, 0)

        return subprocess.Popen(self.command(*words), cwd=self.folder, stdin=self.theirs, stdout=self.theirs,
                                stderr=self.theirs, preexec_fn=take_terminal)

    def read_until(self, text):
        seen = b""
        while text not in seen:
            ready, _, _ = select.select([self.ours], [], [], TIMEOUT)
            self.assertTrue(ready, seen)
            seen += os.read(self.ours, 1000)
        return seen

    def test_shell_at_a_terminal(self):
        process = self.begin("--env", "PS1=ready> ", "busybox", "sh")
        self.read_until(b"ready> ")
        os.write(self.ours, b"echo $((6 * 7))\r")
        self.assertIn(b"echo $((6 * 7))\r\n42\r\n", self.read_until(b"42\r\nready> "))
        os.write(self.ours, b"busybox stty size\r")
        self.read_until(b"33 99\r\nready> ")
        os.write(self.ours, b"busybox sleep 100\r")
        time.sleep(1)
        os.write(self.ours, b"\x03")
        self.read_until(b"ready> ")
        os.write(self.ours, b"echo $?\r")
        self.read_until(b"130\r\nready> ")
        os.write(self.ours, b"exit 7\r")
        self.assertEqual(process.wait(TIMEOUT), 7)

    def test_interrupt_key_ends_a_program(self):
        process = self.begin("busybox", "sh", "-c", "echo begun; exec busybox sleep 100")
        self.read_until(b"begun")
        os.write(self.ours, b"\x03")
        self.assertEqual(process.wait(TIMEOUT), 130)

    def test_end_of_input_key(self):
        process = self.begin("busybox", "cat")
        os.write(self.ours, b"line\r")
        self.read_until(b"line\r\nline\r\n")
        os.write(self.ours, b"\x04")
        self.assertEqual(process.wait(TIMEOUT), 0)


if __name__ == "__main__":
    unittest.main()
