"""GDB commands for a Vellum kernel in QEMU: `maps`, `walk ADDRESS`, `explain ADDRESS`.

    vellum run --gdb 1234 ./a.out
    gdb -ex 'target remote :1234' -ex 'source tool/gdb/vellum.py' -ex maps

They read what the processor of the selected thread runs: the tables below CR3, by physical address, and the page at
DEBUG_INFO_VA where the kernel says how it is laid out. The words of `explain` are those of the command `vellum explain`;
where it is not in PATH: `set $vellum = "/path/to/vellum"`."""

import json
import re
import struct
import subprocess

import gdb

DEBUG_INFO = 0xFFFFFFFFFB7FF000  # DEBUG_INFO_VA (core/layout)
MAGIC = int.from_bytes(b"VellInfo", "little")
# Fields of kernel/debug_info.hpp, in order.
FIELDS = ("magic version size root_table table_levels physical_top kernel_text kernel_text_end kernel_data kernel_data_end "
          "image_offset direct_map page_descriptors page_descriptor_size kernel_base user_limit kernel_heap").split()

PRESENT, WRITE, USER, ACCESSED, DIRTY, LARGE, GLOBAL = (1 << bit for bit in (0, 1, 2, 5, 6, 7, 8))
NO_EXECUTE = 1 << 63
FRAME = 0x000FFFFFFFFFF000
LEVELS = 4
ENTRIES = 512
# What Vellum keeps in entries that are not present (core/pagetable/entry.hpp).
TAGS = {0: "", 1: "page, all access denied", 2: "table, all access denied", 3: "in swap"}


def inferior():
    return gdb.selected_inferior()


class Physical:
    """Memory by its physical address, as long as this is entered: QEMU's stub is told so."""

    def __enter__(self):
        self.switch(1)
        return self

    def __exit__(self, *_):
        self.switch(0)

    @staticmethod
    def switch(mode):
        answer = gdb.execute(f"maintenance packet Qqemu.PhyMemMode:{mode}", to_string=True)
        if '"OK"' not in answer:
            raise gdb.GdbError("this is not QEMU's stub, or one older than 4.1: it does not read physical memory")

    @staticmethod
    def table(address):
        return struct.unpack(f"<{ENTRIES}Q", inferior().read_memory(address, 8 * ENTRIES).tobytes())


def root():
    try:
        return int(gdb.parse_and_eval("$cr3")) & FRAME
    except gdb.error as error:
        raise gdb.GdbError(f"no CR3 (connect with `target remote` to QEMU): {error}") from None


def debug_info():
    """What the kernel says of itself; None where it has not started, or is none of Vellum's."""
    try:
        data = inferior().read_memory(DEBUG_INFO, 8 * len(FIELDS)).tobytes()
    except gdb.MemoryError:
        return None
    info = dict(zip(FIELDS, struct.unpack(f"<{len(FIELDS)}Q", data)))
    return info if info["magic"] == MAGIC else None


def is_canonical(address):
    return address >> 47 in (0, (1 << 17) - 1)


def shift(level):
    return 12 + 9 * (level - 1)


def size_text(size):
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"


def entry_text(entry, level):
    if not entry & PRESENT:
        return TAGS[entry >> 9 & 3] or ("nothing" if entry == 0 else "not present")
    is_page = level == 1 or entry & LARGE
    what = ("page" if level == 1 else f"large page of {size_text(1 << shift(level))}") if is_page else "table"
    marks = [name for bit, name in ((ACCESSED, "accessed"), (DIRTY, "dirty"), (GLOBAL, "global")) if entry & bit and (is_page or bit == ACCESSED)]
    rights = f"{'user' if entry & USER else 'kernel'} r{'w' if entry & WRITE else '-'}{'-' if entry & NO_EXECUTE else 'x'}"
    return ", ".join([f"{rights:<11} {what} at {entry & FRAME & ~((1 << shift(level)) - 1 if is_page else 0):#x}", *marks])


def path_to(address):
    """(level, table, index, entry) of each table on the way to an address."""
    table = root()
    path = []
    with Physical() as physical:
        for level in range(LEVELS, 0, -1):
            index = address >> shift(level) & (ENTRIES - 1)
            entry = physical.table(table)[index]
            path.append((level, table, index, entry))
            if not entry & PRESENT or level == 1 or entry & LARGE:
                break
            table = entry & FRAME
    return path


def rights_of(entries):
    """What entries grant together: write, execute, user."""
    return (all(entry & WRITE for entry in entries), not any(entry & NO_EXECUTE for entry in entries), all(entry & USER for entry in entries))


def rights_text(rights):
    write, execute, user = rights
    return f"{'user' if user else 'kernel'} r{'w' if write else '-'}{'x' if execute else '-'}"


def print_walk(address):
    print(f"address  {address:#018x}")
    if not is_canonical(address):
        print("page     the processor has no such address: its bits 47 to 63 are not all the same")
        return
    path = path_to(address)
    for level, table, index, entry in path:
        print(f"level {level}  table {table:#x}, index {index}: {entry:#018x}  {entry_text(entry, level)}")
    level, _, _, entry = path[-1]
    if not entry & PRESENT:
        print(f"page     none: the entry of level {level} is not present")
        return
    inside = address & ((1 << shift(level)) - 1)
    physical = (entry & FRAME & ~((1 << shift(level)) - 1)) + inside
    rights = rights_of([entry for _, _, _, entry in path])
    print(f"page     {size_text(1 << shift(level))}, {rights_text(rights)}; physical {physical:#x}")
    for name, granted, denies in (("write", rights[0], lambda bits: not bits & WRITE), ("execute", rights[1], lambda bits: bits & NO_EXECUTE),
                                  ("user", rights[2], lambda bits: not bits & USER)):
        if not granted:
            print(f"denied   {name}, by level {', '.join(str(each) for each, _, _, bits in path if denies(bits))}")


def pages(physical, table, level, base, rights):
    """(address, size, physical, rights) of all that a table maps, ascending."""
    for index, entry in enumerate(physical.table(table)):
        if not entry & PRESENT:
            continue
        address = base + (index << shift(level))
        if level == LEVELS and index >= ENTRIES // 2:
            address |= 0xFFFF << 48
        here = tuple(one and other for one, other in zip(rights, rights_of([entry])))
        if level == 1 or entry & LARGE:
            yield address, 1 << shift(level), entry & FRAME & ~((1 << shift(level)) - 1), here
        else:
            yield from pages(physical, entry & FRAME, level - 1, address, here)


def stretches():
    """[start, end, rights] of neighbouring pages with the same rights."""
    found = []
    with Physical() as physical:
        for address, size, _, rights in pages(physical, root(), LEVELS, 0, (True, True, True)):
            if found and found[-1][1] == address and found[-1][2] == rights:
                found[-1][1] += size
            else:
                found.append([address, address + size, rights])
    return found


def vellum(*words):
    """What the command `vellum` prints, for its words; None where there is no such command."""
    setting = gdb.convenience_variable("vellum")
    program = setting.string() if setting is not None else "vellum"
    try:
        return subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None


def rows():
    """The layout of this kernel, as `vellum layout` computes it: (start, end, name)."""
    info = debug_info()
    text = vellum("layout", "--json", "--memory", str(info["physical_top"])) if info else None
    regions = json.loads(text)["regions"] if text else []
    return [(int(region["start"], 16), int(region["end"], 16), region["name"]) for region in regions]


def address_in(argument):
    if re.fullmatch(r"[0-9A-Fa-f]{8}[._][0-9A-Fa-f]{8}", argument):
        return int(re.sub("[._]", "", argument), 16)
    return int(gdb.parse_and_eval(argument).cast(gdb.lookup_type("unsigned long"))) & ((1 << 64) - 1)


class Walk(gdb.Command):
    """walk ADDRESS: the page tables of the processor that lead to an address, level by level."""

    def __init__(self):
        super().__init__("walk", gdb.COMMAND_DATA)

    def invoke(self, argument, _):
        print_walk(address_in(argument))


class Maps(gdb.Command):
    """maps [user|kernel]: what the processor's page tables map, with the row of the layout that it lies in."""

    def __init__(self):
        super().__init__("maps", gdb.COMMAND_DATA)

    def invoke(self, argument, _):
        layout = rows()
        for start, end, rights in stretches():
            if argument in ("user", "kernel") and argument != ("user" if rights[2] else "kernel"):
                continue
            row = next((name for low, high, name in layout if low <= start < high), "")
            print(f"{start:016x}-{end:016x} {rights_text(rights):<11} {size_text(end - start):>10}  {row}".rstrip())


class Explain(gdb.Command):
    """explain ADDRESS: what lies there by the layout, what an access means, and the tables that lead there."""

    def __init__(self):
        super().__init__("explain", gdb.COMMAND_DATA)

    def invoke(self, argument, _):
        address = address_in(argument)
        info = debug_info()
        if info is None:
            print("vellum: this kernel is none of Vellum's, or has not set up its memory yet")
        else:
            text = vellum("explain", f"{address:#x}", "--memory", str(info["physical_top"]))
            print(text if text is not None else 'vellum: the command `vellum` is not in PATH; set $vellum = "/path/to/vellum"')
        print_walk(address)


Walk()
Maps()
Explain()
