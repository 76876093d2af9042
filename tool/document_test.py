"""Generated parts of a document are what the program prints now: document_test.py PROGRAM DOCUMENT [--update].

A part stands between `<!-- vellum ARGUMENTS -->` and `<!-- end -->`; --update writes it anew."""

import re
import subprocess
import sys
from pathlib import Path

PART = re.compile(r"(<!-- vellum (.*?) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def main(program, document, *options):
    path = Path(document)
    text = path.read_text()

    def generated(part):
        shown = subprocess.run([program, *part[2].split()], capture_output=True, text=True, check=True, timeout=60).stdout
        return f"{part[1]}\n{shown}\n{part[4]}"

    current, parts = PART.subn(generated, text)
    if parts == 0:
        return f"{document}: no generated part"
    if "--update" in options:
        path.write_text(current)
    elif current != text:
        return f"{document} is out of date: python3 {' '.join(sys.argv)} --update"
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
