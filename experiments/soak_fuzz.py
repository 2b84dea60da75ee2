"""Does any damaged file, page, word or attack's name end in a traceback, a long wait or a file elsewhere?

python experiments/soak_fuzz.py --cases 1200

Each of the tests of tests/test_fuzz.py, so many times.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--cases", type=int, default=1200)
parser.add_argument("--quick", action="store_true", help="ten cases each")
options = parser.parse_args()
cases = str(10 if options.quick else options.cases)
tests = Path(__file__).parents[1] / "tests" / "test_fuzz.py"
command = [sys.executable, "-m", "pytest", "-q", "-n0", "--timeout", "0", str(tests)]
raise SystemExit(subprocess.call(command, env=os.environ | {"ROBUSTCNN_FUZZ": cases}))
