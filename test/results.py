"""Counts what a build tree's ctest run proved: GoogleTest cases one by one, every other test as one."""

from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree


@dataclass
class Tally:
    passed: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failures += other.failures


def count_cases(report: Path, program: str) -> Tally:
    """The cases of one GoogleTest program by its XML report. A case that was skipped or disabled has failed: nothing
    here may be left out silently."""
    tally = Tally()
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{program}: {case.get('classname')}.{case.get('name')}"
        if case.find("failure") is not None:
            tally.failures.append(name)
        elif case.get("result") != "completed":
            tally.failures.append(f"{name} (not run)")
        else:
            tally.passed += 1
    return tally


def count_ctest(junit: Path, reports: Path) -> Tally:
    """All tests of a ctest run: `junit` is ctest's own report, `reports` the folder where the GoogleTest programs of
    that run left theirs. A program that ctest calls failed counts at least one failure, whatever its report says (it
    may have crashed, hung, or leaked after its last case)."""
    tally = Tally()
    tests = list(ElementTree.parse(junit).iter("testcase"))
    if not tests:
        tally.failures.append("no test was found")
    for test in tests:
        program = test.get("name")
        report = reports / f"{program}.xml"
        status = test.get("status")
        cases = Tally()
        try:
            if report.exists():
                cases = count_cases(report, program)
                if cases == Tally():
                    cases.failures.append(f"{program} (has no case)")
            elif status == "run":
                cases.passed = 1
        except ElementTree.ParseError:
            cases.failures.append(f"{program} (its report is cut off)")
        if status != "run" and not cases.failures:
            cases.failures.append(f"{program} ({'failed' if status == 'fail' else 'not run'})")
        tally.add(cases)
    return tally
