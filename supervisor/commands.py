"""The commands that start, look at, hurt and stop a system. Each returns its exit code.

What only one of them needs is imported there: `status` and `stop` must answer at once.
"""

import asyncio
import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from supervisor import control, lock
from supervisor.control import FAULTS
from supervisor.errors import StartError
from supervisor.options import Options
from supervisor.restart import EXIT_CANNOT_START, EXIT_USAGE

EXIT_FINE = 0
EXIT_FAILED = 1
STOP_WAIT_SECONDS = 120.0
HTTP_SECONDS = 10.0
RESTART_SECONDS = 90.0  # longer than a new process is given to become ready


def up(options: Options) -> int:
    """Start everything and stay until told to stop."""
    from settings import SettingsError
    from supervisor.console import Console
    from supervisor.running import run

    try:
        asyncio.run(run(options, Console()))
    except SettingsError as error:
        return _complain(str(error), code=EXIT_USAGE)
    except StartError as error:
        for line in error.log_lines:
            _complain(f"  | {line}")
        _complain(f"error: {error.what}")
        return _complain(f"fix: {error.fix}" if error.fix else "", code=EXIT_CANNOT_START)
    except OSError as error:
        if error.filename is None:
            raise
        what = f"error: {error.filename2 or error.filename} cannot be used: {error.strerror}"
        return _complain(what, code=EXIT_CANNOT_START)
    return EXIT_FINE


def status(state: Path, *, as_json: bool, as_metrics: bool = False) -> int:
    """Print every process; with ``as_json`` everything that programs need, passwords included."""
    answer = _ask(state, {"command": "status", "asked": True})
    if answer is None:
        return EXIT_FAILED
    if as_metrics:
        from supervisor.figures import as_text

        sys.stdout.write(as_text(answer["processes"]))
        return EXIT_FINE
    if as_json:
        _print(json.dumps(answer, indent=2))
        return EXIT_FINE
    for row in answer["processes"]:
        fault = f" ({row['fault']})" if row["fault"] else ""
        restarts = f"  {_restarts(row)}" if row["restarts"] else ""
        silence = f"  silent for {row['silent_seconds']:.0f} s" if row["silent_seconds"] else ""
        why = f"  not ready: {told}" if (told := row.get("unready")) else ""  # an older supervisor does not tell
        state_now = f"{row['state']}{fault}"
        _print(f"{row['name']:<16} {state_now:<16} {row['pid'] or '-':>8}  {row['url']}{restarts}{silence}{why}")
    _print(f"load balancer's statistics: {answer['stats']}")
    if answer["broker"].startswith("amqp"):
        _print(
            f"installation {answer['installation']}: its queues at the broker begin with cds.{answer['installation']}."
        )
    _print(f"shop: {answer['shop']}   (the system is {answer['state']}, pid {answer['pid']})")
    return EXIT_FINE


def _restarts(row: dict[str, Any]) -> str:
    """How often, why, and what the last reason was."""
    counted = ", ".join(f"{reason} {count}" for reason, count in row["restarts_by_reason"].items() if count)
    return f"restarted {row['restarts']} times ({counted}; last: {row['last_end']})"


def stop(state: Path) -> int:
    """Tell the running system to stop, and wait until it has."""
    try:
        control.ask(state, {"command": "stop"})
    except control.NotRunningError as error:
        _print(str(error))
        return EXIT_FINE
    except control.RefusedError as error:
        return _complain(f"error: {error}", code=EXIT_FAILED)
    deadline = time.monotonic() + STOP_WAIT_SECONDS
    while lock.is_held(state):
        if time.monotonic() > deadline:
            return _complain(f"error: the system did not stop within {STOP_WAIT_SECONDS:g} s", code=EXIT_FAILED)
        time.sleep(0.05)
    _print("stopped")
    return EXIT_FINE


def fault(state: Path, words: Sequence[str]) -> int:
    """``kill web-1 web-2`` or ``web-1 kill``: one word is the fault, the others name processes."""
    faults = [word for word in words if word in FAULTS]
    names = [word for word in words if word not in FAULTS]
    if len(faults) != 1 or not names:
        text = f"error: expected one of {', '.join(FAULTS)} and the names of processes, as in: fault kill web-1"
        return _complain(text, code=EXIT_USAGE)
    request = {"command": "fault", "fault": faults[0], "names": names}
    return EXIT_FAILED if _ask(state, request) is None else EXIT_FINE


def restart_balancer(state: Path) -> int:
    """Put a new process in the balancer's place; nobody's connection is refused meanwhile, with either engine."""
    answer = _ask(state, {"command": "restart_balancer"}, RESTART_SECONDS)
    if answer is None:
        return EXIT_FAILED
    _print(f"the load balancer is process {answer['pid']} now; the one before serves its connections to their end")
    return EXIT_FINE


def traffic(state: Path, customers: int) -> int:
    """Change the number of simulated customers of a running system."""
    request = {"command": "set", "key": "customers.simulated", "value": customers}
    return EXIT_FAILED if _ask(state, request) is None else EXIT_FINE


def close_month(state: Path) -> int:
    """End the open month by hand; any distributor may be asked, the leader acts."""
    from settings import Runtime, SettingsError

    try:
        runtime = Runtime.read(state)
    except SettingsError as error:
        return _complain(str(error), code=EXIT_USAGE)
    reasons = []
    for number in range(1, runtime.settings.distributor.instances + 1):
        url = runtime.addresses.url(runtime.addresses.distributor(number)) + "/internal/months/close"
        request = urllib.request.Request(url, data=b"", method="POST")  # noqa: S310 - our own address
        request.add_header("Authorization", f"Bearer {runtime.secrets.control_token}")
        try:
            with urllib.request.urlopen(request, timeout=HTTP_SECONDS) as answer:  # noqa: S310
                _print(answer.read().decode("utf-8", errors="replace").strip() or "the month is being closed")
                return EXIT_FINE
        except urllib.error.HTTPError as error:
            return _complain(f"error: {_detail(error)}", code=EXIT_FAILED)
        except OSError as error:
            reasons.append(f"distributor {number}: {error}")
    return _complain("error: no distributor answered: " + "; ".join(reasons), code=EXIT_FAILED)


def _detail(error: urllib.error.HTTPError) -> str:
    """The sentence of a problem+json answer."""
    try:
        problem = json.loads(error.read())
        return str(problem.get("detail") or problem.get("title"))
    except (ValueError, AttributeError):
        return f"{error.code} {error.reason}"


def _ask(state: Path, request: dict[str, Any], seconds: float = control.ANSWER_SECONDS_MAX) -> dict[str, Any] | None:
    try:
        return control.ask(state, request, seconds)
    except (control.NotRunningError, control.RefusedError) as error:
        _complain(f"error: {error}")
        return None


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _complain(text: str, *, code: int = EXIT_FAILED) -> int:
    if text:
        sys.stderr.write(text + "\n")
    return code
