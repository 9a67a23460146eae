"""``python -m manufacturers --state DIR --name manufacturer-1``; started by the supervisor."""

import argparse
import sys
from pathlib import Path

from manufacturers.process import main

parser = argparse.ArgumentParser(prog="python -m manufacturers", description="Manufacturers of one process.")
parser.add_argument("--state", type=Path, required=True, help="state folder of the running system")
parser.add_argument("--name", required=True, help="manufacturer-N, or manufacturers-N when several share a process")
arguments = parser.parse_args()
sys.exit(main(arguments.state, arguments.name))
