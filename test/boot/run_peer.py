#!/usr/bin/env python3
"""Speaks the host's side of the run protocol with a kernel in QEMU: starts a program, prints the frames that come.

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

START, INPUT, INPUT_END, SIGNAL, WINDOW_SIZE = 1, 2, 3, 4, 5
OUTPUT, ERROR_OUTPUT, INPUT_CREDIT, LOG, TRACE, FAULT, REPORT, EXIT = range(64, 72)
NAMES = {LOG: "log", TRACE: "trace", FAULT: "fault", REPORT: "report", EXIT: "exit"}


def frame(kind, body=b""):
    return struct.pack("<IB3x", len(body), kind) + body


def start_frame(options):
    texts = [f"argument={argument}" for argument in options.program]
    texts += [f"environment={variable}" for variable in options.environment]
    texts += [f"directory={options.directory}", "user=illumos", f"time={time.time_ns()}", "uid=0", "gid=0"]
    texts += [f"{stream}={options.streams}" for stream in ("stdin", "stdout", "stderr")]
    texts += ["rows=24", "columns=80", f"strace={int(options.strace)}"]
    return frame(START, b"".join(text.encode() + b"\0" for text in texts))


def command(options, peer):
    line = [
        "qemu-system-x86_64", "-accel", "tcg", "-machine", "microvm,acpi=off,isa-serial=on", "-cpu", options.cpu, "-smp", "1", "-m",
        options.memory, "-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-serial", "stdio",
        "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", "-kernel", options.image, "-append", options.append,
        "-device", "virtio-serial-device,max_ports=1", "-chardev", f"socket,fd={peer.fileno()},id=run",
        "-device", "virtconsole,chardev=run",
        "-fsdev", f"local,id=root,path={options.root},security_model=none,readonly=on,multidevs=remap",
        "-device", "virtio-9p-device,fsdev=root,mount_tag=root",
    ]
    if not options.legacy:
        line += ["-global", "virtio-mmio.force-legacy=false"]
    return line


class Peer:
    def __init__(self, options, channel):
        self.options = options
        self.channel = channel
        self.received = b""
        self.status = None
        self.stdin = options.input.encode() if options.input is not None else b""
        self.stdin_ended = False

    def give_input(self, credit):
        self.channel.sendall(b"".join(
            frame(INPUT, self.stdin[i:min(i + 60000, credit)]) for i in range(0, min(credit, len(self.stdin)), 60000)))
        self.stdin = self.stdin[credit:]
        if not self.stdin and not self.stdin_ended:
            self.channel.sendall(frame(INPUT_END))
            self.stdin_ended = True

    def on_frame(self, kind, body):
        if kind == OUTPUT:
            sys.stdout.buffer.write(body)
        elif kind == ERROR_OUTPUT:
            sys.stdout.buffer.write(body)
        elif kind == INPUT_CREDIT:
            self.give_input(*struct.unpack("<I", body))
        elif kind == EXIT:
            self.status, = struct.unpack("<I", body)
            print(f"[exit {self.status:#x}]")
        else:
            print(f"[{NAMES.get(kind, kind)}] {body.decode(errors='replace')}")
        sys.stdout.flush()

    def receive(self):
        """Handles what came; False at the end."""
        piece = self.channel.recv(65536)
        self.received += piece
        while len(self.received) >= 8:
            size, kind = struct.unpack_from("<IB", self.received)
            if len(self.received) < 8 + size:
                break
            body, self.received = self.received[8:8 + size], self.received[8 + size:]
            self.on_frame(kind, body)
        return bool(piece)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", default="max")
    parser.add_argument("--memory", default="256M")
    parser.add_argument("--timeout", type=float, default=30, help="seconds (%(default)s)")
    parser.add_argument("--root", default="/", help="the directory that the program sees as / (%(default)s)")
    parser.add_argument("--append", default="run", help="the kernel's command line (%(default)s)")
    parser.add_argument("--directory", default="/")
    parser.add_argument("--environment", action="append", default=["PATH=/usr/bin:/bin"])
    parser.add_argument("--streams", default="pipe", choices=["terminal", "pipe", "file", "null"])
    parser.add_argument("--input", help="bytes of stdin")
    parser.add_argument("--strace", action="store_true")
    parser.add_argument("--legacy", action="store_true", help="leave QEMU's virtio-mmio in its legacy form")
    parser.add_argument("image")
    parser.add_argument("program", nargs=argparse.REMAINDER)
    options = parser.parse_args()

    ours, theirs = socket.socketpair()
    os.set_inheritable(theirs.fileno(), True)
    qemu = subprocess.Popen(command(options, theirs), stdin=subprocess.DEVNULL, stdout=sys.stderr, close_fds=False)
    theirs.close()
    deadline = time.monotonic() + options.timeout
    peer = Peer(options, ours)
    try:
        ours.sendall(start_frame(options))
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([ours], [], [], left)[0]:
                print("[no end in time]")
                return 124
            if not peer.receive():
                break
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        if peer.status is None or qemu.poll() is None:
            time.sleep(0.2)
        qemu.kill()
        qemu.wait()
    if peer.status is None:
        print("[no exit frame]")
        return 125
    return peer.status >> 8 if peer.status & 127 == 0 else 128 + (peer.status & 127)


if __name__ == "__main__":
    sys.exit(main())
