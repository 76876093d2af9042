"""Archives in cpio's `newc` format, which kernels unpack as their first file system.

    archive([directory("dev"), node("dev/console", "c", 5, 1), file("init", data, 0o755), symlink("bin", "usr/bin")])

The parents of an entry are added where they were not given. The bytes depend on the entries alone."""

import dataclasses
import stat


@dataclasses.dataclass(frozen=True)
class Entry:
    path: str
    mode: int  # kind and permissions, as in st_mode
    data: bytes = b""
    device: tuple[int, int] = (0, 0)
    owner: tuple[int, int] = (0, 0)


def file(path, data, permissions=0o644, owner=(0, 0)):
    return Entry(path, stat.S_IFREG | permissions, bytes(data), owner=owner)


def directory(path, permissions=0o755, owner=(0, 0)):
    return Entry(path, stat.S_IFDIR | permissions, owner=owner)


def symlink(path, target):
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def node(path, kind, major, minor, permissions=0o600):
    """A device node; `kind` is "c" or "b", as for mknod."""
    return Entry(path, {"c": stat.S_IFCHR, "b": stat.S_IFBLK}[kind] | permissions, device=(major, minor))


def _padded(data):
    return data + bytes(-len(data) % 4)


def _record(number, entry):
    name = entry.path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = [number, entry.mode, *entry.owner, links, 0, len(entry.data), 0, 0, *entry.device, len(name), 0]
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(header + name) + _padded(entry.data)


def _with_parents(entries):
    seen = set()
    for entry in entries:
        entry = dataclasses.replace(entry, path=entry.path.strip("/"))
        parts = entry.path.split("/")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            if parent not in seen:
                seen.add(parent)
                yield directory(parent)
        if entry.path in seen:
            raise ValueError(f"{entry.path}: given twice, or after what lies in it")
        seen.add(entry.path)
        yield entry


def archive(entries):
    records = [_record(number, entry) for number, entry in enumerate(_with_parents(entries), start=1)]
    records.append(_record(0, Entry("TRAILER!!!", 0)))
    data = b"".join(records)
    return data + bytes(-len(data) % 512)
