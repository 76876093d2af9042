#!/usr/bin/env python3
"""Speaks the host's side of the run protocol with a kernel in QEMU: runs a program, prints the frames that come.

The frames' kinds and layouts are those of unix/run/include/vellum/run/protocol.hpp. Ends with the program's status, 124
where time runs out, 125 where the kernel ends without an exit frame. The kernel's console goes to stderr."""

import argparse
import os
import select
import socket
import struct
import subprocess
import sys
import time

START, INPUT, INPUT_END, SIGNAL, WINDOW_SIZE, OUTPUT_CLOSED, START_PART, INSPECT, GO_ON = range(1, 10)
OUTPUT, ERROR_OUTPUT, INPUT_CREDIT, LOG, TRACE, FAULT, REPORT, EXIT, HELLO = range(64, 73)
PROTOCOL = 1  # its version
NAMES = {LOG: "log", TRACE: "trace", FAULT: "fault", REPORT: "report", EXIT: "exit"}
MOST_FRAME_BYTES = 65536


def frame(kind, body=b""):
    return struct.pack("<IB3x", len(body), kind) + body


def start_frames(settings):
    texts = [f"argument={argument}" for argument in settings.program]
    texts += [f"environment={variable}" for variable in settings.environment]
    texts += [f"directory={settings.directory}", f"user={settings.user}", f"time={time.time_ns()}", "uid=0", "gid=0",
              f"protocol={PROTOCOL}"]
    texts += [f"{stream}={settings.streams}" for stream in ("stdin", "stdout", "stderr")]
    texts += ["rows=24", "columns=80", f"strace={int(settings.strace)}"]
    texts += [f"bind=bind{i}:{guest}" for i, (_, guest) in enumerate(settings.binds)]
    body = b"".join(text.encode() + b"\0" for text in texts)
    frames = b""
    while len(body) > MOST_FRAME_BYTES:
        frames += frame(START_PART, body[:MOST_FRAME_BYTES])
        body = body[MOST_FRAME_BYTES:]
    return frames + frame(START, body)


def folder(name, path):
    return ["-fsdev", f"local,id={name},path={path},security_model=none,readonly=on,multidevs=remap",
            "-device", f"virtio-9p-device,fsdev={name},mount_tag={name}"]


def command(settings, peer):
    line = [
        "qemu-system-x86_64", "-accel", "tcg", "-machine", "microvm,acpi=off,isa-serial=on", "-cpu", settings.cpu,
        "-smp", "1", "-m", settings.memory, "-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none",
        "-serial", "stdio", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-kernel", settings.image,
        "-append", settings.append, "-device", "virtio-serial-device,max_ports=2",
        "-chardev", f"socket,fd={peer.fileno()},id=run", "-device", "virtserialport,nr=1,chardev=run",
    ]
    line += folder("root", settings.root)
    for i, (host, _) in enumerate(settings.binds):
        line += folder(f"bind{i}", host)
    if not settings.legacy:
        line += ["-global", "virtio-mmio.force-legacy=false"]
    return line


class Peer:
    """One run. Subclasses may react to frames in on_frame(); `status` is the wait status once the program ended."""

    def __init__(self, settings):
        self.settings = settings
        self.stdin = settings.input.encode() if settings.input is not None else b""
        self.stdin_ended = False
        self.status = None
        self.received = b""
        ours, theirs = socket.socketpair()
        self.channel = ours
        os.set_inheritable(theirs.fileno(), True)
        self.qemu = subprocess.Popen(command(settings, theirs), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, close_fds=False)
        theirs.close()

    def send(self, kind, body=b""):
        self.channel.sendall(frame(kind, body))

    def give_input(self, credit):
        given, self.stdin = self.stdin[:credit], self.stdin[credit:]
        for i in range(0, len(given), MOST_FRAME_BYTES):
            self.send(INPUT, given[i:i + MOST_FRAME_BYTES])
        if not self.stdin and not self.stdin_ended:
            self.send(INPUT_END)
            self.stdin_ended = True

    def on_frame(self, kind, body):
        if kind == INPUT_CREDIT:
            self.give_input(*struct.unpack("<I", body))
        elif kind == EXIT:
            self.status, = struct.unpack("<I", body)

    def receive(self):
        """Handles what came; False at the end."""
        try:
            piece = self.channel.recv(65536)
        except ConnectionResetError:
            return False
        self.received += piece
        while len(self.received) >= 8:
            size, kind = struct.unpack_from("<IB", self.received)
            if len(self.received) < 8 + size:
                break
            body, self.received = self.received[8:8 + size], self.received[8 + size:]
            self.on_frame(kind, body)
        return bool(piece)

    def run(self):
        """Returns the status as a shell has it, and what the kernel said on its console."""
        deadline = time.monotonic() + self.settings.timeout
        in_time = True
        try:
            self.channel.sendall(start_frames(self.settings))
            while in_time and self.receive():
                left = max(deadline - time.monotonic(), 0)
                in_time = bool(select.select([self.channel], [], [], left)[0])
        except BrokenPipeError:
            pass
        if not in_time:
            self.qemu.kill()
        console, _ = self.qemu.communicate()
        if not in_time:
            status = 124
        elif self.status is None:
            status = 125
        elif self.status & 127 == 0:
            status = self.status >> 8
        else:
            status = 128 + (self.status & 127)
        return status, console.decode(errors="replace").replace("\r", "")


class PrintingPeer(Peer):
    def on_frame(self, kind, body):
        super().on_frame(kind, body)
        if kind in (OUTPUT, ERROR_OUTPUT):
            sys.stdout.buffer.write(body)
        elif kind == EXIT:
            print(f"[exit {self.status:#x}]")
        elif kind not in (INPUT_CREDIT, HELLO):
            print(f"[{NAMES.get(kind, kind)}] {body.decode(errors='replace')}")
        sys.stdout.flush()


def settings_parser():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", default="max")
    parser.add_argument("--memory", default="256M")
    parser.add_argument("--timeout", type=float, default=30, help="seconds (%(default)s)")
    parser.add_argument("--root", default="/", help="the directory that the program sees as / (%(default)s)")
    parser.add_argument("--append", default="run", help="the kernel's command line (%(default)s)")
    parser.add_argument("--directory", default="/")
    parser.add_argument("--user", default="illumos", choices=["illumos", "linux"])
    parser.add_argument("--environment", action="append", default=["PATH=/usr/bin:/bin"])
    parser.add_argument("--bind", dest="binds", action="append", default=[], type=lambda text: text.split(":"))
    parser.add_argument("--streams", default="pipe", choices=["terminal", "pipe", "file", "null"])
    parser.add_argument("--input", help="bytes of stdin")
    parser.add_argument("--strace", action="store_true")
    parser.add_argument("--legacy", action="store_true", help="leave QEMU's virtio-mmio in its legacy form")
    parser.add_argument("image")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    return parser


def main():
    peer = PrintingPeer(settings_parser().parse_args())
    status, console = peer.run()
    sys.stderr.write(console)
    return status


if __name__ == "__main__":
    sys.exit(main())
