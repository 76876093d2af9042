"""Commands of Debian's static shells, and small C programs of two C libraries: under `./vellum run` each prints what it
prints on the host, and ends as it ends there. One case for each command."""

import re
import subprocess
import unittest
from pathlib import Path

from .run_test import ROOT, TIMEOUT, Case

SMALL = ROOT / "test/programs/small"

# Each for `busybox sh -c`, in an empty folder; what changes from run to run (process ids, times) has no place here.
BUSYBOX = {
    "loop": "for i in 1 2 3; do echo $i; done | sort -r",
    "here document": "cat <<END\none $((1 + 2))\ntwo\nEND",
    "functions": 'f() { local x=$1; [ $x -le 1 ] && echo 1 && return; echo $((x * $(f $((x - 1))))); }; f 8',
    "case and patterns": 'for w in apple bob 42 ""; do case $w in a*) echo A;; [0-9]*) echo N;; "") echo E;; *) echo O;; esac; done',
    "substitution": 'x=some/path/file.tar.gz; echo ${x##*/} ${x%%.*} ${x#*/} ${#x} ${y:-none} ${x:+set}',
    "exit statuses": "false; echo $?; (exit 7); echo $?; sh -c 'kill -9 $$'; echo $?; nothing_like_this 2>/dev/null; echo $?",
    "traps": "trap 'echo bye' EXIT; trap 'echo caught' USR1; kill -USR1 $$; echo after",
    "background jobs": "(sleep 0.1; echo second) & echo first; wait; echo third",
    "a pipeline of six": "seq 1 1000 | grep 7 | sed s/7/x/g | sort -u | head -n 50 | wc",
    "redirections": "echo a > f; echo b >> f; { echo c; echo d >&2; } > g 2>&1; cat f g; wc -c < g",
    "many files": "for i in $(seq 1 200); do echo $i > f$i; done; ls | wc -l; cat f* | sort -n | tail -n 3; rm f1*; ls | wc -l",
    "folders": "mkdir -p a/b/c; touch a/b/c/x a/y; find . | sort; rmdir a/b/c 2>/dev/null || echo full; rm -r a; ls",
    "links": "echo t > f; ln f g; ln -s f h; cat g h; rm f; cat g; cat h 2>/dev/null || echo dangling; readlink h",
    "permissions": "touch f; chmod 640 f; stat -c '%a %s %F' f; chmod u+x,g-r f; stat -c %a f; umask 077; touch g; stat -c %a g",
    "copies": "seq 1 5000 > f; cp f g; cmp f g && echo same; cp -r . ../copy 2>/dev/null; mv g h; ls",
    "tar": "mkdir d; seq 100 > d/a; echo x > d/b; tar cf t.tar d; rm -r d; tar xf t.tar; ls d; cat d/b; tar tf t.tar | sort",
    "gzip": "seq 1 20000 > f; md5sum f; gzip f; gunzip -c f.gz | md5sum; zcat f.gz | tail -n 1",
    "bzip2 and xz": "seq 1 3000 > f; bzip2 -k f; bunzip2 -c f.bz2 | cmp - f && echo same",
    "cpio": "mkdir d; echo 1 > d/a; find d | sort | cpio -o -H newc 2>/dev/null > c; rm -r d; cpio -i < c 2>/dev/null; cat d/a",
    "sums": "seq 1 9999 > f; md5sum f; sha1sum f; sha256sum f; sha512sum f; cksum f",
    "awk": "seq 1 100 | awk '{s += $1; q += $1 * $1} END {printf \"%d %d %.3f\\n\", s, q, sqrt(q)}'",
    "awk, arrays": "printf 'b 1\\na 2\\nb 3\\n' | awk '{n[$1] += $2} END {for (k in n) print k, n[k]}' | sort",
    "sed": "printf 'one\\ntwo\\nthree\\n' | sed -n '2{s/w/W/;p}; $p; s/o/0/gp'",
    "grep": "printf 'foo\\nbar\\nfoobar\\n' | grep -n -E '^(foo)?bar$'; echo $?; echo x | grep -q y; echo $?",
    "sort": "printf '10 b\\n9 a\\n10 a\\n' | sort -k1,1n -k2,2r; printf 'b\\na\\nb\\n' | sort | uniq -c",
    "cut, paste, tr": "printf 'a:b:c\\nd:e:f\\n' > f; cut -d: -f2 f; cut -c1-3 f | paste - -; tr a-z A-Z < f",
    "head, tail, split": "seq 1 30 > f; head -n 2 f; tail -n 2 f; tail -c 4 f; split -l 10 f p; ls p*; wc -l paa",
    "dd": "dd if=/dev/zero of=f bs=1k count=300 2>/dev/null; wc -c f; dd if=f bs=4k skip=1 count=2 2>/dev/null | md5sum",
    "od and hexdump": "printf 'abc\\001\\377' | od -c; printf 'Hello world, again' | hexdump -C; printf xyz | xxd",
    "diff and patch": "seq 9 > a; sed 5d a > b; diff a b; echo $?; diff -u a b | tail -n +3",
    "expr, test, printf": "expr 7 \\* 6; [ 3 -lt 4 ] && echo less; [ -d . -a ! -f . ] && echo folder; printf '%05d|%-5s|%x\\n' 42 ab 255",
    "xargs": "seq 1 500 | xargs -n 50 echo | wc -l; printf 'a b\\n' | xargs -I{} echo '<{}>'",
    "date of a time": "date -u -d @1700000000 '+%Y-%m-%d %H:%M:%S'",
    "bc and dc": "echo '2^64 + 1' | bc; echo '355 113 / p' | dc; echo 'scale=20; 1/7' | bc",
    "base64 and uuencode": "seq 1 40 | base64 | tee f | base64 -d | md5sum; wc -l < f",
    "environment": "env -i A=1 B='two words' sh -c 'echo $A $B; env | grep -c .'",
    "subshells": "x=1; (x=2; echo $x); echo $x; y=$(echo a; echo b); echo \"$y\"; echo `echo nested \\`echo deep\\``",
    "arithmetic": "echo $((0x10 + 010)) $((7 / 2)) $((-7 % 3)) $((1 << 40)) $((5 > 3 ? 1 : 0))",
    "a deep recursion": "f() { [ $1 -eq 0 ] && echo bottom || f $(($1 - 1)); }; f 200",
    "thirty processes": "{ for i in $(seq 1 30); do (echo $((i * i))) & done; wait; } | sort -n; echo done",
    "a megabyte through": "dd if=/dev/zero bs=64k count=16 2>/dev/null | tr '\\0' x | wc -c",
    "timeouts": "timeout 0.2 sleep 10; echo $?; timeout 5 echo quick; echo $?",
    "ls": "mkdir d; echo 12345 > f; ln -s f l; ls -1F; ls -ld d | cut -c1-10; ls -l f | awk '{print $1, $5}'",
    "a script with a first line": "printf '#!/bin/busybox sh\\necho \"$0 $# $2\"\\n' > s; chmod +x s; ./s a b c",
    "named pipes": "mkfifo p; (echo through > p) & cat p; wait; [ -p p ] && echo pipe",
    "read": "printf 'a b c\\nd\\n' | while read x y; do echo \"$x|$y\"; done",
    "yes and head": "yes word | head -n 3; echo $?",
    "nohup, nice, time": "nice -n 5 echo nice; usleep 1000; echo ok",
}
BASH = {
    "arrays": 'a=(one two three); a+=(four); echo "${#a[@]} ${a[-1]} ${a[@]:1:2}"; declare -A m=([x]=1 [y]=2); echo $((m[x] + m[y]))',
    "patterns": 'shopt -s extglob; x=foobarbaz; echo ${x/bar/-} ${x//a/A} ${x^^} ${x:2:3}; [[ $x =~ ^foo(...)baz$ ]] && echo ${BASH_REMATCH[1]}',
    "process substitution": "diff <(seq 1 5) <(seq 1 2 9); echo $?; cat <(echo a) <(echo b)",
    "coprocess": 'coproc cat; echo hello >&"${COPROC[1]}"; read -r line <&"${COPROC[0]}"; echo "$line"',
    "here string": 'read -r a b <<< "one two three"; echo "$b|$a"',
    "pipe status": "false | true | (exit 3); echo ${PIPESTATUS[@]}; set -o pipefail; false | true; echo $?",
    "brace expansion": "echo {a,b}{1..3} {10..1..3}; printf '%s ' {z..w}; echo",
    "mapfile": "mapfile -t lines < <(seq 5); echo ${#lines[@]} ${lines[3]}",
    "printf": "printf '%q %d %s %(%Y)T\\n' 'a b' 0x1F x 0",
    "traps and signals": "trap 'echo int' INT; kill -INT $$; trap - INT; (kill -TERM $BASHPID); echo $?",
    "jobs": "sleep 0.05 & p=$!; wait $p; echo $?; (exit 9) & wait $!; echo $?",
    "recursion": "fib() { (($1 < 2)) && echo $1 || echo $(($(fib $(($1 - 1))) + $(fib $(($1 - 2))))); }; fib 9",
    "a long loop": "n=0; for ((i = 0; i < 20000; i++)); do ((n += i % 7)); done; echo $n",
    "a big string": 'x=$(printf "%0100000d" 7); echo ${#x}; y="$x$x$x"; echo ${#y} ${y: -1}',
}
PROGRAMS = sorted(path.stem for path in SMALL.glob("*.c"))
COMPILERS = {"glibc": ("clang-19", "-static"), "musl": ("musl-gcc", "-static")}


class Commands(Case):
    """The cases are added below."""

    def check(self, *words, **options):
        host, guest = self.folder / "host", self.folder / "guest"
        host.mkdir()
        guest.mkdir()
        linux = subprocess.run(words, cwd=host, capture_output=True, timeout=TIMEOUT, **options)
        vellum = self.run_words("--", *words, **{"cwd": guest} | options)
        shown = [(one.returncode, one.stdout.decode(errors="replace"), one.stderr.decode(errors="replace")) for one in (vellum, linux)]
        self.assertEqual(*shown)


def method_name(kind, name):
    return f"test_{kind}_{re.sub('[^a-z0-9]+', '_', name.lower())}"


def add_scripts(kind, scripts, *shell):
    for name, script in scripts.items():
        setattr(Commands, method_name(kind, name), lambda self, script=script: self.check(*shell, script))


def add_programs():
    for name in PROGRAMS:
        for library, compiler in COMPILERS.items():
            def case(self, name=name, compiler=compiler):
                program = self.folder / name
                subprocess.run([*compiler, "-O2", "-o", program, SMALL / f"{name}.c", "-lm"], check=True)
                self.check(program, "one", "two words", input=b"the quick brown fox\njumps over the lazy dog\n")
            setattr(Commands, method_name(library, name), case)


add_scripts("busybox", BUSYBOX, "busybox", "sh", "-c")
add_scripts("bash", BASH, "bash-static", "-c")
add_programs()

if __name__ == "__main__":
    unittest.main()
