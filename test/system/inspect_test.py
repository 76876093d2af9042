"""Looking into a running instance, by `./vellum` as a user does: what `walk`, `maps` and `explain` say is what QEMU's
monitor sees; memory that is shared is one; runs that are held."""

import bisect
import itertools
import json
import os
import random
import re
import signal
import socket
import subprocess
import time

from .monitor import WRAPPER, Monitor
from .run_test import FRONT_DOOR, ROOT, TIMEOUT, Case

ADDRESSES = 1000
BATCH = 100
PAGE = 4096
TABLE = 2 << 20
ACCESSED_AND_DIRTY = 0x60
PRESENT, WRITE, USER = 1, 2, 4
NO_EXECUTE = 1 << 63
# Letters of `info tlb`, and the bits of the last entry that they stand for.
FLAGS = {"X": NO_EXECUTE, "G": 1 << 8, "P": 1 << 7, "C": 1 << 4, "T": 1 << 3, "U": USER, "W": WRITE}
TOP = 1 << 64


def documents(text):
    """One JSON document behind the other."""
    decoder = json.JSONDecoder()
    found = []
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


class Inspecting(Case):
    """Runs of its own, which no other test sees."""

    def setUp(self):
        super().setUp()
        self.environment = os.environ | {"XDG_RUNTIME_DIR": str(self.folder)}

    def start_run(self, *words, **variables):
        process = subprocess.Popen(self.command(*words), cwd=self.folder, env=self.environment | variables,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        process.kill()
        process.communicate()

    def vellum(self, *words, status=0):
        shown = subprocess.run([FRONT_DOOR, *map(str, words)], env=self.environment, capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual(shown.returncode, status, (words, shown.stdout, shown.stderr))
        return shown.stdout if status == 0 else shown.stderr

    def walks(self, process, addresses):
        # Of an address that the processor does not have there is nothing to show: status 1, the document all the same.
        shown = subprocess.run([FRONT_DOOR, "walk", "--json", "--process", str(process), *map(hex, addresses)],
                               env=self.environment, capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual(shown.stderr, "")
        return documents(shown.stdout)

    def explanations(self, process, addresses):
        return documents(self.vellum("explain", "--json", "--process", process, *map(hex, addresses)))

    def maps(self, process):
        regions = json.loads(self.vellum("maps", "--json", "--process", process))["regions"]
        return [(int(region["start"], 16), int(region["end"], 16), region) for region in regions]

    def held(self, process):
        """Waits until the run says that a process of it is held, and which."""
        for line in process.stderr:
            if match := re.match(r"vellum: process (\d+) is held", line):
                return int(match[1])
        self.fail("nothing was held")

    def start_program(self, name, *options, **variables):
        """A run of a program of test/programs/inspect."""
        subprocess.run(["clang++-19", "-std=c++23", "-static", "-O1", "-o", self.folder / name,
                        ROOT / f"test/programs/inspect/{name}.cpp"], check=True)
        return self.start_run("--engine", "tcg", *options, f"./{name}", **variables)

    def busy(self, *options, **variables):
        """A run of busy.cpp; the address of what its processes share."""
        return int(self.start_program("busy", *options, **variables).stdout.readline(), 16)


class Agreement(Inspecting):
    def setUp(self):
        super().setUp()
        qemu = self.folder / "qemu"
        qemu.write_text(WRAPPER.format(socket=self.folder / "qmp"))
        qemu.chmod(0o755)
        self.busy(VELLUM_QEMU=str(qemu))
        self.monitor = Monitor(self.folder / "qmp")
        self.addCleanup(self.monitor.close)
        self.seed = random.randrange(1 << 32)
        self.random = random.Random(self.seed)
        self.churning = 4
        self.turns = itertools.count()
        self.rows = json.loads(self.vellum("layout", "--live", "--json"))["regions"]
        self.user_limit = next(int(row["start"], 16) for row in self.rows if row["symbol"] == "USERLIMIT")

    def draw(self, maps):
        """An address: in a row of the layout, at what a row maps, in or beside a mapping, or that no processor has."""
        kind = self.random.randrange(10)
        if kind < 4:
            row = self.rows[next(self.turns) % len(self.rows)]
            start, end = int(row["start"], 16), int(row["end"], 16)
            near = self.random.choice((end - start, TABLE, 16 * PAGE))
            return start + self.random.randrange(min(end - start, near))
        if kind < 8:
            start, end, _ = self.random.choice(maps)
            return self.random.randrange(start, end)
        if kind == 8:
            start, end, _ = self.random.choice(maps)
            return self.random.choice((start - 1, end, max(start - self.random.randrange(TABLE), 0), end + self.random.randrange(TABLE)))
        return self.random.randrange(1 << 47, TOP - (1 << 47))

    def check_walk(self, walk, pages, ranges, starts):
        """What QEMU sees of a walk, whose entries stand in the stopped machine."""
        address = int(walk["address"], 16)
        for table in walk["tables"]:
            word = self.monitor.word(int(table["table"], 16) + 8 * table["index"])
            self.assertEqual((word ^ int(table["entry"], 16)) & ~ACCESSED_AND_DIRTY, 0, (walk, hex(word)))
        physical = int(walk["physical"], 16) if walk["mapped"] else None
        self.assertEqual(self.monitor.physical(address), physical, walk)
        index = bisect.bisect_right(starts, address) - 1
        rights = ranges[index][2] if index >= 0 and address < ranges[index][1] else None
        self.assertEqual(rights is not None, walk["mapped"], (walk, rights))
        if not walk["mapped"]:
            return
        self.assertEqual(rights, ("u" if walk["user"] else "-") + "r" + ("w" if walk["write"] else "-"), walk)
        page = address & ~(walk["page_size"] - 1)
        self.assertIn(page, pages, walk)
        target, flags = pages[page]
        self.assertEqual(target, physical & ~(walk["page_size"] - 1), walk)
        entry = int(walk["tables"][-1]["entry"], 16)
        self.assertEqual({letter for letter, bit in FLAGS.items() if entry & bit}, set(flags) - set("-AD"), walk)

    def check_explanation(self, explanation, walk, region):
        """That the words say of accesses what the tables, which QEMU agrees with, do."""
        works = {name: walk["mapped"] and walk["user"] and walk.get(bit, True) for name, bit in (("read", "mapped"), ("write", "write"), ("execute", "execute"))}
        live = explanation["live"]
        for access, does in works.items():
            self.assertEqual(live["user_access"][access].startswith("works"), does, (explanation, walk))
        if region is not None and not any(works.values()) and "r" in region["rights"]:
            self.assertTrue(live["user_access"]["read"].startswith("faults, and works then"), explanation)
        if region is None and walk["canonical"]:
            self.assertFalse(walk["mapped"] and walk["user"], (explanation, walk))

    def check_mappings(self, maps, ranges):
        """Whatever a program can reach lies in mappings that permit it; NX the monitor does not tell of ranges."""
        for start, end, reachable in ranges:
            if "u" not in reachable:
                continue
            for low, high, region in maps:
                if low < end and start < high:
                    self.assertIn("r", region["rights"], (hex(start), region))
                    self.assertTrue("w" in region["rights"] or "w" not in reachable, (hex(start), reachable, region))
            inside = sum(max(min(end, high) - max(start, low), 0) for low, high, _ in maps)
            self.assertEqual(inside, end - start, (hex(start), hex(end), maps))

    def stop_in(self, process, root):
        """Stops the machine while a process runs; the one that forks all the time, which changes its root: any time."""
        for _ in range(400):
            self.monitor.stop()
            if process == self.churning or self.monitor.root() == root:
                return
            self.monitor.go_on()
            time.sleep(0.01)
        self.fail(f"the process with the root {root:#x} never runs")

    def is_steady(self, walk):
        """Whether the entries of a walk still stand in the machine, which is stopped."""
        tables = walk["tables"]
        for table, below in zip(tables, tables[1:]):
            self.assertEqual(int(table["target"], 16), int(below["table"], 16), walk)
        return all((self.monitor.word(int(table["table"], 16) + 8 * table["index"]) ^ int(table["entry"], 16)) & ~ACCESSED_AND_DIRTY == 0
                   for table in tables)

    def check_batch(self, process, addresses):
        """Compares a batch; returns the walks that were compared and the addresses whose tables changed meanwhile."""
        maps = self.maps(process)
        walks = self.walks(process, addresses)
        self.assertEqual([int(walk["address"], 16) for walk in walks], addresses)
        explanations = self.explanations(process, addresses)
        root = int(walks[0]["root"], 16)
        self.stop_in(process, root)
        is_running = self.monitor.root() == root
        pages, ranges = self.monitor.pages(), self.monitor.ranges()
        starts = [start for start, _, _ in ranges]
        compared, moved = [], []
        for walk, explanation, address in zip(walks, explanations, addresses):
            self.assertEqual(walk["canonical"], address < 1 << 47 or address >= TOP - (1 << 47), walk)
            is_visible = is_running or not walk["canonical"] or address >= self.user_limit
            if not is_visible or not self.is_steady(walk):
                moved.append(address)
                continue
            self.check_walk(walk, pages, ranges, starts)
            if explanation["live"]["tables"] == walk["summary"] and process != self.churning:
                region = next((region for start, end, region in maps if start <= address < end), None)
                self.check_explanation(explanation, walk, region)
            compared.append(walk)
        if process != self.churning:
            self.check_mappings(maps, ranges)
        self.monitor.go_on()
        return compared, moved

    def test_thousand_addresses_of_a_busy_kernel(self):
        processes = (2, 3, self.churning)
        maps = {process: self.maps(process) for process in processes}
        compared, moved, count = [], 0, {}
        again = {process: [] for process in maps}
        for turn in range(10 * ADDRESSES // BATCH):
            process = processes[turn % 3]
            addresses = again[process] + [self.draw(maps[process]) for _ in range(BATCH - len(again[process]))]
            walks, changed = self.check_batch(process, addresses)
            compared += walks
            moved += len(changed)
            again[process] = [] if process == self.churning else changed
            count[process] = count.get(process, 0) + len(walks)
            if len(compared) >= ADDRESSES and turn >= 3:
                break
        self.assertGreaterEqual(len(compared), ADDRESSES)
        rows = set()
        for walk in compared:
            address = int(walk["address"], 16)
            rows |= {row["name"] for row in self.rows if int(row["start"], 16) <= address < int(row["end"], 16)}
        self.assertEqual(rows, {row["name"] for row in self.rows})
        mapped = [walk for walk in compared if walk["mapped"]]
        large = [walk for walk in mapped if walk["page_size"] > PAGE]
        foreign = [walk for walk in compared if not walk["canonical"]]
        user = [walk for walk in mapped if walk["user"]]
        for kind in (mapped, large, foreign, user):
            self.assertGreater(len(kind), 10)
        self.assertTrue(any(walk["user"] for walk in large))
        print(f"    {len(compared)} addresses as QEMU sees them, seed {self.seed}: {len(mapped)} mapped ({len(user)} by programs, "
              f"{len(large)} in large pages), {len(foreign)} not canonical; {len(rows)} rows; by process {count}; {moved} asked again", flush=True)


class Shared(Inspecting):
    def test_one_frame_and_one_table(self):
        shared = self.busy()
        walks = {process: self.walks(process, [shared, shared + TABLE + 2 * PAGE, shared + 6 * PAGE]) for process in (1, 2, 3)}
        for one, *others in zip(*walks.values()):
            self.assertTrue(one["mapped"] and one["frame"]["kind"] == "object", one)
            for other in others:
                self.assertEqual(one["physical"], other["physical"])
                self.assertEqual(one["tables"][-1]["table"], other["tables"][-1]["table"])
            self.assertTrue(one["tables"][-1]["table_of_object"], one)
            self.assertNotEqual(one["root"], others[0]["root"])
        text = self.vellum("walk", "--process", 2, hex(shared))
        self.assertRegex(text, r"the table of level 1 is the object's own: \d+ entries name it")

    def test_segments_of_two_processes(self):
        output = self.start_program("attach").stdout
        places = [[int(word, 0) for word in output.readline().split()] for _ in range(2)]
        (one, one_large, one_small), (other, other_large, other_small) = places
        self.assertNotEqual(one_small, other_small)
        pages = (0, 2 * TABLE - PAGE, TABLE + PAGE)  # touched by both, by none, by both
        for offset in pages:
            ours, theirs = self.walks(one, [one_large + offset])[0], self.walks(other, [other_large + offset])[0]
            self.assertEqual(ours["mapped"], offset != pages[1], ours)
            self.assertEqual(ours.get("physical"), theirs.get("physical"))
            self.assertEqual(ours["tables"][-1]["table"], theirs["tables"][-1]["table"])
            self.assertTrue(ours["tables"][-1]["table_of_object"], ours)
            self.assertNotEqual(ours["root"], theirs["root"])
        ours, theirs = self.walks(one, [one_small + PAGE])[0], self.walks(other, [other_small + PAGE])[0]
        self.assertTrue(ours["mapped"], ours)
        self.assertEqual(ours["physical"], theirs["physical"])
        self.assertNotEqual(ours["tables"][-1]["table"], theirs["tables"][-1]["table"])


class Held(Inspecting):
    def test_before_the_end_until_it_is_told_to_go_on(self):
        process = self.start_run("--hold", "--name", "held", "busybox", "sh", "-c", "exit 3")
        self.assertEqual(self.held(process), 1)
        run = json.loads(self.vellum("ps", "--json"))["runs"][0]
        self.assertEqual((run["held"], run["name"], run["program"][0]), (1, "held", "busybox"))
        self.assertIn("[stack]", self.vellum("maps", "--run", "held"))
        self.assertIn("there is no process 77", self.vellum("maps", "--process", 77, status=1))
        self.assertIn("there is no run 'other'", self.vellum("maps", "--run", "other", status=1))
        self.assertIn("'12' is no address", self.vellum("walk", "12", status=2))
        self.vellum("continue", "--run", "held")
        self.assertEqual(process.wait(TIMEOUT), 3)
        self.assertIn("there is no run 'held', or it has ended", self.vellum("walk", "--run", "held", "0x1000", status=1))
        self.assertIn("nothing runs", self.vellum("walk", "0x1000", status=1))

    def test_at_a_fault_until_it_is_interrupted(self):
        (self.folder / "demo.c").write_text("int main(void) { int *p = 0; p[12] = 7; }")
        subprocess.run(["clang-19", "-static", "-o", self.folder / "demo", self.folder / "demo.c"], check=True)
        process = self.start_run("--hold", "./demo")
        self.assertEqual(self.held(process), 1)
        text = self.vellum("explain", "--live", "0x30")
        self.assertIn("A null pointer plus 0x30", text)
        self.assertRegex(text, r"mapping   none\n          4\.0 MiB .*above: 0x400000-0x401000 r--p .*demo")
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(TIMEOUT), 139)


class Debugger(Inspecting):
    def free_port(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return listener.getsockname()[1]

    def gdb(self, port, *commands):
        words = ["gdb", "-nx", "-batch", "-ex", "set architecture i386:x86-64", "-ex", f"target remote 127.0.0.1:{port}",
                 "-ex", f"source {ROOT / 'tool/gdb/vellum.py'}", "-ex", f'set $vellum = "{FRONT_DOOR}"']
        for command in commands:
            words += ["-ex", command]
        shown = subprocess.run([*words, "-ex", "detach"], capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        return shown.stdout

    def test_its_commands_agree_with_the_kernel(self):
        port = self.free_port()
        self.busy("--gdb", port)
        addresses = [0x401000, 0xFFFFFFFFFB801000, 0xFFFFFD0001000123, 0x12345000, 0x8000000000000000]
        kernel = self.walks(2, addresses)
        shown = self.gdb(port, *(f"walk {address:#x}" for address in addresses), "walk FFFFFD00.01000123", "maps kernel", "explain 0x30")
        walks = re.split(r"^address  ", shown, flags=re.MULTILINE)[1:]
        for walk, text in zip(kernel[1:3], walks[1:3]):  # the kernel's half is the same whatever runs
            self.assertIn(f"physical {walk['physical']}\n", text)
            self.assertIn("page     2 MiB, kernel rw-" if walk["page_size"] == TABLE else "page     4 KiB, kernel r-x", text)
        self.assertIn("page     none", walks[3])
        self.assertIn("no such address", walks[4])
        self.assertTrue(walks[5].startswith(walks[2]), "an address with a dot in its middle")
        self.assertRegex(shown, r"ffffffffc0000000-ffffffffc0001000 kernel r-- +4 KiB  core heap\n")
        self.assertRegex(shown, r"fffffffffb800000-[0-9a-f]+ kernel r-x +\d+ KiB  kernel text\n")
        self.assertIn("A null pointer plus 0x30", shown)
