"""The host's end of `vellum run` against a kernel that is played: run_test.py PROGRAM."""

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
import textwrap
import time
import unittest
from pathlib import Path

PROGRAM = os.path.abspath(sys.argv.pop(1))
MACHINE = Path(__file__).resolve().parent / "run" / "fake_machine.py"
TIMEOUT = 180


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()

    def script(self, actions, name="play"):
        """A program, which is what the played kernel does."""
        path = self.folder / name
        path.write_text(textwrap.dedent(actions))
        path.chmod(0o755)
        return str(path)

    def command(self, *words):
        return [PROGRAM, "run", "--kernel", "/dev/null", "--engine", "tcg", *map(str, words)]

    def environment(self, **variables):
        return os.environ | {"VELLUM_QEMU": str(MACHINE)} | variables

    def start(self, *words, env=None, **streams):
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | streams
        return subprocess.Popen(self.command(*words), env=env or self.environment(), **pipes)

    def run_words(self, *words, input=None, env=None, **options):
        streams = {"stdin": subprocess.DEVNULL} if input is None else {"input": input}
        return subprocess.run(self.command(*words), env=env or self.environment(), capture_output=True,
                              timeout=TIMEOUT, **streams, **options)

    def play(self, actions, *options, arguments=(), **more):
        return self.run_words(*options, "--", self.script(actions), *arguments, **more)

    def finish(self, process):
        out, err = process.communicate(timeout=TIMEOUT)
        return process.returncode, out, err.decode()


class Finding(Case):
    def test_what_is_not_there_or_cannot_be_executed(self):
        (self.folder / "text").write_text("no program")
        for status, name, reason in ((127, "no-such-program", "command not found"), (127, "./no-such", "No such file"),
                                     (126, self.folder, "Is a directory"), (126, self.folder / "text", "Permission denied"),
                                     (127, self.folder / "text" / "x", "Not a directory"), (127, "", "No such file")):
            shown = self.run_words(name)
            self.assertEqual((shown.returncode, shown.stdout), (status, b""), name)
            self.assertIn(reason, shown.stderr.decode())

    def test_found_in_the_path_past_what_is_not_executable(self):
        (self.folder / "a").mkdir()
        (self.folder / "a" / "play").write_text("")
        path = self.script("peer.output(peer.all('argument')[0].encode()); peer.output(peer.one('name').encode()); peer.exit(0)")
        shown = self.run_words("play", env=self.environment(PATH=f"{self.folder}/a:{self.folder}:{os.environ['PATH']}"))
        self.assertEqual((shown.returncode, shown.stdout.decode()), (0, path + "play"))
        shown = self.run_words("play", env=self.environment(PATH=f"{self.folder}/a"))
        self.assertEqual(shown.returncode, 126)

    def test_found_where_a_bind_shows_it(self):
        self.script("peer.exit(3 << 8)")
        shown = self.run_words("--bind", f"{self.folder}:/somewhere", "/somewhere/nothing")
        self.assertEqual(shown.returncode, 127)
        shown = self.run_words("--bind", f"{self.folder}:/somewhere", "/somewhere/play")
        self.assertNotEqual(shown.returncode, 127)


class Start(Case):
    SHOW = "import json; peer.output(json.dumps(peer.start).encode()); peer.exit(0)"

    def started(self, *options, arguments=(), **more):
        shown = self.play(self.SHOW, *options, arguments=arguments, **more)
        self.assertEqual((shown.returncode, shown.stderr), (0, b""))
        return json.loads(shown.stdout)

    def values(self, start, key):
        return [value for name, value in start if name == key]

    def test_arguments_arrive_as_they_are(self):
        arguments = ["--strace", "--", "", "a b", "x=y", "näh", "\n"]
        start = self.started(arguments=arguments)
        self.assertEqual(self.values(start, "argument")[1:], arguments)
        self.assertEqual(self.values(start, "strace"), ["0"])

    def test_environment(self):
        env = self.environment(PATH="/p:/bin:/usr/bin", HOME="/h", SECRET="s", PASSED="1", LANG="C")
        start = self.started("--env", "A=b=c", "--env", "PASSED", "--env=HOME=/other", "--env", "UNKNOWN", env=env)
        environment = dict(value.split("=", 1) for value in self.values(start, "environment"))
        self.assertEqual((environment["A"], environment["PASSED"], environment["HOME"], environment["PATH"]),
                         ("b=c", "1", "/other", "/p:/bin:/usr/bin"))
        self.assertNotIn("SECRET", environment)
        self.assertNotIn("UNKNOWN", environment)

    def test_what_else_is_told(self):
        start = dict(self.started("--user", "linux", "--strace", "--bind", f"{self.folder}:/data/", cwd=self.folder))
        self.assertEqual((start["directory"], start["user"], start["strace"], start["bind"]),
                         (str(self.folder), "linux", "1", "bind0:/data"))
        self.assertEqual((start["stdin"], start["stdout"], start["stderr"]), ("null", "pipe", "pipe"))
        self.assertEqual((start["uid"], start["gid"]), (str(os.getuid()), str(os.getgid())))
        self.assertLess(abs(int(start["time"]) / 1e9 - time.time()), TIMEOUT)
        self.assertEqual(dict(self.started())["user"], "illumos")

    def test_what_is_longer_than_a_frame(self):
        arguments = ["x" * 100_000, "y" * 60_000, "end"]
        self.assertEqual(self.values(self.started(arguments=arguments), "argument")[1:], arguments)

    def test_qemu_gets_memory_folders_and_kernel(self):
        path = self.folder / "with,comma"
        path.mkdir()
        shown = self.play("peer.output('\\n'.join(peer.words).encode()); peer.exit(0)", "--memory", "100M", "--cpus", "3",
                          "--bind", path)
        words = shown.stdout.decode().split("\n")
        self.assertEqual(words[words.index("-m") + 1], f"{100 << 20}B")
        self.assertEqual(words[words.index("-smp") + 1], "3")
        self.assertEqual(words[words.index("-append") + 1], "run")
        self.assertTrue(any(f"path={self.folder}/with,,comma," in word and "readonly=on" in word for word in words))


class Streams(Case):
    def test_stdout_and_stderr_are_exact(self):
        shown = self.play("""
            import random
            data = random.Random(1).randbytes(1 << 20)
            for start in range(0, len(data), 10007):
                peer.send(OUTPUT, data[start:start + 10007])
                peer.send(ERROR_OUTPUT, data[start:start + 3])
            peer.exit(0)""")
        import random
        data = random.Random(1).randbytes(1 << 20)
        self.assertEqual(shown.returncode, 0)
        self.assertEqual(shown.stdout, data)
        self.assertEqual(shown.stderr, b"".join(data[start:start + 3] for start in range(0, len(data), 10007)))

    def test_both_to_one_place_stay_in_order(self):
        process = self.start(self.script("""
            for i in range(1000):
                peer.send(OUTPUT if i % 2 else ERROR_OUTPUT, b'%d\\n' % i)
            peer.exit(0)"""), stderr=subprocess.STDOUT)
        out, _ = process.communicate(timeout=TIMEOUT)
        self.assertEqual(out.split(), [b"%d" % i for i in range(1000)])

    def test_input_goes_as_far_as_the_credit(self):
        data = os.urandom(300_000)
        shown = self.play("""
            received = b''
            credit = 0
            while True:
                if credit == 0:
                    credit = 12345
                    peer.number(INPUT_CREDIT, credit)
                kind, content = peer.receive()
                if kind == INPUT_END:
                    break
                assert kind == INPUT and 0 < len(content) <= credit
                credit -= len(content)
                received += content
            peer.output(received)
            peer.exit(0)""", input=data)
        self.assertEqual((shown.returncode, shown.stdout), (0, data))

    def test_input_that_nobody_wants_stays_for_the_next(self):
        read, write = os.pipe()
        os.write(write, b"0123456789")
        os.close(write)
        process = self.start(self.script("peer.number(INPUT_CREDIT, 4); peer.output(peer.receive()[1]); peer.exit(0)"), stdin=read)
        self.assertEqual(self.finish(process), (0, b"0123", ""))
        self.assertEqual(os.read(read, 100), b"456789")
        os.close(read)

    def test_no_input_ends_at_once(self):
        shown = self.play("assert peer.receive() == (INPUT_END, b''); peer.exit(0)")
        self.assertEqual(shown.returncode, 0)

    def test_slow_reader_holds_the_kernel_back(self):
        process = self.start(self.script("""
            for i in range(64):
                peer.output(bytes([i]) * 65536)
            peer.exit(7 << 8)"""))
        time.sleep(0.5)
        status, out, _ = self.finish(process)
        self.assertEqual((status, len(out)), (7, 64 * 65536))

    def test_closed_output_is_told(self):
        read, write = os.pipe()
        process = self.start(self.script("""
            peer.output(b'x')
            closed = peer.receive_number(OUTPUT_CLOSED)
            assert closed == (1,), closed
            peer.output(b'y')
            peer.exit(13)"""), stdout=write)
        os.close(read)
        os.close(write)
        _, err = process.communicate(timeout=TIMEOUT)
        self.assertEqual((process.returncode, err), (128 + signal.SIGPIPE, b""))

    def test_endless_output_that_nobody_reads_is_ended(self):
        read, write = os.pipe()
        process = self.start(self.script("while True: peer.output(b'x' * 65536)"), stdout=write)
        os.close(read)
        os.close(write)
        process.communicate(timeout=TIMEOUT)
        self.assertEqual(process.returncode, 128 + signal.SIGPIPE)

    def test_closed_standard_streams(self):
        shown = subprocess.run(["sh", "-c", '"$@" <&- >&-', "sh", *self.command(self.script(Start.SHOW))],
                               env=self.environment(), capture_output=True, timeout=TIMEOUT)
        self.assertEqual((shown.returncode, shown.stdout, shown.stderr), (0, b"", b""))


class Ends(Case):
    def test_status_of_the_program(self):
        for wait_status, status in ((0, 0), (5 << 8, 5), (255 << 8, 255), (11, 139), (9, 137), (6 | 128, 134)):
            self.assertEqual(self.play(f"peer.exit({wait_status})").returncode, status)

    def test_panic_shows_the_log(self):
        shown = self.play("peer.say('boot\\r\\npanic: no more\\r\\n'); time.sleep(60)")
        self.assertEqual((shown.returncode, shown.stdout), (125, b""))
        self.assertRegex(shown.stderr.decode(), r"kernel: boot\nkernel: panic: no more\nvellum: the kernel failed")

    def test_death_of_qemu_shows_what_it_said(self):
        shown = self.play("print('qemu: no luck', flush=True); sys.exit(1)")
        self.assertEqual(shown.returncode, 125)
        self.assertRegex(shown.stderr.decode(), r"kernel: qemu: no luck\nvellum: QEMU ended with exit status 1")

    def test_no_qemu(self):
        shown = self.play("", env=self.environment(VELLUM_QEMU="/no/such/qemu"))
        self.assertEqual(shown.returncode, 125)
        self.assertIn("/no/such/qemu: No such file", shown.stderr.decode())

    def test_no_kernel(self):
        shown = subprocess.run([PROGRAM, "run", "--kernel", "/no/such/kernel", "true"], capture_output=True, text=True)
        self.assertEqual(shown.returncode, 125)
        self.assertIn("there is no kernel image /no/such/kernel", shown.stderr)

    def test_what_is_no_frame(self):
        for bad in ("b'\\xff' * 8", "bytes([0, 0, 0, 0, 99, 0, 0, 0])"):
            shown = self.play(f"peer.greet(); peer.channel.sendall({bad}); time.sleep(60)")
            self.assertEqual(shown.returncode, 125)
            self.assertIn("the kernel sent", shown.stderr.decode())

    def test_output_before_a_death_is_kept(self):
        shown = self.play("peer.output(b'last words'); sys.exit(1)")
        self.assertEqual((shown.returncode, shown.stdout), (125, b"last words"))

    def test_kernel_log_and_trace(self):
        shown = self.play("peer.say('boot\\n'); time.sleep(.2); peer.send(LOG, b'call'); peer.exit(0)", "--kernel-log")
        self.assertEqual(shown.stderr, b"kernel: boot\nkernel: call\n")
        shown = self.play("peer.send(TRACE, b'brk(0) = 0'); peer.exit(0)", "--strace")
        self.assertEqual(shown.stderr, b"brk(0) = 0\n")
        shown = self.play("peer.say('boot\\n'); peer.send(LOG, b'call'); peer.exit(0)")
        self.assertEqual(shown.stderr, b"")


class Time(Case):
    def test_limit_first_kills_the_program(self):
        shown = self.play("assert peer.receive_number(SIGNAL) == (9,); peer.exit(9)", "--time", "0.3")
        self.assertEqual((shown.returncode, shown.stderr), (124, b"vellum: still running after 0.3 s\n"))

    def test_limit_then_kills_the_kernel(self):
        start = time.monotonic()
        self.assertEqual(self.play("time.sleep(60)", "--time", "0.3").returncode, 124)
        self.assertLess(time.monotonic() - start, 20)

    def test_program_in_time(self):
        self.assertEqual(self.play("peer.exit(0)", "--time", "50").returncode, 0)


class Versions(Case):
    def test_another_protocol_is_told(self):
        shown = self.play("peer.version = 7; peer.exit(0)")
        self.assertEqual(shown.returncode, 125)
        self.assertRegex(shown.stderr.decode(), r"not built together: .* of the image is version 7, that of the command version 1\n")

    def test_a_protocol_without_a_version_is_told(self):
        shown = self.play("peer.version = None; peer.exit(0)")
        self.assertEqual(shown.returncode, 125)
        self.assertIn("not built together", shown.stderr.decode())

    def test_the_kernel_is_told(self):
        self.assertEqual(self.play("peer.output(peer.one('protocol').encode()); peer.exit(0)").stdout, b"1")


class LookedInto(Case):
    """Questions, answered by a kernel that is played."""

    ANSWER = """
        import json, struct
        peer.output(b'!')
        while True:
            kind, content = peer.receive()
            if kind == INSPECT:
                number, what, process, zero, address = struct.unpack('<IIiIQ', content)
                peer.send(ANSWER_PART, struct.pack('<II', number, 0) + b'00400000-00401000 r--p 00000000 00:05 7 ')
                peer.send(ANSWER, struct.pack('<II', number, 0 if process < 50 else 3) + b' /bin/%d\\n' % process)
            elif kind == GO_ON:
                peer.exit(4 << 8)
    """

    def environment(self, **variables):
        return super().environment(XDG_RUNTIME_DIR=str(self.folder)) | variables

    def begin(self, *options, before="", actions=None):
        process = self.start(*options, "--", self.script(textwrap.dedent(before) + textwrap.dedent(actions or self.ANSWER)))
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        self.assertEqual(process.stdout.read(1), b"!")
        return process

    def ask(self, *words, status=0):
        shown = subprocess.run([PROGRAM, *map(str, words)], env=self.environment(), capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual(shown.returncode, status, shown.stderr)
        return shown.stdout if status == 0 else shown.stderr

    def test_answers_and_errors(self):
        self.begin("--name", "one")
        self.assertEqual(self.ask("maps", "--process", 7), "00400000-00401000 r--p 00000000 00:05 7  /bin/7\n")
        regions = json.loads(self.ask("maps", "--json", "--run", "one"))["regions"]
        self.assertEqual((regions[0]["start"], regions[0]["rights"], regions[0]["name"]), ("0x400000", "r--", "/bin/-1"))
        self.assertEqual(self.ask("maps", "--process", 55, status=1), "vellum: there is no process 55\n")
        self.assertIn("the kernel's answer is no JSON", self.ask("walk", "0x1000", status=1))
        self.assertIn("'x' is no address", self.ask("walk", "x", status=2))
        self.begin("--name", "two")
        self.assertRegex(self.ask("maps", status=1), r"say which run with --run: there are \d+ \(one\), \d+ \(two\)|\(two\), \d+ \(one\)")
        self.assertIn("/bin/8", self.ask("maps", "--run", "two", "--process", 8))

    def test_only_its_user_may_look(self):
        self.begin()
        folder = self.folder / "vellum"
        self.assertEqual(folder.stat().st_mode & 0o777, 0o700)
        folder.chmod(0o755)
        shown = self.run_words("--hold", self.script("peer.exit(0)", "other"), env=self.environment())
        self.assertEqual(shown.returncode, 125)
        self.assertIn("only its user may look into", shown.stderr.decode())

    def test_what_a_killed_run_left_is_no_run(self):
        process = self.begin()
        process.kill()
        process.wait()
        self.assertEqual(len(list((self.folder / "vellum").iterdir())), 1)
        self.assertIn("nothing runs", self.ask("maps", status=1))
        self.assertEqual(list((self.folder / "vellum").iterdir()), [])

    def test_held_until_told_or_interrupted(self):
        for let_go in (lambda process: self.ask("continue"), lambda process: process.send_signal(signal.SIGINT)):
            process = self.begin("--hold", before="assert peer.one('hold') == '1'; peer.number(HELD, 9)")
            self.assertRegex(process.stderr.readline().decode(), r"process 9 is held")
            self.assertIn("(process 9 is held)", self.ask("ps"))
            let_go(process)
            self.assertEqual(process.wait(TIMEOUT), 4)

    def test_a_kernel_that_ends_instead_of_answering(self):
        self.begin(actions="""
            peer.output(b'!')
            while peer.receive()[0] != INSPECT:
                pass
            sys.exit(1)
        """)
        self.assertIn("ended before it answered", self.ask("maps", status=1))

    def test_an_answer_to_no_question(self):
        shown = self.play("peer.send(ANSWER, bytes(8)); time.sleep(60)")
        self.assertEqual(shown.returncode, 125)
        self.assertIn("answered what was not asked", shown.stderr.decode())


class Engines(Case):
    def run_automatic(self, tcg_seconds=0.3, kvm_seconds=0.0, **variables):
        """The engine that a run was given."""
        env = self.environment(XDG_CACHE_HOME=str(self.folder), SELFTEST_TCG=str(tcg_seconds), SELFTEST_KVM=str(kvm_seconds)) | variables
        play = self.script("peer.output(peer.words[peer.words.index('-accel') + 1].encode()); peer.exit(0)")
        shown = self.run_words("--engine", "auto", play, env=env)
        self.assertEqual((shown.returncode, shown.stderr), (0, b""))
        return shown.stdout.decode()

    def kept(self):
        path = self.folder / "vellum" / "engine.json"
        return json.loads(path.read_text()) if path.exists() else None

    @property
    def has_kvm(self):
        return os.access("/dev/kvm", os.R_OK | os.W_OK)

    def test_quicker_kvm_is_found_once(self):
        expected = "kvm" if self.has_kvm else "tcg"
        self.assertEqual(self.run_automatic(), expected)
        self.assertEqual(self.run_automatic(kvm_seconds=10), expected)
        if self.has_kvm:
            self.assertEqual((self.kept()["schema"], self.kept()["engine"]), ("vellum.engine/1", "kvm"))

    def test_slower_or_failing_kvm_is_not_used_and_not_tried_again(self):
        for kvm_seconds in (10, -1):
            start = time.monotonic()
            self.assertEqual(self.run_automatic(kvm_seconds=kvm_seconds), "tcg")
            self.assertLess(time.monotonic() - start, 5)
            self.assertEqual(self.run_automatic(), "tcg")
            (self.folder / "vellum" / "engine.json").unlink(missing_ok=True)

    def test_nothing_is_tried_where_nothing_can_be_kept(self):
        self.assertEqual(self.run_automatic(XDG_CACHE_HOME="/dev/null"), "tcg")

    def test_cache_that_is_none(self):
        (self.folder / "vellum").mkdir()
        for text in ("", "[]", "{}", '{"schema": 3, "host": [], "engine": {}}', "\xff"):
            (self.folder / "vellum" / "engine.json").write_text(text)
            self.assertEqual(self.run_automatic(kvm_seconds=-1), "tcg")


class Signals(Case):
    def started(self, actions):
        """A process whose script has begun."""
        process = self.start(self.script("peer.output(b'!')\n" + textwrap.dedent(actions)))
        self.assertEqual(process.stdout.read(1), b"!")
        return process

    def test_signals_are_forwarded(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
            process = self.started("(number,) = peer.receive_number(SIGNAL); peer.exit(number)")
            process.send_signal(number)
            self.assertEqual(self.finish(process)[0], 128 + number)

    def test_program_may_survive(self):
        process = self.started("peer.receive_number(SIGNAL); peer.output(b'no'); time.sleep(6); peer.exit(0)")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(process)[:2], (0, b"no"))

    def test_second_interrupt_ends_the_machine(self):
        process = self.started("time.sleep(60)")
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        self.assertEqual(self.finish(process)[0], 130)

    def test_silent_kernel_is_ended(self):
        process = self.started("time.sleep(60)")
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.finish(process)[0], 143)
        self.assertGreater(time.monotonic() - start, 4)

    def test_machine_dies_with_the_command(self):
        process = self.started("peer.output(b'%d\\n' % os.getpid()); time.sleep(60)")
        machine = int(process.stdout.readline())
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
        deadline = time.monotonic() + 20
        while Path(f"/proc/{machine}/stat").exists() and Path(f"/proc/{machine}/stat").read_text().split()[2] != "Z":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)


class OnTerminal(Case):
    def setUp(self):
        super().setUp()
        self.ours, self.theirs = pty.openpty()
        self.addCleanup(os.close, self.ours)
        self.addCleanup(os.close, self.theirs)
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 99, 0, 0))
        self.mode = termios.tcgetattr(self.theirs)

    def begin(self, actions):
        def take_terminal():
            os.setsid()
            fcntl.ioctl(self.theirs, termios.TIOCSCTTY, 0)

        return subprocess.Popen(self.command(self.script(actions)), env=self.environment(), stdin=self.theirs,
                                stdout=self.theirs, stderr=self.theirs, preexec_fn=take_terminal)

    def read_until(self, text):
        seen = b""
        while text not in seen:
            ready, _, _ = select.select([self.ours], [], [], TIMEOUT)
            self.assertTrue(ready, seen)
            seen += os.read(self.ours, 1000)
        return seen

    def test_keys_go_raw_and_the_mode_comes_back(self):
        process = self.begin("""
            peer.number(INPUT_CREDIT, 100)
            peer.output(b'stdin %s %s x %s' % tuple(peer.one(key).encode() for key in ('stdin', 'rows', 'columns')))
            keys = b''
            while len(keys) < 4:
                keys += peer.receive()[1]
            peer.output(repr(keys).encode() + b'\\n')
            peer.exit(0)""")
        self.read_until(b"stdin terminal 33 x 99")
        self.assertNotEqual(termios.tcgetattr(self.theirs), self.mode)
        os.write(self.ours, b"a\x03\x1a\r")
        shown = self.read_until(b"\n")
        self.assertEqual(shown, b"b'a\\x03\\x1a\\r'\n")  # not echoed, and no carriage return put in
        self.assertEqual(process.wait(TIMEOUT), 0)
        self.assertEqual(termios.tcgetattr(self.theirs), self.mode)

    def test_interrupt_key_without_credit_is_a_signal(self):
        process = self.begin("peer.output(b'!'); (number,) = peer.receive_number(SIGNAL); peer.exit(number)")
        self.read_until(b"!")
        os.write(self.ours, b"junk\x03")
        self.assertEqual(process.wait(TIMEOUT), 130)

    def test_interrupt_keys_end_a_stuck_kernel(self):
        process = self.begin("peer.output(b'!'); peer.number(INPUT_CREDIT, 100); time.sleep(60)")
        self.read_until(b"!")
        os.write(self.ours, b"\x03")
        time.sleep(0.3)
        os.write(self.ours, b"\x03")
        self.assertEqual(process.wait(TIMEOUT), 130)
        self.assertEqual(termios.tcgetattr(self.theirs), self.mode)

    def test_size_changes_are_told(self):
        process = self.begin("""
            peer.output(b'!')
            assert peer.receive_number(WINDOW_SIZE) == (11, 22)
            peer.exit(0)""")
        self.read_until(b"!")
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 11, 22, 0, 0))
        self.assertEqual(process.wait(TIMEOUT), 0)

    def test_mode_comes_back_when_terminated(self):
        process = self.begin("peer.output(b'!'); peer.exit(peer.receive_number(SIGNAL)[0])")
        self.read_until(b"!")
        process.terminate()
        self.assertEqual(process.wait(TIMEOUT), 143)
        self.assertEqual(termios.tcgetattr(self.theirs), self.mode)

    def test_mode_comes_back_after_a_crash(self):
        process = self.begin("peer.output(b'!'); time.sleep(60)")
        self.read_until(b"!")
        process.send_signal(signal.SIGABRT)
        self.assertEqual(process.wait(TIMEOUT), -signal.SIGABRT)
        self.assertEqual(termios.tcgetattr(self.theirs), self.mode)

    def test_own_words_start_at_the_first_column(self):
        process = self.begin("peer.output(b'half'); peer.say('panic: x\\n'); time.sleep(60)")
        shown = self.read_until(b"the kernel failed")
        self.assertIn(b"kernel: panic: x\r\n", shown)
        self.assertEqual(process.wait(TIMEOUT), 125)

    def test_stops_and_goes_on(self):
        process = self.begin("peer.output(b'!'); peer.receive(); peer.output(b'size'); time.sleep(1); peer.exit(0)")
        self.read_until(b"!")
        # An orphaned group is not stopped by SIGTSTP, so that only the way back is seen here.
        process.send_signal(signal.SIGTSTP)
        self.read_until(b"size")
        self.assertEqual(process.wait(TIMEOUT), 0)


if __name__ == "__main__":
    unittest.main()
