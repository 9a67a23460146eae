"""``main.py balancer …``: an operator's words to the load balancer of a running system. Each returns its exit code.

The token and the port come from the state folder, so whoever may read that may change the balancer.
"""

import json
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from load_balancer.admin.forms import words_of
from load_balancer.engines.launch import SOCKET
from load_balancer.engines.runtime_api import RuntimeApi, RuntimeApiError, refused
from load_balancer.options import OptionsError
from load_balancer.server_lines import read_words
from settings import Runtime, SettingsError

EXIT_FINE: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 64
HTTP_SECONDS: Final = 10.0
IDLE_POLL_SECONDS: Final = 0.1


_Call = Callable[..., Any]
"""(method, path, document) of the admin port, whichever engine answers."""


class _CommandError(Exception):
    """What hinders it, in one line, and the exit code."""

    def __init__(self, what: str, code: int = EXIT_FAILED) -> None:
        super().__init__(what)
        self.code = code


def servers(state: Path, *, as_json: bool) -> int:
    """A line for each server; as JSON everything that is known of it."""

    def tell(call: _Call) -> None:
        rows = call("GET", "/servers")
        if as_json:
            sys.stdout.write(json.dumps(rows, indent=2) + "\n")
            return
        for row in rows:
            limit = f" maxconn {row['maxconn']}" if row["maxconn"] else ""
            backup = " backup" if row["backup"] else ""
            sys.stdout.write(
                f"{row['name']:<16} {row['state']:<6} {row['address']:<21} weight {row['weight']}{limit}{backup}  "
                f"{row['in_flight']} under way, {row['requests']} requests  ({row['reason']})\n"
            )

    return _with_calls(state, tell)


def set_state(state: Path, name: str, wanted: str) -> int:
    """ready, drain (nobody new) or maint (nobody, no checks)."""

    def tell(call: _Call) -> None:
        row = call("POST", f"/servers/{_checked(name)}/state", {"state": wanted})
        sys.stdout.write(f"{row['name']} is {row['admin']}; {row['in_flight']} requests are with it\n")

    return _with_calls(state, tell)


def set_weight(state: Path, name: str, weight: int) -> int:
    """0 to 256; 0: nobody new."""

    def tell(call: _Call) -> None:
        row = call("PATCH", f"/servers/{_checked(name)}", {"weight": weight})
        sys.stdout.write(f"{row['name']} has the weight {row['weight']}\n")

    return _with_calls(state, tell)


def add(state: Path, name: str, address: str, words: Sequence[str]) -> int:
    """``words``: what stands behind an address in HAProxy's configuration, such as weight 3 maxconn 20 backup."""

    def tell(call: _Call) -> None:
        _not_with_haproxy(call, "add")
        try:
            options = read_words(words, f"server {name}")
        except OptionsError as error:
            raise _CommandError(str(error), EXIT_USAGE) from error
        document = {"address": address, "cookie": options.cookie} | words_of(options)
        row = call("PUT", f"/servers/{_checked(name)}", document)
        sys.stdout.write(f"{row['name']} is at {row['address']}; it gets requests once it has passed a check\n")

    return _with_calls(state, tell)


def remove(state: Path, name: str, wait_seconds: float) -> int:
    """HAProxy's three steps: maint, wait until it is idle, ``del server``."""

    def tell(call: _Call) -> None:
        _not_with_haproxy(call, "remove")
        path = f"/servers/{_checked(name)}"
        row = call("POST", f"{path}/state", {"state": "maint"})
        deadline = time.monotonic() + wait_seconds
        while row["in_flight"] and time.monotonic() < deadline:
            time.sleep(IDLE_POLL_SECONDS)
            row = call("GET", path)
        if row["in_flight"]:
            said = f"{name} is in maint, but {row['in_flight']} requests are still with it after {wait_seconds:g} s"
            raise _CommandError(f"{said}; it was not removed, ask again later")
        call("DELETE", path)
        sys.stdout.write(f"{name} is removed\n")

    return _with_calls(state, tell)


def reload(state: Path) -> int:
    """config.yml is read again: what holds now, and what needs a restart."""

    def tell(call: _Call) -> None:
        _not_with_haproxy(call, "reload")
        outcome = call("POST", "/reload")
        sentences = (
            ("applied", "holds now"),
            ("needs_balancer_restart", "holds after: main.py balancer restart"),
            ("needs_system_restart", "holds after a new start of the system"),
            ("removed_by_hand", "left out, for it was removed by hand"),
        )
        lines = [f"{name:<45} {what}\n" for key, what in sentences for name in outcome[key]]
        sys.stdout.write("".join(lines) or "nothing that concerns the running system has changed\n")

    return _with_calls(state, tell)


def _not_with_haproxy(call: _Call, command: str) -> None:
    if isinstance(call, RuntimeApi):
        raise refused(command)


class _Calls:
    """Of the admin port of the balancer that runs with a state folder; raises _CommandError."""

    def __init__(self, state: Path, runtime: Runtime) -> None:
        self._state = state
        self._url = runtime.addresses.url(runtime.addresses.load_balancer_admin)
        self._token = runtime.secrets.control_token

    def __call__(self, method: str, path: str, document: object = None) -> Any:
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(self._url + path, data=body, method=method)  # noqa: S310 - our own address
        request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=HTTP_SECONDS) as answer:  # noqa: S310
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise _CommandError(_detail(error)) from error
        except (OSError, ValueError) as error:
            raise _CommandError(f"the load balancer of {self._state} does not answer: {error}") from error


def _with_calls(state: Path, tell: Callable[[_Call], None]) -> int:
    try:
        runtime = Runtime.read(state)
        ours = runtime.settings.load_balancer.engine == "builtin"
        tell(_Calls(state, runtime) if ours else RuntimeApi(state / SOCKET))
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_USAGE
    except RuntimeApiError as error:
        sys.stderr.write(f"error: {error}\n")
        return EXIT_FAILED
    except _CommandError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.code
    return EXIT_FINE


def _checked(name: str) -> str:
    """A name that can stand in a path."""
    if not name.isascii() or not name.replace(".", "").replace("_", "").replace("-", "").isalnum():
        raise _CommandError(f"name: {name!r} is no name of a server", EXIT_USAGE)
    return name


def _detail(error: urllib.error.HTTPError) -> str:
    """The sentence of a problem document."""
    try:
        return str(json.loads(error.read())["detail"])
    except (ValueError, LookupError, TypeError):
        return f"{error.code} {error.reason}"
