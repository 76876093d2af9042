#!/usr/bin/env python3
"""Debian's Linux 6.1 kernel, for comparison, without installing it.

The package that linux-image-amd64 depends on is downloaded with apt (as root or not), unpacked under build/linux, and
its vmlinux taken out of the bzImage: QEMU starts that through PVH, in a quarter of the instructions. As a program it
prints the path of vmlinux."""

import lzma
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "build/linux"
META_PACKAGE = "linux-image-amd64"


class Unavailable(Exception):
    """There is no Linux kernel to be had here."""


def run(*command, cwd=None):
    try:
        return subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]}: not found; this needs Debian's apt and dpkg") from error
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{' '.join(command)}:\n{error.stderr.strip()}") from error


def private_lists(folder):
    """Options by which apt keeps its package lists in `folder`, so that it needs no root to update them."""
    for name in ("lists/partial", "archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return ["-o", f"Dir::State::Lists={folder}/lists", "-o", f"Dir::Cache={folder}", "-o", f"Dir::Cache::Archives={folder}/archives",
            "-o", "APT::Sandbox::User="]


def download(folder):
    """Downloads the kernel's package into `folder`; returns its path."""

    def package_of(options):
        shown = run("apt-cache", *options, "depends", META_PACKAGE)
        found = re.search(r"Depends: (linux-image-\S+)", shown)
        if not found:
            raise Unavailable(f"{META_PACKAGE} depends on no kernel: {shown}")
        return found.group(1)

    def attempt(options):
        run("apt-get", *options, "-o", "APT::Sandbox::User=", "download", package_of(options), cwd=folder)

    try:
        attempt([])
    except Unavailable:  # the system's lists are missing or old
        options = private_lists(folder)
        run("apt-get", *options, "update")
        attempt(options)
    return next(folder.glob("linux-image-*.deb"))


def vmlinux_of(bzimage):
    """The ELF image that a bzImage holds compressed with xz (Documentation/x86/boot.rst names the fields)."""
    setup_sectors = bzimage[0x1F1] or 4
    payload_offset, payload_length = struct.unpack_from("<II", bzimage, 0x248)
    start = (setup_sectors + 1) * 512 + payload_offset
    payload = bzimage[start : start + payload_length]
    if not payload.startswith(b"\xfd7zXZ\0"):
        raise Unavailable("the kernel is not compressed with xz")
    image = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
    if not image.startswith(b"\x7fELF"):
        raise Unavailable("the kernel's payload is no ELF image")
    return image


def linux_kernel(folder=FOLDER):
    """The path of an uncompressed vmlinux; beside it `version` holds the package's name and version."""
    vmlinux = folder / "vmlinux"
    if vmlinux.exists():
        return vmlinux
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        work = Path(work)
        package = download(work)
        run("dpkg-deb", "-x", str(package), str(work / "root"))
        bzimage = next((work / "root/boot").glob("vmlinuz-*"))
        (work / "vmlinux").write_bytes(vmlinux_of(bzimage.read_bytes()))
        version = run("dpkg-deb", "--showformat=${Package} ${Version}\n", "--show", str(package))
        shutil.copy(bzimage, folder / "vmlinuz")
        (folder / "version").write_text(version)
        (work / "vmlinux").rename(vmlinux)  # the last step, for others may wait for this file
    return vmlinux


def linux_version(folder=FOLDER):
    linux_kernel(folder)
    return (folder / "version").read_text().strip()


if __name__ == "__main__":
    try:
        print(linux_kernel())
    except Unavailable as error:
        sys.exit(f"linux_kernel.py: {error}")
