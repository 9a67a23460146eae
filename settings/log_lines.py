"""Log lines that nobody but the program can write: what a message repeats of a request, a feed or a name stays on its line.

L1  One record begins one line. Line ends and every other character that does not print (terminal commands, text that runs
    backwards) are written as escapes, whoever put them into the message.
L2  A traceback follows in lines that begin with ``  | ``: no text in an error can pass for a line of the log.
L3  Moments are UTC and say so (RFC 3339), so that the logs of several machines, and of both sides of a change of the clock,
    can be put in one order.
"""

import logging
import sys
import time

LINE = "%(asctime)s %(levelname)s {name} %(name)s: %(message)s"
TRACEBACK_MARK = "  | "


class LineFormatter(logging.Formatter):
    """Formats the records of the process called ``name``."""

    converter = staticmethod(time.gmtime)  # L3
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self, name: str) -> None:
        super().__init__(LINE.format(name=name.replace("%", "%%")))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        return escaped(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802
        text = super().formatException(ei)  # type: ignore[arg-type]  # the type has changed between versions
        return "\n".join(TRACEBACK_MARK + escaped(line) for line in text.split("\n"))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return "\n".join(TRACEBACK_MARK + escaped(line) for line in stack_info.split("\n"))


def escaped(text: str) -> str:
    """The text on one line, everything in it visible (L1)."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def start(name: str, level: str) -> None:
    """Write this process's log to standard error, from ``level`` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(name))
    logging.basicConfig(level=level, handlers=[handler])
