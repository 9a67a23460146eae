"""Nobody but the program writes lines into its log, whatever is in a name, a path or an error's text."""

import io
import logging
import time

import pytest

from settings.log_lines import LineFormatter


@pytest.fixture
def written() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(written: io.StringIO) -> logging.Logger:
    logger = logging.Logger("shop", "INFO")  # noqa: LOG001 - of this test only, not in the process's tree of loggers
    handler = logging.StreamHandler(written)
    handler.setFormatter(LineFormatter("web-1"))
    logger.addHandler(handler)
    return logger


FORGERY = "2026-01-01T00:00:00.000Z ERROR web-1 shop: forged"


@pytest.mark.parametrize(
    "nasty",
    [
        "a\r\n",
        "a\n",
        "a\r",
        "\x1b[2J",
        "\x9b31m",
        "a\u2028b",
        "a\u2029b",
        "a\x85b",
        "\u202eevil",
        "\x00",
        "\ud800",
        "\x0b",
    ],
)
def test_a_message_stays_on_its_line_and_is_visible(logger: logging.Logger, written: io.StringIO, nasty: str) -> None:
    """L1: CR, LF and the other ends of a line, terminal commands, text that runs backwards, half a surrogate pair."""
    logger.error("the name %s was refused", nasty + FORGERY)
    text = written.getvalue()
    assert text.endswith("forged was refused\n")
    assert len(text.splitlines()) == 1
    assert text.removesuffix("\n").isprintable()
    assert text.encode()


def test_a_moment_is_written_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    """L3, wherever the machine stands."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    try:
        record = logging.makeLogRecord({"created": 1_767_225_600.25, "msecs": 250.0, "msg": "x", "levelname": "INFO"})
        assert LineFormatter("web-1").format(record).startswith("2026-01-01T00:00:00.250Z INFO web-1 ")
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_text_of_an_error_cannot_pass_for_a_line(logger: logging.Logger, written: io.StringIO) -> None:
    """L2."""
    try:
        raise ValueError("x\n" + FORGERY + "\x1b[31m")
    except ValueError:
        logger.exception("request failed")
    first, *rest = written.getvalue().splitlines()
    assert first.endswith("ERROR web-1 shop: request failed")
    assert rest
    assert all(line.startswith("  | ") and line.isprintable() for line in rest)


def test_plain_text_of_any_script_is_left_as_it_is(logger: logging.Logger, written: io.StringIO) -> None:
    logger.info("Zoë, 李小龙 and 100 %% of 👩")
    assert "Zoë, 李小龙 and 100 %% of 👩" in written.getvalue()
