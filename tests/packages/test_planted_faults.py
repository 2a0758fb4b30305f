"""Every planted fault still fits the source: else the list no longer says what the checks are worth."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests"))

import mutants  # noqa: E402


class PlantedFaults(unittest.TestCase):
    def test_each_text_stands_once_in_its_file_and_is_changed(self):
        self.assertGreater(len(mutants.MUTANTS), 90)
        for mutant in mutants.MUTANTS:
            with self.subTest(mutant.name):
                source = (ROOT / mutant.path).read_text()
                self.assertEqual(source.count(mutant.before), 1, f"{mutant.path}: {mutant.before}")
                self.assertNotEqual(mutant.before, mutant.after)

    def test_names_are_unique(self):
        names = [mutant.name for mutant in mutants.MUTANTS]
        self.assertEqual(len(names), len(set(names)))
