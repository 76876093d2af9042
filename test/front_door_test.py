"""Tests of the front door itself: `./vellum` as a user calls it, and the counting of results."""

import json
import subprocess
import tempfile
import unittest
from pathlib import Path

from results import Tally, count_ctest

ROOT = Path(__file__).resolve().parent.parent
CANNOT = 125


def vellum(*arguments, cwd="/"):
    return subprocess.run([str(ROOT / "vellum"), *arguments], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True)


class Commands(unittest.TestCase):
    def test_help_names_every_command(self):
        shown = vellum("--help")
        self.assertEqual(shown.returncode, 0)
        for command in ("layout", "explain", "test", "fuzz", "bench", "build", "format", "run", "kernel", "doctor", "install"):
            self.assertIn(f"\n  {command}", shown.stdout)

    def test_no_command_is_a_usage_error(self):
        shown = vellum()
        self.assertEqual((shown.returncode, shown.stdout), (2, ""))
        self.assertIn("usage:", shown.stderr)

    def test_kernel_prints_the_path_of_an_image(self):
        shown = vellum("kernel")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertEqual(Path(shown.stdout.rstrip("\n")).read_bytes()[:4], b"\x7fELF")

    def test_doctor_speaks_of_packages_and_of_what_runs_programs(self):
        shown = vellum("doctor")
        self.assertEqual(shown.returncode, 0, shown.stdout)
        for subject in ("packages      all for: build", "QEMU", "kernel image", "engine"):
            self.assertIn(subject, shown.stdout)
        self.assertEqual(json.loads(vellum("doctor", "--json").stdout)["schema"], "vellum.doctor/1")

    def test_what_is_installed_works_by_itself(self):
        with tempfile.TemporaryDirectory() as folder:
            shown = vellum("install", "--prefix", folder)
            self.assertEqual((shown.returncode, shown.stdout), (0, ""), shown.stderr)
            program = f"{folder}/bin/vellum"
            ran = subprocess.run([program, "run", "busybox", "echo", "installed"], cwd="/", stdin=subprocess.DEVNULL, capture_output=True,
                                 text=True)
            self.assertEqual((ran.returncode, ran.stdout), (0, "installed\n"), ran.stderr)
            self.assertTrue(list(Path(folder).rglob("VellumConfig.cmake")))
            self.assertIn("--memory", Path(f"{folder}/share/man/man1/vellum-run.1").read_text().replace("\\-", "-"))
            completion = f"""PATH={folder}/bin:$PATH; . {folder}/share/bash-completion/completions/vellum
                COMP_WORDS=(vellum run --me); COMP_CWORD=2; _vellum; echo "${{COMPREPLY[@]}}"
                COMP_WORDS=(vellum lay); COMP_CWORD=1; _vellum; echo "${{COMPREPLY[@]}}" """
            done = subprocess.run(["bash", "-c", completion], stdin=subprocess.DEVNULL, capture_output=True, text=True)
            self.assertEqual(done.stdout, "--memory\nlayout\n", done.stderr)

    def test_install_says_where_it_cannot(self):
        shown = vellum("install", "--prefix", "/proc/nowhere")
        self.assertEqual((shown.returncode, shown.stdout), (CANNOT, ""))
        self.assertEqual(vellum("install", "--nonsense").returncode, 2)

    def test_run_says_what_it_does_not_find(self):
        shown = vellum("run", "--", "no-such-program")
        self.assertEqual((shown.returncode, shown.stdout), (127, ""))
        self.assertIn("command not found", shown.stderr)

    def test_data_stands_alone_on_stdout_whatever_the_folder(self):
        shown = vellum("layout", "--json")
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertIn("schema", json.loads(shown.stdout))

    def test_picture_in_the_readme_is_what_the_tool_draws(self):
        drawn = vellum("layout").stdout.splitlines()
        text = (ROOT / "README.md").read_text()
        picture = [line[4:] for line in text.splitlines() if line[4:].strip().startswith(("0x", "|", ":"))]
        self.assertGreater(len(picture), 20)
        for line in picture:
            if "..." not in line:
                self.assertIn(line, drawn)

    def test_exit_status_of_the_tool_is_passed_on(self):
        shown = vellum("no-such-command")
        self.assertEqual((shown.returncode, shown.stdout), (2, ""))


class Counting(unittest.TestCase):
    def count(self, ctest, reports=()):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            tests = "".join(f'<testcase name="{name}" status="{status}"/>' for name, status in ctest.items())
            (folder / "ctest.xml").write_text(f"<testsuite>{tests}</testsuite>")
            for name, cases in dict(reports).items():
                (folder / f"{name}.xml").write_text(cases)
            return count_ctest(folder / "ctest.xml", folder)

    PASSED = '<testcase classname="S" name="A" result="completed"/>'
    FAILED = '<testcase classname="S" name="B" result="completed"><failure/></testcase>'
    SKIPPED = '<testcase classname="S" name="C" result="skipped"><skipped/></testcase>'

    def test_cases_count_one_by_one(self):
        report = f"<testsuites>{self.PASSED * 3}{self.FAILED}</testsuites>"
        self.assertEqual(self.count({"t": "fail", "boot": "run"}, {"t": report}), Tally(4, ["t: S.B"]))

    def test_skipped_case_has_failed(self):
        report = f"<testsuites>{self.PASSED}{self.SKIPPED}</testsuites>"
        self.assertEqual(self.count({"t": "run"}, {"t": report}), Tally(1, ["t: S.C (not run)"]))

    def test_crash_without_report_has_failed(self):
        self.assertEqual(self.count({"t": "fail"}), Tally(0, ["t (failed)"]))

    def test_crash_after_the_last_case_has_failed(self):
        report = f"<testsuites>{self.PASSED}</testsuites>"
        self.assertEqual(self.count({"t": "fail"}, {"t": report}), Tally(1, ["t (failed)"]))

    def test_cut_report_has_failed(self):
        self.assertEqual(self.count({"t": "fail"}, {"t": "<testsuites><testcase"}), Tally(0, ["t (its report is cut off)"]))

    def test_test_that_was_not_run_has_failed(self):
        for status in ("notrun", "disabled"):
            self.assertEqual(self.count({"t": status}), Tally(0, ["t (not run)"]))

    def test_nothing_at_all_has_failed(self):
        self.assertEqual(self.count({}), Tally(0, ["no test was found"]))
        self.assertEqual(self.count({"t": "run"}, {"t": "<testsuites></testsuites>"}), Tally(0, ["t (has no case)"]))
