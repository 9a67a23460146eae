"""Tells a person how far a run is: one live line on a terminal, plain lines when piped."""

import time

from rich.console import Console
from rich.status import Status

PLAIN_SECONDS = 5.0  # between two plain lines of one phase


class Teller:
    """Prints phases and their progress to standard error, so that standard output carries results alone."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._status: Status | None = None
        self._phase = ""
        self._began = time.monotonic()
        self._told_at = 0.0

    def phase(self, text: str) -> None:
        """A new phase begins; the one before is told with its duration."""
        self._end_phase()
        self._phase = text
        self._began = self._told_at = time.monotonic()
        if self.console.is_terminal:
            self._status = self.console.status(text)
            self._status.start()
        else:
            self.console.print(f"{text} …", markup=False, soft_wrap=True)

    def progress(self, text: str) -> None:
        """How far the phase is; often on a terminal, seldom when piped."""
        if self._status is not None:
            self._status.update(f"{self._phase}: {text} ({time.monotonic() - self._began:.0f} s)")
        elif time.monotonic() - self._told_at >= PLAIN_SECONDS:
            self._told_at = time.monotonic()
            self.console.print(f"  {text}", markup=False, soft_wrap=True)

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def close(self) -> None:
        self._end_phase()
        self._phase = ""

    def _end_phase(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._phase:
            self.console.print(f"{self._phase}: {time.monotonic() - self._began:.1f} s", markup=False, soft_wrap=True)
