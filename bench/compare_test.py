#!/usr/bin/env python3
"""Tests of the comparison: reading the guest's lines, the table, and that counts on Linux repeat exactly."""

import contextlib
import io
import unittest

import compare
import guest
from operations import OPERATIONS, Operation

OUTPUT = """begin empty_call
metric empty_call median 60.000 min 59.000 p90 61.000 max 80.000 samples 10
begin map_page
failed mmap: error 38
begin fork_small
done
"""


class Reading(unittest.TestCase):
    def test_lines(self):
        results = compare.parse(OUTPUT)
        self.assertEqual(results["empty_call"], {"median": 60, "min": 59, "p90": 61, "max": 80, "samples": 10})
        self.assertEqual(results["map_page"], {"failed": "mmap: error 38"})
        self.assertEqual(results["fork_small"], {"failed": "no result"})

    def test_rows(self):
        operations = [Operation("a", "A", 100), Operation("b", "B", 100), Operation("c", "C"), Operation("d", "D", 5)]
        linux = {"a": {"median": 400.0}, "b": {"median": 1000.0}, "c": {"median": 9.25}}
        vellum = {"a": {"median": 200.0}, "b": {"median": 250.0}, "c": {"failed": "x"}}
        self.assertEqual(list(compare.rows(operations, {"Linux": linux, "Vellum": vellum})),
                         [["A", "400", "200", "2.0", "100", "yes"], ["B", "1,000", "250", "4.0", "100", "no: 2.5 G"],
                          ["C", "9.2", "failed", "", "", ""], ["D", "-", "-", "", "5.0", ""]])

    def test_names_are_those_of_the_guest(self):
        sources = "".join(path.read_text() for path in compare.GUEST.glob("*_metrics.cpp"))
        for operation in OPERATIONS:
            self.assertIn(f'Metric{{"{operation.name}", {operation.name}}}', sources)
        self.assertEqual(sources.count("Metric{"), len(OPERATIONS))


class Measuring(unittest.TestCase):
    def test_counts_repeat_exactly(self):
        names = ["empty_call", "write_fault", "handled_fault"]
        first, second = (compare.measure(guest.linux(), names, 60) for _ in range(2))
        self.assertEqual(first, second)
        self.assertEqual(list(first), names)
        # What is known of Debian's kernels 6.1, with room for other builds of it.
        self.assertAlmostEqual(first["empty_call"]["median"], 320, delta=20)
        self.assertAlmostEqual(first["write_fault"]["median"], 2740, delta=200)

    def test_a_run_that_measures_nothing_is_an_error(self):
        with self.assertRaises(compare.BenchError), contextlib.redirect_stderr(io.StringIO()):
            compare.measure(guest.linux(), [], 0.2)


if __name__ == "__main__":
    unittest.main()
