"""Boots a kernel, Linux or Vellum, with an initial archive in QEMU and returns what it says on its serial line.

    import guest
    program = guest.build(Path("probe.cpp"))
    result = guest.run(guest.linux(), [["/probe", "--all"]], {"/probe": program})
    result.commands[0].status, result.commands[0].output

The machine is the same for both kernels; with `count_instructions` the guest's time-stamp counter counts instructions
and a run repeats exactly. `boot` takes any archive; `run` adds an /init that runs commands one after the other."""

import dataclasses
import hashlib
import os
import re
import select
import subprocess
import tempfile
import time
from pathlib import Path

import cpio
from linux_kernel import linux_kernel, linux_version

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/guest"
INIT = Path(__file__).resolve().parent / "init.cpp"
COMPILER = ["clang++-19", "-std=c++23", "-O2", "-static", "-Wall", "-Wextra", "-Werror"]

# No address randomisation, no cryptographic reseeding, no chatter; a panic or reboot ends QEMU (-no-reboot).
LINUX_COMMAND_LINE = "console=ttyS0 quiet norandmaps random.trust_cpu=off randomize_kstack_offset=off panic=-1 reboot=t"
# Without memory groups, mitigations and clearing of pages on allocation.
LINUX_TUNED = LINUX_COMMAND_LINE + " mitigations=off init_on_alloc=0 cgroup_disable=memory psi=0"
VELLUM_COMMAND_LINE = "console=ttyS0"


@dataclasses.dataclass(frozen=True)
class Kernel:
    name: str
    image: Path
    command_line: str
    version: str = ""
    machine: str = "pc"


@dataclasses.dataclass(frozen=True)
class Command:
    """What one command did: `status` is its exit status, or 128 + the signal that ended it; None if it did not end."""
    words: tuple[str, ...]
    output: str = ""
    status: int | None = None


@dataclasses.dataclass(frozen=True)
class Result:
    output: str  # of the serial line, lines ended by \n
    status: int | None  # of QEMU; None after a time-out
    seconds: float
    commands: tuple[Command, ...] = ()

    @property
    def timed_out(self):
        return self.status is None


# On microvm Linux finds no clock to measure the time-stamp counter with, unless instructions are counted.
def linux(command_line=LINUX_COMMAND_LINE, name="Linux"):
    return Kernel(name, linux_kernel(), command_line, linux_version())


def vellum(image=None, command_line=VELLUM_COMMAND_LINE):
    image = Path(image) if image else ROOT / "build/kernel/kernel/vellum-amd64.elf"
    return Kernel("Vellum", image, command_line, machine="microvm")


def qemu_command(kernel, *, initrd=None, memory="256M", cpu="qemu64,+rdrand", processors=1, machine=None,
                 count_instructions=False, append="", options=()):
    machine = machine or kernel.machine
    line = ["qemu-system-x86_64", "-accel", "tcg", "-machine", "microvm,isa-serial=on" if machine == "microvm" else machine,
            "-cpu", cpu, "-smp", str(processors), "-m", str(memory), "-nodefaults", "-no-user-config", "-display", "none",
            "-monitor", "none", "-serial", "stdio", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04",
            "-kernel", str(kernel.image), "-append", " ".join(filter(None, [kernel.command_line, append]))]
    if initrd:
        line += ["-initrd", str(initrd)]
    if count_instructions:
        # One nanosecond of guest time an instruction; idle time is skipped.
        line += ["-icount", "shift=0,sleep=off", "-rtc", "base=2024-01-01T00:00:00,clock=vm", "-seed", "1"]
    return [*line, *options]


def _read_until(process, deadline, until):
    """What the process prints until it ends, a line matches `until`, or time is over."""
    output = b""
    while (left := deadline - time.monotonic()) > 0:
        if select.select([process.stdout], [], [], left)[0]:
            chunk = process.stdout.read1(65536)
            if not chunk:
                break
            output += chunk
            if until and re.search(until, output.decode(errors="replace")):
                break
    return output


def boot(kernel, entries=None, *, timeout=60, until=None, **machine):
    """Boots with an archive of `entries` (of cpio) as initrd; ends with QEMU, after `timeout` seconds, or when the output
    matches `until`. `machine` are arguments of qemu_command."""
    with tempfile.TemporaryDirectory() as folder:
        if entries is not None:
            machine["initrd"] = Path(folder) / "initrd"
            machine["initrd"].write_bytes(cpio.archive(entries))
        start = time.monotonic()
        process = subprocess.Popen(qemu_command(kernel, **machine), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        try:
            output = _read_until(process, start + timeout, until)
            # Once its output has ended QEMU ends too; after a match or a time-out it must be made to.
            status = process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
    return Result(output.decode(errors="replace").replace("\r", ""), status, time.monotonic() - start)


def build(*sources, flags=()):
    """Compiles sources to a static program, unless that was done; returns its path. Headers stand beside sources."""
    command = [*COMPILER, *flags, *map(str, sources)]
    headers = sorted({header for source in sources for header in Path(source).parent.glob("*.hpp")})
    key = hashlib.sha256("\0".join(command).encode())
    for path in [*sources, *headers]:
        key.update(Path(path).read_bytes())
    program = BUILD / f"{Path(sources[0]).stem}-{key.hexdigest()[:12]}"
    if not program.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_suffix(f".{os.getpid()}")
        subprocess.run([*command, "-o", str(unfinished)], check=True)
        unfinished.rename(program)
    return program


def nodes():
    """The device nodes that every archive should have, for a kernel without devtmpfs."""
    return [cpio.node("dev/console", "c", 5, 1), cpio.node("dev/null", "c", 1, 3, 0o666), cpio.node("dev/zero", "c", 1, 5, 0o666)]


def program_entries(programs):
    """Entries for a dictionary from path in the guest to file on the host."""
    return [cpio.file(path, Path(program).read_bytes(), 0o755) for path, program in programs.items()]


def _commands_of(output, commands):
    """Takes the output of each command from that of /init (see init.cpp for the lines it prints)."""
    results = []
    for number, words in enumerate(commands):
        begin = output.find(f"init: run {number}\n")
        if begin < 0:
            results.append(Command(tuple(words)))
            continue
        begin = output.index("\n", begin) + 1
        end = re.compile(rf"init: end {number} (\d+)\n").search(output, begin)
        text = output[begin : end.start() if end else len(output)]
        results.append(Command(tuple(words), text, int(end.group(1)) if end else None))
    return tuple(results)


def run(kernel, commands, programs, *, entries=(), **options):
    """Boots and runs `commands` (lists of words without spaces), one after the other, then powers off. `programs` maps paths in
    the guest to static programs on the host; `entries` are further ones of the archive. /proc, /dev and /tmp are mounted."""
    script = "".join(" ".join(words) + "\n" for words in commands)
    archive = [*nodes(), cpio.file("init", build(INIT).read_bytes(), 0o755), cpio.file("commands", script.encode()),
               *program_entries(programs), *entries]
    result = boot(kernel, archive, **options)
    return dataclasses.replace(result, commands=_commands_of(result.output, commands))
