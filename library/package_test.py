#!/usr/bin/env python3
"""The installed package, from outside of the tree: the example is found, built and run against it, by CMake and by
pkg-config, and stands in the README as it is."""

import argparse
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
EXPECTED = "again 1, in 1 region\nread at 0x30: nothing is mapped there\n"
OPTIONS = argparse.Namespace()


def run(*command):
    environment = {**os.environ, "PKG_CONFIG_PATH": ""}
    result = subprocess.run([str(word) for word in command], env=environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert result.returncode == 0, f"{command}: {result.returncode}\n{result.stdout}"
    return result.stdout


class Package(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="vellum-package-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.prefix = self.folder / "prefix"
        run("cmake", "--install", OPTIONS.build, "--component", "library", "--prefix", self.prefix)
        shutil.copytree(HERE / "example", self.folder / "example")

    def test_installs_the_one_header(self):
        headers = [path.relative_to(self.prefix) for path in self.prefix.rglob("*.hpp")]
        self.assertEqual(headers, [Path("include/vellum/vellum.hpp")])

    def test_is_found_by_cmake(self):
        run("cmake", "-G", "Ninja", "-S", self.folder / "example", "-B", self.folder / "build",
            f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DCMAKE_CXX_COMPILER={OPTIONS.compiler}")
        run("cmake", "--build", self.folder / "build")
        self.assertEqual(run(self.folder / "build" / "example"), EXPECTED)

    def test_is_described_to_pkg_config(self):
        folder = next(self.prefix.rglob("vellum.pc")).parent
        flags = run("pkg-config", f"--with-path={folder}", "--cflags", "--libs", "vellum").split()
        self.assertIn(f"-I{folder}/../../include", flags)
        self.assertIn("-lvellum", flags)

    def test_the_example_stands_in_the_readme(self):
        example = (HERE / "example" / "example.cpp").read_text()
        shown = "\n".join(f"    {line}".rstrip() for line in example.splitlines())
        self.assertIn(shown, README.read_text())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    parser.add_argument("--compiler", required=True)
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[__file__, *rest])
