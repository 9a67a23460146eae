"""What the clients did and learned, written as it happens: history.jsonl of a run, in Jepsen's form.

H1  An invocation is on its way to the file before its request is sent; its end after the answer came.
H2  Each line is handed to the operating system at once: a killed driver leaves all lines but perhaps a torn last one.
H3  A process has one operation under way at most; after an indefinite end it goes on under a new process number.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from scenarios.outcomes import Known, Reply, contention_of

Held = Mapping[int, tuple[int, str]]
"""Units that the shop said to hold, and until when by its clock, by stock id."""


class History:
    """The file of one run; used by the greenlets of one process."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("ab", buffering=0)
        self._next_process = 0
        self._next_index = 0

    def new_process(self) -> "Process":
        return Process(self)

    def number_process(self) -> int:
        number = self._next_process
        self._next_process += 1
        return number

    def number_operation(self) -> int:
        index = self._next_index
        self._next_index += 1
        return index

    def write(self, row: Mapping[str, object]) -> None:
        self._file.write(json.dumps(row, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        self._file.close()


class Process:
    """One logical client of the history."""

    def __init__(self, history: History) -> None:
        self._history = history
        self.number = history.number_process()

    def invoke(
        self, customer: str, customer_id: int, key: str, lines: Mapping[int, int], held: Held | None = None
    ) -> int:
        """Record an order that is about to be sent (H1), and what of it the shop said to hold; returns its index."""
        index = self._history.number_operation()
        row = {"process": self.number, "type": "invoke", "op": "order", "index": index, "time_ns": time.time_ns()}
        who = {"customer": customer, "customer_id": customer_id, "key": key, "lines": sorted(lines.items())}
        holds = {"held": [[stock_id, *hold] for stock_id, hold in sorted(held.items())]} if held else {}
        self._history.write(row | who | holds)
        return index

    def end(self, index: int, key: str, known: Known, reply: Reply) -> None:
        """Record what was learned of the operation."""
        ok = known is Known.OK
        met = contention_of(reply)
        row = {"process": self.number, "type": known.value, "op": "order", "index": index, "time_ns": time.time_ns()}
        self._history.write(
            row
            | {
                "key": key,
                "status": reply.status,
                "order_id": reply.body["id"] if ok else None,
                "total_minor": reply.body["total"]["amount"] if ok else None,
                "error": None if ok else (reply.error or reply.problem or None),
            }
            | ({"contention": met} if met else {})
        )
        if known is Known.INFO:
            self.number = self._history.number_process()  # H3
