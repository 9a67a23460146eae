"""The rows of malformed requests and answers (tests/unit/test_load_balancer_*.py) against ours, HAProxy and nginx.

Each row goes over a connection of its own to each proxy; behind each stands a server that records what reaches it, read
as strictly as ours reads. Their configuration is their default one: what they let pass, they let pass on purpose, for
the sake of old clients. Writes docs/http-rows.md.
"""

import re
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.balancer import programs
from bench.balancer.programs import Place, Program
from load_balancer.http1.events import End, Rejected, Request
from load_balancer.http1.requests import RequestParser
from tests.unit.test_load_balancer_requests import BODY_MAX
from tests.unit.test_load_balancer_requests import ROWS as REQUESTS
from tests.unit.test_load_balancer_requests import Row as RequestRow
from tests.unit.test_load_balancer_responses import ROWS as ANSWERS
from tests.unit.test_load_balancer_responses import Row as AnswerRow

SILENCE_SECONDS = 0.6  # what says nothing for so long waits for more
PAGE = Path(__file__).resolve().parents[1] / "docs" / "http-rows.md"
GOOD_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Start = Callable[[Path, Place], AbstractContextManager[Program]]
PROXIES: dict[str, Start] = {
    "ours": lambda folder, place: programs.ours(folder, place, BODY_MAX),
    "HAProxy": programs.haproxy,
    "nginx": programs.nginx,
}
HEADINGS = {
    "L": "Request lines",
    "H": "Field lines",
    "F": "Framing",
    "C": "Chunks",
    "P": "Pipelines",
}


def run() -> dict[str, Any]:
    """Write the page; how many of the rows that a strict proxy refuses each of the three passed on."""
    missing = [package for package in programs.missing_packages() if package != "wrk"]
    if missing:
        print(f"skipped: apt install {' '.join(missing)}")
        return {"skipped": f"not installed: {', '.join(missing)}"}
    results: dict[str, Results] = {}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker may run as another user
        threads = []
        for proxy, start in PROXIES.items():
            recorder = stack.enter_context(recording())
            program = stack.enter_context(start(folder, Place([recorder.port])))
            results[proxy] = Results()
            threads.append(threading.Thread(target=_send_all, args=(program.port, recorder, results[proxy])))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    PAGE.write_text(_page(results))
    print(f"written: {PAGE}")
    return {
        proxy: {
            "malformed_requests_passed_on": sum("**" in cell for cell in result.requests.values()),
            "malformed_answers_passed_on": sum("**" in cell for cell in result.answers.values()),
        }
        for proxy, result in results.items()
    } | {
        "malformed_requests": sum(bool(row.status) for row in REQUESTS),
        "malformed_answers": sum(row.broken for row in ANSWERS),
    }


@dataclass
class Results:
    """What is written into the table, by a row's name."""

    requests: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)


@dataclass
class Recorder:
    """A server: ``answer`` is what each request gets, ``ends`` whether its connection ends with it."""

    port: int = 0
    reached: int = 0
    unreadable: int = 0
    answer: bytes = GOOD_ANSWER
    ends: bool = False

    def expect(self, answer: bytes = GOOD_ANSWER, *, ends: bool = False) -> None:
        self.reached = self.unreadable = 0
        self.answer, self.ends = answer, ends

    def serve(self, connection: socket.socket) -> None:
        """Until its end; requests of checks are answered and not counted."""
        parser = RequestParser(10_000_000)
        request: Request | None = None
        with suppress(OSError), connection:
            while data := connection.recv(65_536):
                parser.feed(data)
                while (event := parser.next_event()) is not None:
                    if isinstance(event, Request):
                        request = event
                    if isinstance(event, Rejected):
                        self.unreadable += 1
                        return
                    if isinstance(event, End) or (isinstance(event, Request) and event.complete):
                        self._reply(connection, request)
                        if self.ends:
                            return

    def _reply(self, connection: socket.socket, request: Request | None) -> None:
        if request is not None and request.target == b"/healthz":
            connection.sendall(GOOD_ANSWER)
            return
        self.reached += 1
        connection.sendall(self.answer)


@contextmanager
def recording() -> Iterator[Recorder]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    recorder = Recorder(listener.getsockname()[1])

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=recorder.serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield recorder
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def _send_all(port: int, recorder: Recorder, results: Results) -> None:
    for row in REQUESTS:
        recorder.expect()
        said, _ = _exchange(port, row.data, eof=row.eof)
        results.requests[row.name] = _request_cell(row, said, recorder)
    for answer in ANSWERS:
        method = b"HEAD" if answer.for_head else b"GET"
        recorder.expect(answer.data, ends=answer.eof)
        said, ended = _exchange(port, method + b" / HTTP/1.1\r\nHost: shop\r\n\r\n", eof=False)
        results.answers[answer.name] = _answer_cell(answer, said, ended=ended)


def _exchange(port: int, data: bytes, *, eof: bool) -> tuple[bytes, bool]:
    """All that is said until the end or a silence, and whether it ended."""
    said = b""
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        with suppress(OSError):
            connection.sendall(data)
            if eof:
                connection.shutdown(socket.SHUT_WR)
        connection.settimeout(SILENCE_SECONDS)
        try:
            while received := connection.recv(65_536):
                said += received
        except TimeoutError:
            return said, False
        except OSError:
            return said, True
    return said, True


def _statuses(said: bytes) -> str:
    found = [status.decode() for status in re.findall(rb"HTTP/1\.[01] ([0-9]{3})[ \r]", said)]
    return ", ".join(found)


def _request_cell(row: RequestRow, said: bytes, recorder: Recorder) -> str:
    """In bold: more requests reached the server than a strict proxy would have passed on."""
    wanted = row.requests if row.name.startswith("P0") or not row.status else 0
    text = _statuses(said) or "no answer"
    if recorder.unreadable:
        text += ", refused by the server"
    if row.status and recorder.reached + recorder.unreadable > wanted:
        return f"**{text}, passed on**" if not recorder.unreadable else f"**{text}**"
    return text


def _answer_cell(row: AnswerRow, said: bytes, *, ended: bool) -> str:
    """In bold: an answer that a strict proxy refuses looked whole to the client."""
    text = _statuses(said) or "no answer"
    head, end, body = said.partition(b"\r\n\r\n")
    while re.match(rb"HTTP/1\.1 1", head):
        head, end, body = body.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head)
    chunked = re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head)
    if row.for_head or re.match(rb"HTTP/1\.1 (?:204|304)", head):
        whole = bool(end)
    elif chunked:
        whole = body.endswith(b"0\r\n\r\n")
    elif length:
        whole = len(body) >= int(length[1])
    else:
        whole = bool(said) and ended
    if not whole:
        return f"{text}, cut off" if head else text
    return f"**{text}, whole**" if row.broken and text.endswith("200") else text


def _page(results: dict[str, Results]) -> str:
    names = list(results)
    lines = [
        "# Malformed requests and answers: ours, HAProxy and nginx",
        "",
        "Written by `main.py bench balancer_rows`. Each row was sent over a connection of its own to each proxy; behind each",
        "stood a server that records what reaches it. *Strict* is what section C1 and C3 of the project's rules ask for, and",
        "what ours must do (`tests/unit/test_load_balancer_requests.py` and `..._responses.py` hold the bytes). HAProxy and",
        "nginx run with their defaults, which forgive some mistakes for the sake of old clients.",
        "",
        "**Bold**: a request that a strict proxy refuses reached the server, or an answer that it refuses looked whole to the",
        "client. That need not be a hole (where the proxy rewrites what it passes on, the server reads one thing only); it",
        "is one more reading on which both sides must agree. *Refused by the server*: it was passed on in a form that the",
        "server, which is as strict as ours and counts the lines that a proxy adds, did not take. *No answer*: the connection",
        f"ended without one, or was silent for {SILENCE_SECONDS:g} s.",
        "",
        *_table("Passed on, of the malformed", ["", *names], _summary(results)),
    ]
    for letter, heading in HEADINGS.items():
        rows = [
            [
                row.name,
                str(row.status) if row.status else "accept",
                *(results[name].requests[row.name] for name in names),
            ]
            for row in REQUESTS
            if row.name.startswith(letter)
        ]
        lines += _table(heading, ["request", "strict", *names], rows)
    answers = [
        [row.name, "refuse" if row.broken else str(row.status), *(results[name].answers[row.name] for name in names)]
        for row in ANSWERS
    ]
    return "\n".join([*lines, *_table("Answers of servers", ["answer", "strict", *names], answers)])


def _summary(results: dict[str, Results]) -> list[list[str]]:
    requests = sum(bool(row.status) for row in REQUESTS)
    answers = sum(row.broken for row in ANSWERS)
    return [
        [f"{requests} requests", *(str(sum("**" in c for c in each.requests.values())) for each in results.values())],
        [f"{answers} answers", *(str(sum("**" in c for c in each.answers.values())) for each in results.values())],
    ]


def _table(heading: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    body = ["| " + " | ".join(row) + " |" for row in (list(columns), ["---"] * len(columns), *cells)]
    return [f"## {heading}", "", *body, ""]
