#!/usr/bin/env python3
"""Runs programs of the host in the kernel, through the run protocol: streams, the terminal, signals, the host's files.

Prints a line for each case; passes when all are right."""

import hashlib
import os
import socket
import struct
import sys
import tempfile
import time

import run_peer


class RecordingPeer(run_peer.Peer):
    def __init__(self, settings):
        super().__init__(settings)
        self.output = b""
        self.errors = b""
        self.logs = []

    def on_frame(self, kind, body):
        super().on_frame(kind, body)
        if kind == run_peer.OUTPUT:
            self.output += body
        elif kind == run_peer.ERROR_OUTPUT:
            self.errors += body
        elif kind in (run_peer.LOG, run_peer.FAULT, run_peer.REPORT):
            self.logs.append(body)


class Cases:
    def __init__(self, image, timeout):
        self.image = image
        self.timeout = timeout
        self.failures = 0

    def settings(self, program, **changes):
        settings = run_peer.settings_parser().parse_args([self.image, *program])
        settings.timeout = self.timeout
        for name, value in changes.items():
            setattr(settings, name, value)
        return settings

    def run(self, program, peer=RecordingPeer, **changes):
        self.peer = peer(self.settings(program, **changes))
        self.status, self.console = self.peer.run()
        return self

    def check(self, name, status=0, output=None, errors=None):
        problems = []
        if self.status != status:
            problems.append(f"status {self.status}, not {status}")
        if output is not None and self.peer.output != output:
            problems.append(f"output {self.peer.output[-200:]!r} ({len(self.peer.output)} bytes), "
                            f"not {output[-200:]!r} ({len(output)} bytes)")
        if errors is not None and self.peer.errors != errors:
            problems.append(f"errors {self.peer.errors[-200:]!r}, not {errors[-200:]!r}")
        if problems:
            self.failures += 1
            print(self.console)
        print(f"{name}: {'; '.join(problems) or 'passed'}", flush=True)


class SlowPeer(RecordingPeer):
    """Takes nothing for a while once output begins: then the kernel has to wait."""

    def on_frame(self, kind, body):
        if kind == run_peer.OUTPUT and not self.output:
            time.sleep(2)
        super().on_frame(kind, body)


class ClosingPeer(RecordingPeer):
    """Closes stdout as soon as something came."""

    def on_frame(self, kind, body):
        if kind == run_peer.OUTPUT and not self.output:
            self.send(run_peer.OUTPUT_CLOSED, struct.pack("<I", 1))
        super().on_frame(kind, body)


class SignallingPeer(RecordingPeer):
    """Sends a signal once the program says that it is ready."""

    def on_frame(self, kind, body):
        super().on_frame(kind, body)
        if kind == run_peer.OUTPUT:
            self.send(run_peer.SIGNAL, struct.pack("<I", 15))


class LeavingPeer(RecordingPeer):
    """Goes away in the midst of it."""

    def on_frame(self, kind, body):
        super().on_frame(kind, body)
        if kind == run_peer.OUTPUT:
            self.channel.shutdown(socket.SHUT_RDWR)


class LyingPeer(RecordingPeer):
    """Sends stdin that nobody gave credit for."""

    def on_frame(self, kind, body):
        super().on_frame(kind, body)
        if kind == run_peer.OUTPUT:
            self.send(run_peer.INPUT, b"x" * 60000)
            self.send(run_peer.INPUT, b"x" * 60000)


def test_streams(cases):
    cases.run(["/bin/echo", "hi", "there"]).check("echo", output=b"hi there\n")
    cases.run(["/bin/echo", "hi"], append="run kernel_context=isolated").check("an isolated kernel", output=b"hi\n")
    cases.run(["/bin/echo", "hi"], user="linux").check("the layout of Linux", output=b"hi\n")
    cases.run(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]).check("both streams", 3, b"out\n", b"err\n")
    cases.run(["/bin/sh", "-c", "kill -SEGV $$"]).check("death by a signal", 128 + 11)
    cases.run(["/nothing/here"]).check("no such program", 127, b"")
    text = "".join(f"line {i}\n" for i in range(20000))
    cases.run(["/bin/cat"], input=text).check("stdin to stdout", output=text.encode())
    numbers = "".join(f"{i}\n" for i in range(1, 200001)).encode()
    cases.run(["/usr/bin/seq", "1", "200000"], peer=SlowPeer).check("a slow reader", output=numbers)
    cases.run(["/usr/bin/yes"], peer=ClosingPeer).check("stdout is closed", 128 + 13)
    cases.run(["/bin/cat"], streams="null").check("streams on /dev/null", output=b"")
    arguments = [f"argument number {i}" for i in range(8000)]
    cases.run(["/usr/bin/printf", "%s\\n", *arguments]).check("a long request",
                                                             output="".join(f"{a}\n" for a in arguments).encode())


def test_control(cases):
    cases.run(["/bin/sh", "-c", "echo ready; sleep 100"], peer=SignallingPeer).check("a signal from the host", 128 + 15)
    typed = "stty size; test -t 0 && echo yes\nexit 4\n"
    cases.run(["/bin/sh", "-c", "stty -echo; PS1= exec sh -i"], streams="terminal", input=typed)
    cases.peer.output = cases.peer.output.replace(typed.replace("\n", "\r\n").encode(), b"")  # typed before -echo
    cases.check("a terminal", 4, b"24 80\r\nyes\r\n")
    cases.run(["/bin/sh", "-c", "echo ready; sleep 100"], peer=LyingPeer).check("a host that breaks the protocol", 125)
    cases.run(["/bin/sh", "-c", "echo ready; sleep 100"], peer=LeavingPeer).check("a host that goes away", 125)
    cases.run(["/bin/true"], legacy=True).check("a legacy device", 125)
    if "force-legacy=false" not in cases.console:
        cases.failures += 1
        print("a legacy device: the console does not say what is wrong")


def test_files(cases):
    with tempfile.TemporaryDirectory() as root:
        content = os.urandom(3_000_001)
        os.mkdir(f"{root}/many")
        os.mkdir(f"{root}/few")
        for name in ("one", "two", "three"):
            open(f"{root}/few/{name}", "w").close()
        names = [f"entry {i:05}" for i in range(3000)]
        for name in names:
            open(f"{root}/many/{name}", "w").close()
        with open(f"{root}/large", "wb") as large:
            large.write(content)
        os.symlink("many", f"{root}/link")
        os.chmod(f"{root}/large", 0o4640)
        bind = [(root, "/data/here")]
        cases.run(["/usr/bin/sha256sum", "large"], binds=bind, directory="/data/here")
        cases.check("a large file", output=f"{hashlib.sha256(content).hexdigest()}  large\n".encode())
        larger = content * 32  # than memory
        with open(f"{root}/larger", "wb") as file:
            file.write(larger)
        cases.run(["/usr/bin/sha256sum", "larger"], binds=bind, directory="/data/here", memory="64M")
        cases.check("a file larger than memory", output=f"{hashlib.sha256(larger).hexdigest()}  larger\n".encode())
        cases.run(["/bin/ls", "/data/here/link/"], binds=bind)
        cases.check("a directory with many entries", output="".join(f"{name}\n" for name in names).encode())
        cases.run(["/usr/bin/stat", "-c", "%s %a %F %N", "/data/here/large", "/data/here/link"], binds=bind)
        cases.check("attributes", output=b"3000001 4640 regular file '/data/here/large'\n"
                                         b"4 777 symbolic link '/data/here/link' -> 'many'\n")
        script = "cd /data/here && echo more >> large && tail -c 5 large && rm -r few && mkdir few && ls few"
        cases.run(["/bin/sh", "-c", script], binds=bind).check("writing stays in memory", output=b"more\n")
        if len(os.listdir(f"{root}/few")) != 3 or os.path.getsize(f"{root}/large") != len(content):
            cases.failures += 1
            print("writing stays in memory: the host's files changed")


def main():
    cases = Cases(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 60)
    test_streams(cases)
    test_control(cases)
    test_files(cases)
    return 1 if cases.failures else 0


if __name__ == "__main__":
    sys.exit(main())
