#!/usr/bin/env python3
"""Checks of the source text, each counted as one test by run.py; `--fix` formats the C++ sources in place."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CPP = {".cpp", ".hpp"}
SOURCE = CPP | {".S", ".py", ".cmake", ".ld"}
TEXT = SOURCE | {".md", ".txt", ".json", ".yml"}
SCRIPTS = {"vellum", "run"}  # sources without a suffix
LINE_LIMIT = 600

# Words that mark unfinished work, and folders that only one machine has.
FORBIDDEN = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X])\b|(?<![\w.])/(home|root|work|Users|mnt)/")


def project_files():
    """Files that git tracks or would track; all files where this is no git checkout."""
    git = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, capture_output=True, text=True) if shutil.which("git") else None
    if listed and listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if path.relative_to(ROOT).parts[0] not in {"build", ".git", ".cache"}]
    return sorted(path for path in paths if path.is_file())


def files_of(suffixes):
    return [path for path in project_files()
            if path.suffix in suffixes or (path.name in SCRIPTS and suffixes >= SOURCE)]


def run_clang_format(*options):
    names = [str(path) for path in files_of(CPP)]
    result = subprocess.run(["clang-format-19", *options, *names], capture_output=True, text=True)
    return result.returncode, result.stderr.splitlines()


def check_format():
    """C++ sources are as clang-format-19 writes them"""
    code, errors = run_clang_format("--dry-run", "-Werror")
    lines = (re.match(r"(.*?):(\d+):\d+: error:", error) for error in errors)
    files = {}
    for match in filter(None, lines):
        files.setdefault(Path(match[1]).relative_to(ROOT), []).append(match[2])
    faults = [f"{name}: lines {', '.join(dict.fromkeys(numbers))}; ./vellum format mends it"
              for name, numbers in files.items()]
    return faults or errors or [f"clang-format-19: exit status {code}"] if code else []


def check_lengths():
    """no source file is longer than the limit"""
    lengths = [(path, len(path.read_text().splitlines())) for path in files_of(SOURCE)]
    return [f"{path.relative_to(ROOT)}: {length} lines, {LINE_LIMIT} allowed"
            for path, length in lengths if length > LINE_LIMIT]


def lines_matching(suffixes, pattern, why):
    return [f"{path.relative_to(ROOT)}:{number}: {why}: {line.strip()}"
            for path in files_of(suffixes)
            for number, line in enumerate(path.read_text().splitlines(), 1) if pattern.search(line)]


def check_words():
    """no marks of unfinished work, no folder of one machine"""
    return lines_matching(TEXT, FORBIDDEN, "forbidden words")


def check_includes():
    """no #include of the sources proper leaves its folder by a path, past the layers' include roots"""
    by_path = re.compile(r'^\s*#\s*include\s*[<"]([^>"]*\.\./|/)')
    tests = re.compile(r"_(test|fuzz|bench)\.cpp:|(^|/)test/")  # these may share what is in each other's folders
    return [fault for fault in lines_matching(CPP | {".S"}, by_path, "include by path") if not tests.search(fault)]


def check_whitespace():
    """no spaces at ends of lines, a newline at the end of each file"""
    open_ended = [f"{path.relative_to(ROOT)}: no newline at the end"
                  for path in files_of(TEXT) if path.stat().st_size and not path.read_text().endswith("\n")]
    return open_ended + lines_matching(TEXT, re.compile(r"[ \t]+$"), "space at the end")


def check_links():
    """links between documents lead somewhere"""
    faults = []
    for path in files_of({".md"}):
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", path.read_text()):
            if not (path.parent / target).exists():
                faults.append(f"{path.relative_to(ROOT)}: link to {target}, which is not there")
    return faults


CHECKS = [check_format, check_lengths, check_words, check_includes, check_whitespace, check_links]


def main():
    if sys.argv[1:] == ["--fix"]:
        code, errors = run_clang_format("-i")
        print("\n".join(errors) or f"formatted {len(files_of(CPP))} files")
        return code
    failed = 0
    for check in CHECKS:
        faults = check()
        print(f"{'FAILED' if faults else 'ok':8}{check.__doc__}")
        for fault in faults:
            print(f"        {fault}")
        failed += bool(faults)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
