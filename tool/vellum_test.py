"""The vellum command as a user calls it: vellum_test.py PROGRAM."""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

PROGRAM = sys.argv.pop(1)
ARCHES = [("amd64", "illumos"), ("amd64", "linux"), ("amd64", "i386"), ("i386", "illumos")]


def vellum(*arguments):
    return subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


class Case(unittest.TestCase):
    def ok(self, *arguments):
        """What a good use prints; it says nothing on stderr."""
        shown = vellum(*arguments)
        self.assertEqual((shown.returncode, shown.stderr), (0, ""), arguments)
        return shown.stdout

    def json(self, *arguments):
        return json.loads(self.ok(*arguments, "--json"))

    def refused(self, status, pattern, *arguments):
        """A use that fails prints its reason, and nothing on stdout."""
        shown = vellum(*arguments)
        self.assertEqual((shown.returncode, shown.stdout), (status, ""), arguments)
        self.assertRegex(shown.stderr, pattern)


class Help(Case):
    def test_help_of_the_command_names_subcommands_and_examples(self):
        shown = self.ok("--help")
        for word in ("layout", "explain", "run", "Examples:", "Exit status"):
            self.assertIn(word, shown)
        self.assertEqual(shown, self.ok("help"))

    def test_help_of_each_subcommand_has_examples_that_work(self):
        for name in ("layout", "explain"):
            shown = self.ok(name, "--help")
            self.assertEqual(shown, self.ok("help", name))
            examples = re.findall(r"^  vellum (.*?)(?:   .*| \|.*)?$", shown, re.MULTILINE)
            self.assertGreater(len(examples), 2)
            for example in examples:
                if "--live" not in example and "--run" not in example:  # these need a run
                    self.ok(*example.split())

    def test_commands_that_look_into_runs(self):
        with tempfile.TemporaryDirectory() as folder:
            alone = os.environ | {"XDG_RUNTIME_DIR": folder}
            for words in (("walk", "0x1000"), ("maps",), ("explain", "--live", "0x1000"), ("layout", "--live"), ("continue",)):
                self.assertIn("Usage", self.ok(words[0], "--help"))
                shown = subprocess.run([PROGRAM, *words], env=alone, capture_output=True, text=True)
                self.assertEqual((shown.returncode, shown.stdout), (1, ""), words)
                self.assertIn("nothing runs; start a program with `vellum run`", shown.stderr)
            self.assertEqual(json.loads(subprocess.run([PROGRAM, "ps", "--json"], env=alone, capture_output=True).stdout)["runs"], [])
            for words in (("walk",), ("walk", "12"), ("walk", "0x1", "--process", "x"), ("explain", "--live", "--memory", "1G", "0x1"),
                          ("layout", "--process", "1"), ("layout", "--live", "--markdown")):
                self.assertEqual(subprocess.run([PROGRAM, *words], env=alone, capture_output=True).returncode, 2, words)

    def test_help_of_run_names_its_options_and_statuses(self):
        shown = self.ok("run", "--help")
        self.assertEqual(shown, self.ok("help", "run"))
        for word in ("--memory", "--vmem", "--user", "--bind", "--env", "--report", "--strace", "--kernel-log", "--time", "--engine",
                     "Examples:", "124", "125", "126", "127", "128 + N"):
            self.assertIn(word, shown)

    def test_doctor_says_what_was_found_and_what_is_missing(self):
        with_qemu = vellum("doctor", "--json")
        findings = {one["subject"]: one for one in json.loads(with_qemu.stdout)["findings"]}
        self.assertLessEqual({"QEMU", "kernel image", "engine", "memory", "processors"}, set(findings))
        self.assertEqual(with_qemu.returncode, int("missing" in {one["state"] for one in findings.values()}))
        without = subprocess.run([PROGRAM, "doctor"], env={"VELLUM_QEMU": "/nonexistent/qemu", "PATH": "/usr/bin:/bin"},
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        self.assertEqual(without.returncode, 1)
        self.assertRegex(without.stdout, r"missing  QEMU .*/nonexistent/qemu(.|\n)*to mend: apt-get install qemu-system-x86")

    def test_version(self):
        self.assertRegex(self.ok("--version"), r"^vellum \d+\.\d+\.\d+\n$")


class BadUse(Case):
    def test_no_or_unknown_command(self):
        self.refused(2, "subcommand is required")
        self.refused(2, "no command 'lay'", "lay")
        self.refused(2, "no command 'lay'", "help", "lay")

    def test_values_that_mean_nothing_name_what_is_accepted(self):
        self.refused(2, r"'arm' is none of amd64\|i386", "layout", "--arch", "arm")
        self.refused(2, r"'foo' is none of illumos\|linux\|i386", "layout", "--user", "foo")
        for size in ("lots", "-1G", "1.5G", "4X", "4Gx", "4 G", "17179869184G", "99999999999999999999"):
            self.refused(2, "is no size; write 64M, 4G", "layout", f"--memory={size}")
        for address in ("", "42", "0x", "fbc00000", "0x12345678123456789", "FFFFFFFF.FBC0", "0x1.5", "12.5", "0x1__2",
                        "_12345678", "12345678_", "0xfoo", "0x-1", " 0x1"):
            self.refused(2, "is no address; write 0x2a", "explain", address)

    def test_options_that_do_not_go_together(self):
        self.refused(2, "--arch i386 the only one is illumos", "layout", "--arch", "i386", "--user", "linux")
        self.refused(2, "--arch i386 the only one is illumos", "explain", "0x1", "--arch", "i386", "--user", "i386")
        self.refused(2, "excludes", "layout", "--json", "--markdown")

    def test_options_of_run(self):
        self.refused(2, "PROGRAM is required", "run")
        self.refused(2, "PROGRAM is required", "run", "--strace", "--")
        self.refused(2, "--bogus", "run", "--bogus", "true")
        self.refused(2, "'lots' is no size", "run", "--memory", "lots", "true")
        self.refused(2, "is not between", "run", "--memory", "63M", "true")
        self.refused(2, r"'i386' is none of illumos\|linux", "run", "--user", "i386", "true")
        self.refused(2, r"'fast' is none of auto\|tcg\|kvm", "run", "--engine", "fast", "true")
        self.refused(2, "is no folder", "run", "--bind", "/no/such/folder", "true")
        self.refused(2, "is no absolute path", "run", "--bind", "/tmp:there", "true")
        self.refused(2, "at most 6 folders", "run", *["--bind", "/tmp:/there"] * 7, "true")
        self.refused(2, "is no variable", "run", "--env", "=x", "true")
        for seconds in ("0", "-1", "soon", "", "1s"):
            self.refused(2, "is no number of seconds", "run", f"--time={seconds}", "true")

    def test_unknown_or_missing_arguments(self):
        self.refused(2, "--bogus", "layout", "--bogus")
        self.refused(2, "0x2a", "layout", "0x2a")
        self.refused(2, "ADDRESS is required", "explain")
        self.refused(2, "--memory", "layout", "--memory")


class NoAnswer(Case):
    def test_memory_without_a_layout_is_refused_with_the_missing_amount(self):
        self.refused(1, "kernel heap would be too small: .* are missing", "layout", "--memory", "17T")
        self.refused(1, "kernel half is too small .* too much", "layout", "--memory", "20T")
        self.refused(1, "at least 16 MiB", "layout", "--memory", "1M")
        self.refused(1, "at most 64 GiB", "layout", "--memory", "65G", "--arch", "i386")

    def test_also_as_json(self):
        shown = vellum("layout", "--memory", "20T", "--json")
        self.assertEqual(shown.returncode, 1)
        document = json.loads(shown.stdout)
        self.assertEqual((document["schema"], document["error"]["rule"]), ("vellum.layout/1", "regions_fit"))
        self.assertGreater(document["error"]["required"], document["error"]["available"])

    def test_address_that_the_processor_does_not_have(self):
        self.refused(1, "above the 4 GiB", "explain", "0x100000000", "--arch", "i386")
        shown = vellum("explain", "0x100000000", "--arch", "i386", "--json")
        self.assertEqual((shown.returncode, json.loads(shown.stdout)["region"]), (1, None))


class Layout(Case):
    def test_json_covers_the_space_without_a_gap(self):
        for arch, user in ARCHES:
            document = self.json("layout", "--arch", arch, "--user", user)
            self.assertEqual((document["schema"], document["arch"], document["user"], document["memory"]),
                             ("vellum.layout/1", arch, user, 4 << 30))
            expected_end = 1 << (64 if arch == "amd64" else 32)
            for region in document["regions"]:
                self.assertEqual(int(region["end"], 16), expected_end, region)
                expected_end = int(region["start"], 16)
                self.assertEqual(int(region["end"], 16) - expected_end, region["size"])
                self.assertTrue(region["purpose"].endswith("."))
            self.assertEqual(expected_end, 0)

    def test_sizes_are_powers_of_two_however_they_are_spelled(self):
        for size in ("2G", "2g", "2GiB", "2GB", "2048M", "2147483648"):
            self.assertEqual(self.json("layout", "--memory", size)["memory"], 2 << 30)

    def test_picture_shows_every_region_and_its_address(self):
        for arch, user in ARCHES:
            options = ("layout", "--arch", arch, "--user", user)
            picture = self.ok(*options)
            for region in self.json(*options)["regions"]:
                address = region["start"][2:].upper().rjust(16 if arch == "amd64" else 8, "0")
                self.assertIn("0x" + (f"{address[:8]}.{address[8:]}" if arch == "amd64" else address), picture)
                for shown in (region, *region.get("parts", ())):
                    self.assertRegex(picture, rf"(?m)[|:] +{re.escape(shown['name'])} ")
            self.assertFalse(re.search(r" +$", picture, re.MULTILINE))
            self.assertLessEqual(max(map(len, picture.splitlines())), 100)

    def test_markdown_is_a_table(self):
        columns = {line.count(" | ") for line in self.ok("layout", "--markdown").splitlines()[2:]}
        self.assertEqual(len(columns), 1)

    def test_bases_move_down_above_256_gigabytes(self):
        self.assertIn("0xFFFFFC80.00000000  |", self.ok("layout", "--memory", "256G"))
        self.assertIn("0xFFFFFA80.00000000  |", self.ok("layout", "--memory", "512G"))


class Explain(Case):
    def test_spellings_of_an_address(self):
        for address in ("0xfffffffffbc00000", "0xFFFFFFFF.FBC00000", "FFFFFFFF.FBC00000", "FFFFFFFF_FBC00000",
                        "ffff_ffff_fbc0_0000", "0XFFFFFFFF_FBC00000"):
            document = self.json("explain", address)
            self.assertEqual((document["address"], document["region"]["name"]), ("0xfffffffffbc00000", "kernel data"))

    def test_null_pointer(self):
        shown = self.ok("explain", "0x2a")
        for words in ("invalid", "null pointer plus 0x2a (42)", "SEGV_MAPERR", "EFAULT", "low programs"):
            self.assertIn(words, shown)

    def test_json(self):
        document = self.json("explain", "FFFFFC7F.FF5FFF00")
        self.assertEqual(document["schema"], "vellum.explain/1")
        self.assertEqual(document["clue"]["kind"], "stack_overflow")
        self.assertEqual(int(document["clue"]["value"], 16), 256)
        self.assertEqual(document["user_access"]["write"]["outcome"], "signal_unmapped")
        self.assertEqual((document["above"]["name"], document["above"]["distance"]), ("user stack", 256))
        self.assertEqual((document["below"]["name"], document["below"]["distance"]), ("room under the stack", 0xfff00))

    def test_ends_of_the_space(self):
        self.assertIsNone(self.json("explain", "0x0")["below"])
        self.assertIsNone(self.json("explain", "0xffffffffffffffff")["above"])
        self.assertIn("-1 taken for a pointer", self.ok("explain", "0xffffffff", "--arch", "i386"))

    def test_every_region_is_found_where_the_layout_draws_it(self):
        for arch, user in ARCHES:
            options = ("--arch", arch, "--user", user)
            for region in self.json("layout", *options)["regions"]:
                self.assertEqual(self.json("explain", region["start"], *options)["region"], region)


if __name__ == "__main__":
    unittest.main()
