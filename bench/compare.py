#!/usr/bin/env python3
"""Compares what memory operations cost on Debian's Linux 6.1 and on Vellum: one static program, run on both kernels in the
same QEMU, counts guest instructions with the time-stamp counter (see README.md). Prints a table of medians."""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "test/system"))

import boot  # noqa: E402
import cpio  # noqa: E402
import guest  # noqa: E402
from linux_kernel import Unavailable  # noqa: E402
from operations import BOOT_OPERATIONS, OPERATIONS  # noqa: E402

GUEST = Path(__file__).resolve().parent / "guest"
MEMORY = "1G"
STATISTICS = ("median", "min", "p90", "max")


class BenchError(Exception):
    pass


def guest_entries(names):
    bench = guest.build(*sorted(GUEST.glob("*_metrics.cpp")), GUEST / "main.cpp")
    smallest = guest.build(GUEST / "exit.cpp", flags=["-nostdlib", "-fno-stack-protector"])
    entries = [*guest.nodes(), cpio.file("init", bench.read_bytes(), 0o755), cpio.file("exit", smallest.read_bytes(), 0o755)]
    if names:
        entries.append(cpio.file("metrics", "\n".join(names).encode()))
    return entries


def parse(output):
    """From the guest's lines: a dictionary of statistics for each metric, or of the reason why it failed."""
    results = {}
    name = None
    for line in output.splitlines():
        words = line.split()
        if words[:1] == ["begin"]:
            name = words[1]
            results[name] = {"failed": "no result"}
        elif words[:1] == ["metric"] and len(words) > 3 and words[2] in STATISTICS:
            results[words[1]] = {key: float(value) for key, value in zip(words[2::2], words[3::2])}
        elif words[:1] == ["failed"] and name:
            results[name] = {"failed": " ".join(words[1:])}
    return results


def measure_boot(kernel, timeout):
    try:
        costs = [boot.boot_cost(kernel, memory, timeout=timeout) for memory in ("256M", "1G", "2G")]
    except boot.NoStart as error:
        return {operation.name: {"failed": str(error)} for operation in BOOT_OPERATIONS}
    return {"boot": {"median": costs[0]}, "boot_gigabyte": {"median": costs[2] - costs[1]}}


def measure(kernel, names, timeout):
    """The results of the metrics that the guest's program knows, all or those named."""
    result = guest.boot(kernel, guest_entries(names), memory=MEMORY, machine="pc", count_instructions=True, timeout=timeout)
    results = parse(result.output)
    if not re.search(r"^done$", result.output, re.MULTILINE):
        print(f"{kernel.name}: the run did not end; its last lines:", *result.output.splitlines()[-15:], sep="\n  ",
              file=sys.stderr)
        if not results:
            raise BenchError(f"{kernel.name} measured nothing")
    return results


def number(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def cell(results, name):
    metric = results.get(name)
    if not metric:
        return None, "-"
    if "failed" in metric:
        return None, "failed"
    return metric["median"], number(metric["median"])


def rows(operations, by_kernel):
    """The table's rows as words: operation, each kernel, the first's multiple of the last, goal, verdict."""
    for operation in operations:
        values, words = zip(*(cell(results, operation.name) for results in by_kernel.values()))
        ratio = f"{values[0] / values[-1]:.1f}" if len(values) > 1 and None not in values and values[-1] else ""
        goal, verdict = "", ""
        if operation.goal and "Vellum" in by_kernel:
            goal = number(operation.goal)
            measured = values[list(by_kernel).index("Vellum")]
            if measured is not None:
                verdict = "yes" if measured <= 2 * operation.goal else f"no: {measured / operation.goal:.1f} G"
        elif operation.goal:
            goal = number(operation.goal)
        yield [operation.title, *words, ratio, goal, verdict]


def print_table(operations, by_kernel, markdown):
    header = ["operation", *by_kernel, "ratio", "goal G", "within 2 G"]
    table = [header, *rows(operations, by_kernel)]
    if markdown:
        print("| " + " | ".join(header) + " |")
        print("|---" + "|---:" * (len(header) - 2) + "|---|")
        for row in table[1:]:
            print("| " + " | ".join(row) + " |")
        return
    widths = [max(len(row[column]) for row in table) for column in range(len(header))]
    for row in table:
        print("  ".join(word.ljust(width) if column == 0 or column == len(header) - 1 else word.rjust(width)
                        for column, (word, width) in enumerate(zip(row, widths))).rstrip())


def measure_all(kernel, names, timeout):
    boots = {operation.name for operation in BOOT_OPERATIONS}
    in_guest = [name for name in names if name not in boots]
    results = measure(kernel, in_guest, timeout) if in_guest or not names else {}
    if not names or boots & set(names):
        results |= measure_boot(kernel, timeout)
    return results


def main():
    parser = argparse.ArgumentParser(prog="vellum bench", description=__doc__)
    parser.add_argument("--kernel", choices=["linux", "linux-tuned", "vellum"], action="append",
                        help="measure only this one (may be given more than once; default: linux and vellum)")
    parser.add_argument("--only", metavar="METRIC", action="append", help="measure only this metric (more than once)")
    parser.add_argument("--image", help="Vellum's kernel image")
    parser.add_argument("--json", metavar="FILE", help="also write all statistics as JSON (- for standard output alone)")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--list", action="store_true", help="list the metrics")
    parser.add_argument("--timeout", type=float, default=300, help="seconds for each kernel (%(default)s)")
    options = parser.parse_args()
    operations = OPERATIONS + BOOT_OPERATIONS
    if options.list:
        for operation in operations:
            print(f"{operation.name:32}{operation.title}")
        return 0
    if unknown := set(options.only or ()) - {operation.name for operation in operations}:
        parser.error(f"no such metric: {', '.join(sorted(unknown))}; --list shows them")

    makers = {"linux": guest.linux, "linux-tuned": lambda: guest.linux(guest.LINUX_TUNED, "Linux, tuned"),
              "vellum": lambda: guest.vellum(options.image)}
    kernels = [makers[name]() for name in options.kernel or ["linux", "vellum"]]
    by_kernel = {kernel.name: measure_all(kernel, options.only or [], options.timeout) for kernel in kernels}
    operations = [operation for operation in operations if not options.only or operation.name in options.only]
    if options.json != "-":
        print_table(operations, by_kernel, options.markdown)
    if options.json:
        document = {"unit": "guest instructions", "versions": {kernel.name: kernel.version for kernel in kernels if kernel.version},
                    "goals": {operation.name: operation.goal for operation in operations if operation.goal},
                    "results": by_kernel}
        text = json.dumps(document, indent=1) + "\n"
        if options.json == "-":
            sys.stdout.write(text)
        else:
            Path(options.json).write_text(text)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Unavailable, BenchError) as error:
        sys.exit(f"vellum bench: {error}")
