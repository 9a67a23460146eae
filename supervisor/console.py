"""What `up` tells the person who started it: one line a process, with progress on a terminal, plain when piped."""

import contextlib
import sys
from collections.abc import Callable

from rich.console import Console as RichConsole
from rich.markup import escape

NAME_WIDTH = 16


class Console:
    """Output that cannot be written (a closed pipe or terminal, a full disk) is dropped: the system goes on."""

    def __init__(self) -> None:
        self._terminal = RichConsole(highlight=False, soft_wrap=True) if sys.stdout.isatty() else None
        self._status = self._terminal.status("starting") if self._terminal else None
        self._pending: list[str] = []

    def begin(self, pending: list[str]) -> None:
        """The processes that the start waits for."""
        self._pending = list(pending)
        if self._status is not None:
            self._write(self._status.start)
        self._show_progress()

    def ready(self, name: str, url: str) -> None:
        self._line(f"{name:<{NAME_WIDTH}} ready   {url}", style="green")
        if name in self._pending:
            self._pending.remove(name)
        self._show_progress()

    def note(self, text: str, style: str = "") -> None:
        self._line(text, style)

    def finish(self) -> None:
        """No more progress is shown."""
        if self._status is not None:
            self._write(self._status.stop)

    def _show_progress(self) -> None:
        status = self._status
        if status is not None:
            text = "waiting for " + ", ".join(self._pending[:5]) + (" …" if len(self._pending) > 5 else "")
            self._write(lambda: status.update(text))

    def _line(self, text: str, style: str) -> None:
        terminal = self._terminal
        if terminal is not None:
            self._write(lambda: terminal.print(f"[{style}]{escape(text)}[/]" if style else escape(text)))
        else:
            self._write(lambda: _print(text))

    def _write(self, action: Callable[[], None]) -> None:
        """Whoever tells the console something must not fail because of it: a process would not be started again."""
        try:
            action()
        except (OSError, UnicodeEncodeError):
            self._drop_output()

    def _drop_output(self) -> None:
        if self._status is not None:
            with contextlib.suppress(OSError, UnicodeEncodeError):
                self._status.stop()  # gives standard output back, which it had replaced
            self._status = None
        sys.stdout = open("/dev/null", "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for the rest of the process
        self._terminal = None


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
