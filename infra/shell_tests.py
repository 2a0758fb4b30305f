#!/usr/bin/env python3
"""The tests of the scripts that call other programs, against stand-ins for those programs.

    infra/shell_tests.py
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

from command_line import takes_nothing

HERE = Path(__file__).resolve().parent


def main() -> int:
    tests = unittest.TestSuite()
    for folder in sorted({path.parent for path in [*HERE.glob("*/*/tests/test_*.py"), *HERE.glob("tests/test_*.py")]}):
        tests.addTests(unittest.TestLoader().discover(str(folder), top_level_dir=str(folder)))
    if not tests.countTestCases():
        print("shell tests: there are none", file=sys.stderr)
        return 1
    done = unittest.TextTestRunner(verbosity=0).run(tests)
    return 0 if done.wasSuccessful() and not done.skipped else 1


if __name__ == "__main__":
    takes_nothing(__doc__)
    sys.exit(main())
