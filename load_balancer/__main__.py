"""``python -m load_balancer --state DIR``: the balancer of a running system, as its supervisor starts it."""

import argparse
import sys
from pathlib import Path

from load_balancer.admin.system_settings import SystemSettings
from load_balancer.engines.launch import EngineError, become_haproxy
from load_balancer.listeners import CannotListenError, Listeners
from load_balancer.options import from_runtime
from load_balancer.service import EXIT_CANNOT_START, EXIT_USAGE, run
from settings import Runtime, SettingsError, log_lines


def main() -> int:
    """Serve the system of the state folder; the exit code tells the supervisor whether a restart makes sense."""
    arguments = argparse.ArgumentParser(prog="python -m load_balancer", description=__doc__)
    arguments.add_argument("--state", type=Path, required=True, help="state folder of a running system")
    arguments.add_argument("--name", default="load_balancer", help="how its log lines are marked")
    arguments.add_argument("--listen-fds", type=_descriptors, default=(), help="sockets that listen already")
    arguments.add_argument("--notify-fd", type=int, help="where our sockets are shown once we serve")
    given = arguments.parse_args()
    try:
        runtime = Runtime.read(given.state)
    except (SettingsError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    log_lines.start(given.name, runtime.settings.logging.level)
    if runtime.settings.load_balancer.engine == "haproxy":
        try:
            become_haproxy(from_runtime(runtime), given.state, Listeners(given.listen_fds, given.notify_fd))
        except (EngineError, CannotListenError) as error:
            sys.stderr.write(f"{error}\n")
            return EXIT_CANNOT_START
    settings = SystemSettings(runtime)
    return run(settings.options, Listeners(given.listen_fds, given.notify_fd), settings)


def _descriptors(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
