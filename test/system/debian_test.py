#!/usr/bin/env python3
"""Debian's dynamic programs, unmodified, under `./vellum run`: each does on Vellum what it does on the host's Linux, with
the same output, exit status and files. docs/programs.md lists them:

    python3 test/system/debian_test.py --write      runs all of them, and writes docs/programs.md
    python3 test/system/debian_test.py              as a part of `./vellum test`"""

import os
import subprocess
import sys
import unittest
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from system.run_test import ROOT, TIMEOUT, Case

TABLE = ROOT / "docs/programs.md"
# What follows a script: the sums of all files that it left, in a folder that was empty.
SUMS = "\nstatus=$?\nfind . -type f ! -path '*/.git/*' | LC_ALL=C sort | xargs -r sha256sum\nexit $status\n"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/proc/nowhere",
               "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "C",
               "GIT_COMMITTER_EMAIL": "c@d", "GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000",
               "SOURCE_DATE_EPOCH": "1700000000"}


@dataclass(frozen=True)
class Program:
    """`script` is for bash, in an empty folder."""
    name: str
    package: str
    what: str
    script: str
    options: tuple[str, ...] = ()  # of `./vellum run`


HELLO_C = r"""
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
static void *square(void *p) { long n = (long)p; return (void *)(n * n); }
int main(int count, char **words) {
  pthread_t threads[8]; long sum = 0;
  for (long i = 0; i < 8; i++) pthread_create(&threads[i], 0, square, (void *)i);
  for (int i = 0; i < 8; i++) { void *r; pthread_join(threads[i], &r); sum += (long)r; }
  printf("%d %s %ld %.6f\n", count, words[1], sum, sqrt(2) + atof(words[1]));
  return 42;
}
"""
PYTHON_THREADS = """
import concurrent.futures, queue, threading
found, work = [], queue.Queue()
def serve():
    while (n := work.get()) is not None: found.append(n * n)
threads = [threading.Thread(target=serve) for _ in range(8)]
for t in threads: t.start()
for n in range(500): work.put(n)
for _ in threads: work.put(None)
for t in threads: t.join()
print(sum(found), len(found), threading.active_count())
with concurrent.futures.ThreadPoolExecutor(4) as pool: print(sum(pool.map(lambda n: n * 3, range(1000))))
barrier = threading.Barrier(4); order = []
def meet(n): barrier.wait(10); order.append(n)
threads = [threading.Thread(target=meet, args=(n,)) for n in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]; print(sorted(order))
event = threading.Event(); print(event.wait(0.05))
"""
PYTHON_PROCESSES = """
import multiprocessing, os, signal, subprocess, sys
print(subprocess.run(["sort", "-r"], input="a\\nc\\nb\\n", capture_output=True, text=True).stdout.split())
print(subprocess.run("exit 9", shell=True).returncode, subprocess.run(["sleep", "0"]).returncode)
child = subprocess.Popen(["sleep", "100"]); child.kill(); print(child.wait())
try: subprocess.run(["sleep", "100"], timeout=0.1)
except subprocess.TimeoutExpired as late: print(late.cmd)
try: subprocess.run(["/nonexistent/program"])
except FileNotFoundError as missing: print(missing)
with multiprocessing.Pool(3) as pool: print(pool.map(abs, range(-6, 0)))
read, write = os.pipe()
if os.fork() == 0: os.write(write, b"from the child"); os._exit(3)
print(os.read(read, 100), os.waitstatus_to_exitcode(os.wait()[1]))
signal.signal(signal.SIGALRM, lambda number, frame: print("alarm", number)); signal.setitimer(signal.ITIMER_REAL, 0.05); signal.pause()
"""
PYTHON_MEMORY = """
import ctypes, gc, mmap, os
libc = ctypes.CDLL(None, use_errno=True)
print(libc.abs(-5), libc.strlen(b"twelve bytes"), ctypes.sizeof(ctypes.c_long))
callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
values = (ctypes.c_int * 6)(5, 3, 9, 1, 7, 2)
libc.qsort(values, 6, 4, callback(lambda a, b: a[0] - b[0])); print(list(values))
shared = mmap.mmap(-1, 1 << 20)
if os.fork() == 0: shared[4096:4100] = b"seen"; os._exit(0)
os.wait(); print(shared[4096:4100])
with open("f", "w+b") as f:
    f.truncate(3 * 4096 + 5)
    with mmap.mmap(f.fileno(), 0) as view: view[5000:5005] = b"wrote"; view.flush(); print(len(view), view.find(b"wrote"))
big = bytearray(30_000_000); big[::4096] = b"x" * len(big[::4096]); print(sum(big) // ord("x")); del big; gc.collect()
private = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); private[40 << 20] = 7; private.madvise(mmap.MADV_DONTNEED); print(private[40 << 20])
"""
PERL = r"""
use strict; use warnings; use POSIX qw(floor strftime :sys_wait_h); use Data::Dumper; use List::Util qw(sum max); use Digest::SHA qw(sha256_hex);
$Data::Dumper::Sortkeys = 1; my %h = (a => 1, b => [1, {c => 2}]); print Dumper(\%h);
print floor(3.7), " ", strftime("%Y-%m-%d", gmtime(1700000000)), " ", sum(1 .. 100), " ", sha256_hex("x"), "\n";
my $pid = fork(); if (!$pid) { exit 5 } waitpid($pid, 0); print $? >> 8, "\n";
open(my $p, "-|", "sort", "-r", $0 eq "-e" ? "/etc/hostname" : "/etc/hostname") or die; my @l = <$p>; close $p; print scalar(@l), "\n";
$SIG{ALRM} = sub { print "alarm\n" }; alarm 1; select(undef, undef, undef, 3); my $t = join ",", map { $_ ** 2 } grep { $_ % 2 } 1 .. 9; print "$t\n";
my $text = "the quick brown fox" x 3; my $n = () = $text =~ /o/g; (my $u = $text) =~ s/(\w+)/\u$1/g; print "$n $u\n";
"""
SQL = """
create table t(id integer primary key, name text, value real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) insert into t select i, 'name' || (i % 97), i * 1.5 from n;
create index by_name on t(name); select count(*), sum(value), max(name) from t; select name, count(*) from t group by name order by 2 desc, 1 limit 3;
begin; delete from t where id % 2; select changes(); rollback; select count(*) from t; pragma journal_mode = wal; update t set value = 0 where id < 100; pragma integrity_check;
select json_extract('{"a":[1,2,{"b":3}]}', '$.a[2].b'), hex(zeroblob(4)), printf('%.3f', 2.0 / 3);
"""
MAKEFILE = r"""
objects := $(addsuffix .o,$(basename $(wildcard *.c)))
program: $(objects) ; gcc -o $@ $^ && echo linked $(words $^)
%.o: %.c head.h ; gcc -O1 -c -o $@ $<
.PHONY: clean
clean: ; rm -f *.o program
"""
MAKE = f"""
for i in 1 2 3 4 5; do echo "int f$i(void) {{ return $i; }}" > f$i.c; done; echo > head.h
echo 'int f1(void), f5(void); int main(void) {{ return f1() + f5(); }}' > main.c
cat > Makefile <<'END'{MAKEFILE}END
make -j3 program >/dev/null; ./program; echo $?; make; touch head.h; make -n | sort | head -n 3; make clean; make no-such-target; echo $?"""

# What differs from machine to machine is left out: figures, and the names of processes that are not the script's.
PROCPS = r"""
free | awk '{print $1, NF}'; free -m | sed -n 2p | awk '{print ($2 >= $3 && $2 >= $7)}'
sleep 100 & child=$!
ps -o comm=,args=,stat=,ppid= -p $child | awk -v parent=$$ '{print $1, $2, $3, $4, $5 == parent}'; ps aux | sed -n 1p; ps -ef | sed -n 1p
ps -o pid=,pgid= -p $$ | awk '{print ($1 > 0) + ($2 > 0)}'; ps aux | awk -v child=$child '$2 == child {print $6 > 0, $5 > $6, $11, $12, NF}'
top -b -n1 | sed -n '7p'; top -b -n1 | head -n 5 | sed -E 's/[0-9.:]+/N/g; s/ +/ /g' | cut -d' ' -f1-2; top -b -n1 -p $child | tail -n 1 | awk '{print $NF}'
vmstat | sed -n '1,2p'; vmstat | awk 'NR == 3 {print NF}'; vmstat -s | grep -cE 'total memory|free memory|boot time|forks|CPU context'
pmap -x $child | awk 'NR == 2 || /stack/ {print $1 == "Address" ? $0 : $NF}'; pmap $child | awk 'END {print $1}'; pmap -x $child | awk '/^total/ {print $3 >= $4 && $4 > 0}'
uptime | sed -E 's/[0-9.:]+/N/g; s/^ *//; s/up .*, *N/up N, N/; s/users?/users/'; uptime -s | grep -cE '^[0-9-]+ [0-9:]+$'
pgrep -P $$ -x sleep | grep -c "^$child$"; pkill -P $$ -x sleep; wait $child; echo $?; cat /proc/$$/oom_score_adj | grep -cE '^-?[0-9]+$'; w -h | wc -l | grep -c .
"""
LSCPU = r"""
lscpu | grep -cE '^(Architecture|CPU op-mode|Address sizes|Byte Order|CPU\(s\)|On-line CPU|Vendor ID|Model name|Flags)'; lscpu | sed -n 's/^Architecture: */a /p; s/^Byte Order: */b /p'
lscpu -p=cpu | grep -v '^#' | wc -l | xargs test "$(nproc --all)" -eq && echo as many; lscpu -p | grep '^# CPU' | cut -d, -f1-4; taskset -c 0 nproc; taskset -c 0 taskset -pc $$ > /dev/null && echo pinned
lscpu -e=CPU,ONLINE | sed -n 1,2p; test "$(getconf _NPROCESSORS_ONLN)" -eq "$(nproc)" && echo the same; test "$(grep -c ^processor /proc/cpuinfo)" -eq "$(nproc --all)" && echo again
taskset -c 0 grep -h Cpus_allowed_list /proc/self/status; prlimit --stack=4194304:8388608 bash -c 'ulimit -s'; mountpoint -q /proc && echo mounted; mountpoint -q / && echo root; flock . echo locked; getopt -o ab: -- -a -b 1 c
"""

PROGRAMS = (
    Program("coreutils", "coreutils", "ls, cp, mv, ln, stat, sort, uniq, join, comm, paste, tr, cut, od, seq, factor, split, sha256sum, install, realpath, df",
            "mkdir -p a/b; seq 2000 > a/f; cp -a a c; mv c/f c/g; ln -s ../a/f c/l; ln c/g c/h; stat -c '%n %h %F' c/*; stat -c %s a/f; ls -lR --time-style=+ a c | awk '!/^total/ {print $1, $2, /^d/ ? "" : $5, $6}'; "
            "sort -rn a/f | head -n 3; shuf -i 1-100 --random-source=/bin/true | sort -n | uniq | wc -l; join <(seq 1 9) <(seq 5 15); comm -12 <(seq 1 9) <(seq 5 15) | paste -sd,; factor 1234567890 2147483647; "
            "split -n 3 a/f part.; wc -c part.*; echo abc | tr a-c A-C | od -An -c; install -m 750 a/f i; stat -c %a i; realpath c/l | sed 's|.*/a/|a/|'; truncate -s 1M t; du --apparent-size -k t; timeout 0.1 sleep 5; echo $?; test -w f; echo $?; rm -r a/b c; cat nofile; mktemp -u XXXX | wc -c; numfmt --to=iec 123456789; date -u -d @0 +%F; nproc >/dev/null; echo $LC_ALL; tail -c 9 a/f; tac a/f | head -n 2; expr 6 \\* 7; printf '%s\\n' {a..c} | nl; csplit -s a/f 100 200; fold -w 4 <<< abcdefgh; base64 <<< vellum; b2sum < t; df . > /dev/null && echo df"),
    Program("bash", "bash", "arrays, functions, jobs, traps, coprocesses, process substitution, here documents, globbing, reads with a time limit",
            "declare -A m=([x]=1 [y]=2); for k in x y; do echo $k ${m[$k]}; done; f() { local n=$1; ((n <= 1)) && echo 1 || echo $((n * $(f $((n - 1))))); }; f 10; trap 'echo usr1' USR1; kill -USR1 $$; (trap 'echo bye' EXIT; exit 4); echo $?; "
            "sleep 0.05 & wait $!; echo $?; coproc cat; echo hi >&${COPROC[1]}; read -r l <&${COPROC[0]}; echo $l; kill $COPROC_PID; diff <(seq 3) <(seq 4); read -t 0.05 x < <(sleep 1); echo $?; shopt -s globstar; mkdir -p d/e; touch d/e/z; echo **/z; "
            "cat <<< \"${BASH_VERSION%%.*}\"; set -o pipefail; false | true; echo $?; printf '%(%F)T\\n' 0; mapfile -t v < <(seq 5); echo ${v[@]:1:2}; ulimit -n >/dev/null; echo $((2**62)) ${RANDOM:+r}; type -t cd; exec 5>file; echo five >&5; [[ abc =~ a(.)c ]] && echo ${BASH_REMATCH[1]}; { (kill -SEGV $BASHPID); } 2> /dev/null; echo $?"),
    Program("grep", "grep", "basic, extended and Perl expressions, recursion, counts, contexts", "grep -c . /etc/services; grep -nE '^(ssh|http)\\b' /etc/services; grep -P '(?<=t)cp' -o /etc/services | sort | uniq -c; grep -rl root /etc/passwd /etc/group; grep -A1 -B1 ^ftp /etc/services; grep nothing-here /etc/passwd; echo $?; seq 1 100000 | grep -F 9999 | tail -n 1"),
    Program("sed", "sed", "addresses, hold space, in-place edits, branches", "seq 1 20 > f; sed -n '2~3p' f; sed -i '5,10d' f; sed '1!G;h;$!d' f; sed -E 's/([0-9])([0-9])/\\2\\1/' f; sed ':a;N;$!ba;s/\\n/,/g' f; sed -n '$=' f"),
    Program("mawk", "mawk", "fields, arrays, formats, getline from commands", "awk -F: '{n[$7]++} END {for (s in n) print n[s], s}' /etc/passwd | sort; seq 1 1000 | awk '{s += $1 * $1} END {printf \"%.2f %d\\n\", sqrt(s), s}'; awk 'BEGIN {while ((\"seq 3\" | getline l) > 0) t += l; print t; printf \"%5.2f|%-5s|%05d\\n\", 3.14159, \"ab\", 42}'"),
    Program("gawk", "gawk", "sorting of arrays, times, bit operations, coprocesses, a profile", "gawk 'BEGIN {for (i = 0; i < 5; i++) a[i] = 9 - i; n = asort(a); for (i = 1; i <= n; i++) printf \"%d \", a[i]; print strftime(\"%Y-%m-%d\", 86400, 1), and(12, 10), length(\"äöü\"); c = \"sort -n\"; print \"3\\n1\\n2\" |& c; close(c, \"to\"); while ((c |& getline l) > 0) print l}' < /dev/null; seq 1 20000 | gawk '{s[$1 % 100] += $1} END {PROCINFO[\"sorted_in\"] = \"@ind_num_asc\"; for (i in s) if (i < 3) print i, s[i]}'"),
    Program("tar, gzip, bzip2, xz", "tar", "archives, compressed in each way, and back", "mkdir d; seq 1 5000 > d/n; echo x > d/e; ln -s n d/l; touch -d @1700000000 d d/*; touch -h -d @1700000000 d/l; for z in '' z j J; do tar c${z}f a$z.tar --sort=name --owner=0 --group=0 --mtime=@0 d; done; sha256sum a.tar; rm -r d; tar xJf aJ.tar; tar tvf az.tar | awk '{print $1, $3, $6}'; wc -l d/n; rm aJ.tar"),
    Program("find and xargs", "findutils", "walks of real trees, tests, actions", "find /usr/share/perl5 -name '*.pm' -size +40k | LC_ALL=C sort | head -n 5; find /etc -maxdepth 1 -type l -printf '%f\\n' 2>/dev/null | sort; seq 1 300 | xargs -n 20 -P 3 echo | wc -w; mkdir x; touch x/{1..30}; find x -name '*1*' -delete; find x -type f | wc -l; find x -empty -exec echo {} + | wc -w"),
    Program("perl", "perl", "modules, fork, pipes, alarms, regular expressions", f"perl -e '{PERL}'"),
    Program("python3: json, hashlib, re, decimal, zlib", "python3", "the standard library", "/usr/bin/python3 -c 'import json, threading; print(json.dumps(2**200))'; /usr/bin/python3 -c 'import json, hashlib, re, decimal, zlib, random, datetime, collections, itertools, struct; random.seed(1); print(json.loads(json.dumps({\"a\": [1, None, 2.5]})), hashlib.sha256(b\"x\").hexdigest(), re.findall(r\"(\\w)=(\\d+)\", \"a=1 b=22\"), decimal.Decimal(1) / 7, len(zlib.compress(bytes(100000))), random.random(), datetime.datetime.utcfromtimestamp(0), collections.Counter(\"banana\").most_common(1), struct.pack(\">IH\", 1, 2))'; /usr/bin/python3 -c 'import sys; sys.exit(3)'; echo $?; /usr/bin/python3 -c '1/0' 2>&1 | tail -n 1; /usr/bin/python3 -m this | tail -n 1"),
    Program("python3: threads", "python3", "threading, queues, barriers, pools, events", f"/usr/bin/python3 <<'END'{PYTHON_THREADS}END"),
    Program("python3: processes", "python3", "subprocess, multiprocessing, fork, pipes, signals", f"/usr/bin/python3 <<'END'{PYTHON_PROCESSES}END"),
    Program("python3: memory", "python3", "ctypes with callbacks, mmap shared over fork and of files, madvise", f"/usr/bin/python3 <<'END'{PYTHON_MEMORY}END"),
    Program("sqlite3", "sqlite3", "tables, indexes, transactions, write-ahead log, JSON", f"sqlite3 t.db <<'END'{SQL}END\nsqlite3 t.db .dump | sha256sum; rm -f t.db*"),
    Program("git", "git", "init, add, commit, branch, merge, log, diff, clone, gc, fsck, bisect-like searches", "git init -q -b main r; cd r; for i in 1 2 3; do seq $i 30 > f; git add f; git commit -qm \"c$i\"; done; git log --format='%h %s'; git checkout -qb side HEAD~1; echo x > g; git add g; git commit -qm side; git checkout -q main; git merge -q side -m merge; git log --graph --oneline; git diff --stat HEAD~2; git clone -q . ../copy; git -C ../copy rev-parse HEAD; git gc -q; git fsck; git grep -n 17; git blame -s f | head -n 2; git stash list; git status --short; cd ..; rm -rf copy"),
    Program("make", "make", "parallel builds with gcc, pattern rules, dry runs, errors", MAKE + "; rm -f *.o program"),
    Program("gcc", "gcc", "compile and link with cc1, as and ld, run the result: threads, mathematics, exit status; object files are the same", f"cat > p.c <<'END'{HELLO_C}END\ngcc -O2 -Wall -o p p.c -pthread -lm; ./p 1.5; echo $?; gcc -S -o - -O1 p.c | wc -l; echo 'int main(void) {{ return x; }}' | gcc -x c - 2>&1 | grep -c error; gcc -static -o s p.c -lm; ./s 2; echo $?; gcc -c -O2 p.c; size p.o"),
    Program("gcc: a program read from standard input", "gcc", "the example of the README", "gcc -x c -o a - <<< 'int main(){return 42;}'; ./a; echo $?"),
    Program("ar, nm, objdump, readelf, strip", "binutils", "libraries and their symbols", "echo 'int f(void) { return 3; }' > f.c; gcc -c f.c; ar rcsD libf.a f.o; nm libf.a; objdump -d f.o | tail -n 8; readelf -h f.o | grep -E 'Class|Machine'; gcc -shared -fPIC -o libf.so f.c; readelf -d libf.so | grep -c .; strip libf.so; echo 'int f(void); int main(void) { return f(); }' | gcc -x c - -L. -lf -Wl,-rpath,$PWD -o main; ./main; echo $?; rm main"),
    Program("memtester", "memtester", "tests 1 MB of locked memory with all patterns", "memtester 1M 1 | tr '\\b' '\\n' | grep -E ' ok$|Done|FAIL' | sed 's/.*://' | sort | uniq -c"),
    Program("procps", "procps", "free, ps, top, vmstat, pmap, uptime, pgrep, pkill, kill by name: columns and names, and figures that must agree", PROCPS),
    Program("util-linux", "util-linux", "lscpu and its parsable forms, taskset, prlimit, mountpoint, flock, getopt", LSCPU),
    Program("stress-ng", "stress-ng", "memory stressors with --verify: vm, mmap, brk, malloc, stack, mremap, bigheap, fork, vm-rw",
            "for s in vm mmap brk malloc stack mremap fork vm-rw; do stress-ng --$s 1 --$s-ops 8 --vm-bytes 4M --mmap-bytes 4M --malloc-bytes 1M --mremap-bytes 2M --vm-rw-bytes 1M --verify -q -t 60 > out 2>&1; echo $s $?; grep -E 'fail' out; done; rm out", ("--memory", "512M")),
    Program("stress-ng: shared memory, advice, locks", "stress-ng", "with --verify: shm-sysv, shm, madvise, mlock, msync, mincore, mmapfork, munmap, pagemove, mprotect, memfd, bigheap",
            "for s in shm-sysv shm madvise mlock msync mincore mmapfork munmap pagemove mprotect memfd bigheap; do stress-ng --$s 1 --$s-ops 4 --shm-sysv-bytes 1M --shm-bytes 1M --mmap-bytes 2M --bigheap-growth 64K --verify -q -t 60 > out 2>&1; echo $s $?; grep -E 'fail' out; done; rm out", ("--memory", "512M")),
    Program("openssl", "openssl", "sums, ciphers with AES instructions, prime numbers", "echo secret | openssl enc -aes-256-cbc -K $(printf '%064d' 7) -iv $(printf '%032d' 9) | openssl base64; openssl dgst -sha3-256 /etc/services; openssl prime 2147483647; seq 1 50000 | openssl dgst -sha512"),
)


def text_of(result):
    return result.returncode, result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace")


class Programs(Case):
    """The cases are added below."""
    maxDiff = None

    def check(self, program):
        words = ["bash", "-c", program.script + SUMS]
        shown = []
        for place in ("host", "guest"):
            folder = self.folder / place / "work"  # of the same length and name for both, in case it is printed
            folder.mkdir(parents=True)
            options = {"cwd": folder, "env": ENVIRONMENT, "capture_output": True, "timeout": TIMEOUT, "stdin": subprocess.DEVNULL}
            if place == "host":
                shown.append(text_of(subprocess.run(words, **options)))
            else:
                settings = [word for name, value in ENVIRONMENT.items() for word in ("--env", f"{name}={value}")]
                options["env"] = os.environ
                shown.append(text_of(subprocess.run(self.command(*program.options, *settings, "--", *words), **options)))
        self.assertEqual(shown[1], shown[0])
        self.assertNotEqual(shown[0][1], "")


class Documented(unittest.TestCase):
    def test_the_table_of_programs_is_that_of_the_test(self):
        self.assertEqual(TABLE.read_text(), table(), "write it anew: python3 test/system/debian_test.py --write")


def table():
    rows = "\n".join(f"| {one.name} | `{one.package}` | {one.what} |" for one in PROGRAMS)
    return f"""# Programs that run

Debian 12's programs, unmodified and dynamically linked, each under `./vellum run` in the default layout. For each row a test runs one
script on the host's Linux and on Vellum, and compares standard output, standard error, exit status, and the SHA-256
sum of every file that was left: all are the same. The scripts are in `test/system/debian_test.py`, which writes this page
once all of them have passed:

    python3 test/system/debian_test.py --write

| program | package | what it does in the test |
|---|---|---|
{rows}
"""


def method_name(name):
    return "test_" + "".join(character if character.isalnum() else "_" for character in name.lower())


for one in PROGRAMS:
    setattr(Programs, method_name(one.name), lambda self, one=one: self.check(one))

if __name__ == "__main__":
    if "--write" in sys.argv:
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(Programs)
        if not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful():
            sys.exit("not all programs did what they do on Linux: the page stays as it was")
        TABLE.write_text(table())
    else:
        unittest.main(verbosity=2)
