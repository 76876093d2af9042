#!/usr/bin/env python3
"""Stands in QEMU's place (VELLUM_QEMU) and plays the kernel's end of the run protocol, so that the host's end can be
tested alone. What it plays is told by the program's arguments: the "program" is a Python script of actions, which is
found on the host as programs are, and executed here with the peer's functions in sight."""

import os
import re
import socket
import struct
import sys
import time

START, INPUT, INPUT_END, SIGNAL, WINDOW_SIZE, OUTPUT_CLOSED, START_PART, INSPECT, GO_ON = range(1, 10)
OUTPUT, ERROR_OUTPUT, INPUT_CREDIT, LOG, TRACE, FAULT, REPORT, EXIT, HELLO, ANSWER_PART, ANSWER, HELD = range(64, 76)


class Peer:
    """The kernel's end: what scripts call."""

    def __init__(self, words):
        self.words = words
        self.channel = self.socket_of("run")
        self.version = 1  # of the protocol, to be said before all else; None says nothing
        self.console = self.socket_of("console")
        texts = b""
        while True:
            kind, content = self.receive()
            texts += content
            if kind == START:
                break
        self.start = [text.decode(errors="surrogateescape").split("=", 1) for text in texts.split(b"\0")[:-1]]

    def socket_of(self, name):
        number = next(int(match[1]) for word in self.words if (match := re.fullmatch(rf"socket,fd=(\d+),id={name}", word)))
        return socket.socket(fileno=number)

    def all(self, key):
        return [value for name, value in self.start if name == key]

    def one(self, key):
        (value,) = self.all(key)
        return value

    def receive_bytes(self, count):
        data = b""
        while len(data) < count:
            more = self.channel.recv(count - len(data))
            if not more:
                sys.exit(0)
            data += more
        return data

    def receive(self):
        size, kind = struct.unpack("<IB3x", self.receive_bytes(8))
        return kind, self.receive_bytes(size)

    def receive_number(self, wanted):
        """The numbers of the next frame, which is of that kind; the end of an input that is none does not count."""
        kind, content = self.receive()
        while kind == INPUT_END:
            kind, content = self.receive()
        assert kind == wanted, (kind, content)
        return struct.unpack(f"<{len(content) // 4}I", content)

    def greet(self):
        if self.version is not None:
            version, self.version = self.version, None
            self.number(HELLO, version)

    def send(self, kind, content):
        self.greet()
        self.channel.sendall(struct.pack("<IB3x", len(content), kind) + content)

    def number(self, kind, value):
        self.send(kind, struct.pack("<I", value))

    def output(self, data):
        for start in range(0, len(data), 65536):
            self.send(OUTPUT, data[start:start + 65536])

    def say(self, text):
        self.console.sendall(text.encode())

    def exit(self, wait_status):
        self.number(EXIT, wait_status)
        time.sleep(60)  # a kernel that does not power off is ended all the same


def self_test(words):
    """As long as the environment says, for the engine; a failure if that is negative."""
    seconds = float(os.environ["SELFTEST_" + words[words.index("-accel") + 1].upper()])
    time.sleep(max(seconds, 0))
    sys.exit(33 if seconds >= 0 else 134)


def main():
    if sys.argv[sys.argv.index("-append") + 1] == "selftest":
        self_test(sys.argv)
    peer = Peer(sys.argv)
    with open(peer.all("argument")[0]) as script:
        code = script.read()
    names = {name: value for name, value in globals().items() if name.isupper()}
    exec(code, names | {"peer": peer, "os": os, "sys": sys, "time": time})


if __name__ == "__main__":
    main()
