"""``python -m distributor --state DIR --name distributor``: one distributor process, as the supervisor starts it."""

import argparse
import asyncio
import logging
import os
import re
import sys
from pathlib import Path

from distributor.process import Process
from settings import Runtime, SettingsError, log_lines

logger = logging.getLogger("distributor")

EXIT_CONFIGURATION = 64


def main() -> int:
    """The exit code: 0 stopped as asked, 64 wrong configuration, 70 cannot start, 1 failed (start it again)."""
    parser = argparse.ArgumentParser(prog="python -m distributor", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--name", required=True, help="distributor, distributor-2, …")
    options = parser.parse_args()
    match = re.fullmatch(r"distributor(?:-([1-9][0-9]?))?", options.name, re.ASCII)
    if match is None:
        sys.stderr.write(f"--name must be distributor, distributor-2, …, not {options.name!r}\n")
        return EXIT_CONFIGURATION
    log_lines.start(options.name, "INFO")
    try:
        runtime = Runtime.read(options.state)
        process = Process(runtime, options.name, int(match[1] or 1))
    except (SettingsError, ValueError, KeyError, OSError) as error:
        logger.critical("the configuration in %s cannot be used: %s", options.state, error)
        return EXIT_CONFIGURATION
    logging.getLogger().setLevel(runtime.settings.logging.level)
    return asyncio.run(process.run())


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # threads that did not end in time must not hold up the exit; nothing of theirs is lost (X4)
