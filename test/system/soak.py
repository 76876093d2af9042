#!/usr/bin/env python3
"""Hours of stress-ng's memory stressors with --verify on Vellum with several CPUs; at the end all pages are accounted for.

    python3 test/system/soak.py --minutes 60 --cpus 4

All stressors run again and again, each for some seconds as several processes. After each round the memory is told: what is
free, and what the kinds in /proc/meminfo come to together with it. The first round fills caches that stay; after the last
there must be as much free memory as after the first, but for what the caches of the CPUs hold, and that sum must be the
same: a page that is neither free nor of a kind is lost. A stressor that fails, or reports a failed verification, ends the soak."""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STRESSORS = ("vm mmap brk malloc stack mremap bigheap fork vm-rw shm-sysv shm madvise mlock msync mincore "
             "mmapaddr mmapfixed mmapfork mmaphuge mmapmany munmap pagemove mprotect memfd memcpy memthrash stackmmap tmpfs tlb-shootdown "
             "zero null pipe futex vfork clone switch").split()
BYTES = "--vm-bytes 8M --mmap-bytes 8M --malloc-bytes 2M --mremap-bytes 4M --vm-rw-bytes 2M --shm-sysv-bytes 2M --shm-bytes 2M " \
        "--bigheap-growth 64K --memfd-bytes 8M --memthrash-method random"
ALLOWED_KILOBYTES = 256  # what the caches of four CPUs, and of the heap, hold more or less

SCRIPT = r"""
memory_now() {
  sum=0
  while read name kilobytes _; do
    case $name in
      MemFree:) free=$kilobytes; sum=$((sum + kilobytes));;
      Slab:) slab=$kilobytes; sum=$((sum + kilobytes));;
      Cached: | AnonPages: | PageTables: | KernelStack:) sum=$((sum + kilobytes));;
    esac
  done < /proc/meminfo
  echo "free $free slab $slab accounted $sum"
}
round=0
end=$((SECONDS + @SECONDS@))
while [ $SECONDS -lt $end ] || [ $round -lt 2 ]; do
  for stressor in @STRESSORS@; do
    stress-ng --temp-path /tmp --$stressor @WORKERS@ @BYTES@ --verify --metrics-brief -t @EACH@ > /tmp/out 2>&1
    status=$?
    # stress-ng says with 3 and 4 that what a stressor wants is not there; such a run is told, each time
    if { [ $status -ne 0 ] && [ $status -ne 3 ] && [ $status -ne 4 ]; } || grep -qE 'fail:|unsuccessful run' /tmp/out; then
      echo "FAILED $stressor in round $round: status $status"
      cat /tmp/out
      exit 1
    fi
    [ $status -ne 0 ] && echo "not run in round $round: $stressor ($status)"
    while read _ _ _ name operations _; do [ "$name" = "$stressor" ] && echo "did $stressor $operations"; done < /tmp/out
  done
  rm -f /tmp/out
  round=$((round + 1))
  sleep 1
  echo "round $round $(memory_now)"
done
echo finished
"""


def script(options):
    words = {"SECONDS": options.minutes * 60, "STRESSORS": " ".join(options.stressors), "WORKERS": options.workers, "BYTES": BYTES, "EACH": options.each}
    text = SCRIPT
    for name, value in words.items():
        text = text.replace(f"@{name}@", str(value))
    return text


def verdict(lines):
    """What was wrong, or nothing."""
    failures = [line for line in lines if line.startswith("FAILED")]
    if not failures and "finished" not in lines:
        failures.append("ended before its end")
    rounds = [(int(found[1]), int(found[2])) for line in lines
              if (found := re.match(r"round \d+ free (\d+) slab \d+ accounted (\d+)$", line))]
    if len(rounds) > 1:
        (free, known), (free_last, known_last) = rounds[0], rounds[-1]
        if free - free_last > ALLOWED_KILOBYTES:
            failures.append(f"{free - free_last} kB less are free than after the first round")
        if abs(known - known_last) > ALLOWED_KILOBYTES:
            failures.append(f"{known - known_last} kB more than after the first round are neither free nor of any kind")
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--cpus", type=int, default=4)
    parser.add_argument("--workers", type=int, default=4, help="processes of each stressor (4)")
    parser.add_argument("--each", type=int, default=5, help="seconds for each stressor in a round (5)")
    parser.add_argument("--memory", default="1G")
    parser.add_argument("--kernel", help="another kernel image")
    parser.add_argument("stressors", nargs="*", default=STRESSORS, metavar="STRESSOR")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [ROOT / "vellum", "run", "--cpus", str(options.cpus), "--memory", options.memory, "--report", report,
                   *(["--kernel", options.kernel] if options.kernel else []), "--", "bash", "-c", script(options)]
        lines, operations = [], {}
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                if found := re.match(r"did (\S+) (\d+)(\.\d+)?$", line):
                    operations[found[1]] = operations.get(found[1], 0) + (0 if found[3] else int(found[2]))  # or a rate
                    continue
                print(line, end="", flush=True)
                lines.append(line.rstrip("\n"))
        counters = json.loads(report.read_text()) if report.exists() else {}
    for name, count in operations.items():
        print(f"    {name}: {count} operations")
    for name in ("faults", "shootdowns", "flush_interrupts", "context_switches", "memory_total", "memory_free"):
        print(f"    {name}: {counters.get(name)}")
    failures = verdict(lines) + ([f"exit status {process.returncode}"] if process.returncode else [])
    for failure in failures:
        print(f"FAILED: {failure}")
    print(f"soak: {'failed' if failures else 'passed'}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
