"""An operator's words to HAProxy: its runtime API, spoken for `main.py balancer …` as our own admin port would be.

R1  What HAProxy has a word for means the same with either engine; whatever else is refused in a sentence that names the
    engine and what helps instead.
R2  Its answers are lines for people: an empty one is success, anything else is the reason why not.
What is changed by hand ends with the process; our own engine keeps it.
"""

import csv
import io
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

SECONDS_MAX: Final = 10.0
BACKEND: Final = "servers"
_SERVERS: Final = "show stat -1 4 -1"  # every proxy, rows of servers only, every one
_ADMIN: Final = {"DRAIN": "drain", "MAINT": "maint"}  # else ready
_INSTEAD: Final = {
    "add": "customers.instances says how many servers there are, from the next start of the system on",
    "remove": "`balancer state NAME maint` takes a server out",
    "reload": "`balancer restart` reads the settings again, and nobody's connection is refused meanwhile",
}


class RuntimeApiError(Exception):
    """HAProxy said no, cannot be asked, or has no word for what is wanted; one line."""


class RuntimeApi:
    """What the commands ask: the calls of our admin port that HAProxy can answer (R1)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Any:
        """As the admin port's documents; raises RuntimeApiError."""
        name, _, verb = path.removeprefix("/servers").removeprefix("/").partition("/")
        if method == "GET":
            return self._server(name) if name else self._servers()
        wanted = document or {}
        if verb == "state" and wanted["state"] in ("ready", "drain", "maint"):
            self._change(name, f"state {wanted['state']}")
        elif method == "PATCH":
            self._change(name, f"weight {wanted['weight']}")
        else:
            raise RuntimeApiError(f"state: {wanted['state']!r} is none of ready, drain, maint")
        return self._server(name)

    def _change(self, name: str, words: str) -> None:
        self._server(name)
        said = self._ask(f"set server {BACKEND}/{name} {words}").strip()
        if said:  # R2
            raise RuntimeApiError(f"engine haproxy: {said}")

    def _server(self, name: str) -> dict[str, Any]:
        rows = self._servers()
        found = next((row for row in rows if row["name"] == name), None)
        if found is None:
            known = ", ".join(row["name"] for row in rows)
            raise RuntimeApiError(f"name: no server is called {name!r}; there are: {known}")
        return found

    def _servers(self) -> list[dict[str, Any]]:
        return servers_of(self._ask(_SERVERS))

    def _ask(self, words: str) -> str:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(SECONDS_MAX)
                connection.connect(str(self._path))
                connection.sendall(words.encode("ascii") + b"\n")
                with connection.makefile("rb") as answer:
                    return answer.read().decode("utf-8", "replace")
        except OSError as error:
            raise RuntimeApiError(f"engine haproxy: its runtime API {self._path} does not answer: {error}") from error


def refused(command: str) -> RuntimeApiError:
    """Of add, remove, reload: what has no word in HAProxy's runtime API, or would not outlive it."""
    return RuntimeApiError(f"engine haproxy: it cannot {command} while it runs; {_INSTEAD[command]}")


def servers_of(statistics: str) -> list[dict[str, Any]]:
    """The rows of ``show stat`` in the words of our own admin port."""
    lines = csv.DictReader(io.StringIO(statistics.removeprefix("# ")))
    return [_row(line) for line in lines if line["pxname"] == BACKEND]


def _row(line: Mapping[str, str]) -> dict[str, Any]:
    state = line["status"].partition(" ")[0]
    return {
        "name": line["svname"],
        "state": line["status"],
        "admin": _ADMIN.get(state, "ready"),
        "address": line["addr"],
        "weight": _number(line["uweight"]),
        "maxconn": _number(line["slim"]),
        "backup": line["bck"] == "1",
        "in_flight": _number(line["scur"]),
        "queued": _number(line["qcur"]),
        "requests": _number(line["stot"]),
        "reason": line["last_chk"] or line["check_status"] or "not checked",
    }


def _number(text: str) -> int:
    return int(text) if re.fullmatch("[0-9]+", text) else 0
