"""Faults and memory shortages in words, and the report, from records that a played kernel tells: fault_test.py PROGRAM."""

import json
import re
import subprocess
import unittest

from run_test import Case

DEMO = """
struct node { char name[42]; long value; };
void set(struct node *n) { n->value = 7; }
void other(void) {}
int main(void) { set(0); other(); return 0; }
"""
STORE = "48 c7 47 2a 07 00 00 00 c3"  # movq $7, 42(%rdi); ret
HEAP_END = 0x4d3000
MAPS = """\
00400000-00401000 r--p 00000000 00:1f 123                                {demo}
00401000-00480000 r-xp 00001000 00:1f 123                                {demo}
00480000-004a0000 r--p 00080000 00:1f 123                                {demo}
004d0000-004d3000 rw-p 00000000 00:00 0                                  [heap]
7fff0000-7fff1000 ---p 00000000 00:00 0
fffffc7fffdff000-fffffc7fffe00000 rw-p 00000000 00:00 0                  [stack]
"""


class Faults(Case):
    def fault(self, **members):
        return {"schema": "vellum.fault/1", "pid": 7, "command": "demo", "signal": 11, "code": 1, "access": "write",
                "address": "0x2a", "verdict": "no_mapping", "instruction": "0x401620", "bytes": STORE,
                "registers": {"rdi": "0x0", "rsp": "0xfffffc7fffdffe00"},
                "maps": MAPS.format(demo=self.folder / "demo")} | members

    def explained(self, *options, wait_status=11, **members):
        record = {name: value for name, value in self.fault(**members).items() if value is not None}
        shown = self.play(f"peer.send(FAULT, {json.dumps(record).encode()!r}); peer.exit({wait_status})", *options)
        self.assertEqual((shown.returncode, shown.stdout), (128 + wait_status, b""))
        self.assertLessEqual(max(map(len, re.findall("^  (?:why|layout|  ) .*", shown.stderr.decode(), re.MULTILINE))), 122)
        return re.sub("\n {14}", " ", shown.stderr.decode())

    def assert_says(self, text, *parts):
        for part in parts:
            self.assertIn(part, text)

    def test_null_pointer(self):
        self.assert_says(self.explained(), "vellum: demo (pid 7) stopped: SIGSEGV (SEGV_MAPERR)\n",
                         "write of 8 bytes to 0x2a\n", " movq $0x07, 0x2A(%rdi)      rdi=0x0\n",
                         "nothing is mapped there. A null pointer plus 0x2a (42)", "invalid, 0x0 to 0xffff",
                         "0x400000-0x401000 r--p", "4.0 MiB above",
                         "demo[7]: segfault at 2a ip 0000000000401620 sp fffffc7fffdffe00 error 6 in demo[401000+7f000]\n",
                         "vellum explain 0x2a --user illumos --memory 512M\n")

    def test_symbol_and_line(self):
        (self.folder / "demo.c").write_text(DEMO)
        demo = self.folder / "demo"
        for options in (["-static"], ["-static-pie"], ["-static", "-gdwarf-4", "-gdwarf-aranges"]):
            subprocess.run(["clang-19", "-g", "-O1", "-fno-inline", *options, "-o", demo, self.folder / "demo.c"], check=True)
            symbols = subprocess.run(["nm", demo], check=True, capture_output=True, text=True).stdout
            address = int(re.search(r"^([0-9a-f]+) T set$", symbols, re.MULTILINE)[1], 16)
            segments = subprocess.run(["readelf", "-lW", demo], check=True, capture_output=True, text=True).stdout
            bias = 0x4000000 if options == ["-static-pie"] else 0
            maps = ""
            for match in re.finditer(r"^ +LOAD +(\S+) (\S+) \S+ (\S+) \S+ (...)", segments, re.MULTILINE):
                offset, start, size = (int(text, 16) for text in match.groups()[:3])
                end = (start + size + 0xfff) & ~0xfff
                maps += f"{(start & ~0xfff) + bias:08x}-{end + bias:08x} r-xp {offset & ~0xfff:08x} 00:1f 123   {demo}\n"
            shown = self.explained(instruction=hex(address + bias), maps=maps)
            self.assertRegex(shown, rf"code +{address + bias:#x}  set  \(demo.c:3\)  in {demo} ")
            self.assertIn("set+0x8  (demo.c:3)", self.explained(instruction=hex(address + bias + 8), maps=maps))

    def test_file_that_a_bind_shows(self):
        (self.folder / "demo.c").write_text(DEMO)
        subprocess.run(["clang-19", "-g", "-O1", "-fno-inline", "-static", "-o", self.folder / "demo", self.folder / "demo.c"], check=True)
        symbols = subprocess.run(["nm", self.folder / "demo"], check=True, capture_output=True, text=True).stdout
        address = int(re.search(r"^([0-9a-f]+) T other$", symbols, re.MULTILINE)[1], 16)
        shown = self.explained("--bind", f"{self.folder}:/there", instruction=hex(address), maps=MAPS.format(demo="/there/demo"))
        self.assertIn("other  (demo.c:4)  in /there/demo", shown)

    def test_past_and_below_a_mapping(self):
        self.assert_says(self.explained(address=hex(HEAP_END + 16)), "16 bytes past the end of [heap]", "[heap], 16 bytes below")
        self.assertIn("directly past the end of [heap]", self.explained(address=hex(HEAP_END)))
        self.assertIn("32 bytes below [heap]", self.explained(address=hex(0x4d0000 - 32)))
        self.assertIn("nor near it", self.explained(address="0x5000000"))

    def test_stack_overflow(self):
        self.assertIn("A stack overflow", self.explained(address="0xfffffc7fff5fff00"))

    def test_denied(self):
        denied = {"verdict": "access_denied", "code": 2}
        shown = self.explained(address="0x401010", **denied)
        self.assert_says(shown, "SEGV_ACCERR", "never written: the program's text", "r-xp", "16 bytes into it", "error 7 in")
        self.assertIn("mapped read-only: constants", self.explained(address="0x480010", **denied))
        self.assertIn("a guard, or memory that is reserved", self.explained(address="0x7fff0010", access="read", **denied))
        shown = self.explained(address="0x4d0010", instruction="0x4d0010", access="execute", **denied)
        self.assert_says(shown, "execution of 0x4d0010", "data is not executed", "error 15")

    def test_execution_of_null(self):
        shown = self.explained(address="0x0", instruction="0x0", access="execute", bytes="",
                               stack="23 16 40 00 00 00 00 00 00 00 00 00 00 00 00 00")
        self.assert_says(shown, "a call through a null function pointer", "error 14", "0x401623")

    def test_kernel_address(self):
        self.assertIn("the address is the kernel's", self.explained(address="0xfffffffffb800000"))
        self.assertIn("The number -2 taken for a pointer", self.explained(address="0xfffffffffffffffe"))

    def test_no_address_at_all(self):
        shown = self.explained(address=None, verdict="non_canonical", code=128, registers={"rdi": "0x1234567800000000"})
        self.assert_says(shown, "(SI_KERNEL)", "an address that is none", "rdi=0x1234567800000000 is no address",
                         "traps: demo[7] general protection fault ip:401620")

    def test_other_signals(self):
        none = {"access": None, "address": None}
        shown = self.explained(signal=8, code=1, verdict="divide", bytes="f7 f9", wait_status=8, registers={"rcx": "0x0"}, **none)
        self.assert_says(shown, "SIGFPE (FPE_INTDIV)", "idiv %ecx", "rcx=0x0", "divided by zero", "trap divide error ip:401620")
        shown = self.explained(signal=4, code=2, verdict="illegal", bytes="0f 0b", wait_status=4, **none)
        self.assert_says(shown, "SIGILL (ILL_ILLOPN)", "ud2", "trap invalid opcode")
        for verdict, number in (("stack_segment", 7), ("floating_point", 8), ("alignment", 7), ("breakpoint", 5)):
            self.assertIn("  why  ", self.explained(signal=number, verdict=verdict, wait_status=number, **none))
        shown = self.explained(signal=7, code=2, verdict="bus_error", address="0x480010", wait_status=7)
        self.assert_says(shown, "SIGBUS (BUS_ADRERR)", "past the end of the file")

    def test_shortages(self):
        shown = self.explained("--memory", "64M", signal=9, code=128, verdict="out_of_memory", wait_status=9,
                               memory={"limit": 60 << 20, "resident": 58 << 20})
        self.assert_says(shown, "demo (pid 7) killed: out of memory", "58 MiB of the 60 MiB", "--memory SIZE",
                         "Out of memory: Killed process 7 (demo)")
        account = {"holders": [{"pid": 7, "command": "demo", "resident": 50 << 20, "tables": 8 << 20, "reserved": 1 << 30, "locked": 0}],
                   "living": 3, "objects": [{"name": "/dev/shm/x", "resident": 1 << 20}],
                   "machine": {"anonymous": 51 << 20, "free": 4096, "promised": 2 << 30}}
        shown = self.explained("--memory", "64M", signal=9, code=128, verdict="out_of_memory", wait_status=9,
                               memory={"limit": 60 << 20, "resident": 58 << 20}, **account)
        self.assert_says(shown, "demo (pid 7): 50 MiB resident, 8 MiB of tables, 1 GiB reserved, 0 locked", "and 2 smaller ones",
                         "/dev/shm/x: 1 MiB resident", "51 MiB private", "4 KiB free; 2 GiB reserved")
        shown = self.explained("--vmem", "1G", verdict="over_budget", wait_status=9, memory={"limit": 1 << 30, "refused": 1 << 20}, **account)
        self.assert_says(shown, "demo (pid 7) was refused 1 MiB: over the budget of --vmem", "may reserve 1 GiB")
        shown = self.explained(signal=9, code=128, verdict="too_many_processes", wait_status=9, processes=300)
        self.assert_says(shown, "demo (pid 7) killed: too many processes", "300 were ended together")

    def test_records_that_lack_members_or_have_wrong_ones(self):
        for record in ({}, {"verdict": 3}, {"maps": 3, "registers": [], "bytes": {}, "memory": 1, "address": {}}, {"verdict": "out_of_memory"},
                       {"address": "0xzz", "registers": {"rdi": None}, "maps": "00-zz\n1-0 rw-p\n", "bytes": "zz"}):
            shown = self.play(f"peer.send(FAULT, {json.dumps(record).encode()!r}); peer.exit(11)")
            self.assertEqual(shown.returncode, 139)
        for text in ("", "{", "[]", "3"):
            shown = self.play(f"peer.send(FAULT, {text.encode()!r}); peer.exit(11)")
            self.assertEqual(shown.returncode, 139)
            self.assertIn("no JSON", shown.stderr.decode())

    def report(self, actions, *options):
        path = self.folder / "report.json"
        status = self.play(actions, "--report", path, *options).returncode
        report = json.loads(path.read_text())
        self.assertEqual((report["schema"], report["status"]), ("vellum.report/1", status))
        return report

    def test_report(self):
        counters = json.dumps({"schema": "vellum.report/1", "status": 99, "peak_resident": 4096, "faults": {"zero_fill": 3}})
        fault = json.dumps(self.fault())
        report = self.report(f"""
            peer.send(LOG, b'no such call')
            peer.output(b'x')
            peer.send(FAULT, {fault.encode()!r})
            peer.send(REPORT, {counters.encode()!r})
            peer.exit(11)""", "--memory", "128M", "--user", "linux")
        self.assertEqual((report["memory"], report["user"], report["engine"]), (128 << 20, "linux", "tcg"))
        self.assertEqual(report["verdict"], {"reason": "signal", "signal": 11})
        self.assertEqual((report["peak_resident"], report["faults"]), (4096, {"zero_fill": 3}))
        self.assertEqual(report["log"], ["no such call"])
        (recorded,) = report["fatal_faults"]
        self.assertIn("null pointer", recorded.pop("explanation"))
        self.assertEqual(recorded, self.fault())
        self.assertLessEqual(report["time"]["first_output_seconds"], report["time"]["wall_seconds"])

    def test_verdicts(self):
        memory = json.dumps(self.fault(verdict="out_of_memory", signal=9))
        for reason, actions, *options in (
                ("exited", "peer.exit(3 << 8)"), ("signal", "peer.exit(9)"),
                ("out_of_memory", f"peer.send(FAULT, {memory.encode()!r}); peer.exit(9)"),
                ("time_limit", "time.sleep(60)", "--time", "0.1"),
                ("vellum_failed", "peer.say('panic: x\\n'); time.sleep(60)")):
            self.assertEqual(self.report(actions, *options)["verdict"]["reason"], reason)

    def test_report_that_cannot_be_written(self):
        shown = self.play("peer.exit(0)", "--report", "/no/such/folder/report.json")
        self.assertEqual(shown.returncode, 125)
        self.assertIn("could not be written", shown.stderr.decode())


if __name__ == "__main__":
    unittest.main()
