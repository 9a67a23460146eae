"""What each manufacturer makes, read from a CSV file (docs/catalogue.md) or generated.

The reader is strict: a row that is not wholly right is an error that names line and field, all errors are told at once,
and nothing is started with half a catalogue.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manufacturers.ledger import Product

HEADER = ("sku", "name", "manufacturer", "price_minor", "currency", "initial_units", "units_per_month")
SKU = re.compile(r"[A-Z0-9][A-Z0-9 ._-]{0,63}", re.ASCII)
CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
INTEGER = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)
NAME_MAX = 200
PRICE_MINOR_MAX = 1_000_000_000
UNITS_MAX = 10_000_000  # as manufacturers.capacity_units_per_product at most
FILE_BYTES_MAX = 100_000_000
PROBLEMS_SHOWN_MAX = 20
# Unicode categories that a name must not have: controls, formats (bidirectional marks too), surrogates, private use,
# unassigned, line and paragraph separators.
FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True)
class Good:
    """A product of one manufacturer and how much of it is made in a (simulated) month; 0: none."""

    product: Product
    units_per_month: float


class CatalogueError(Exception):
    """The catalogue cannot be used; ``problems`` has one line for each mistake."""

    def __init__(self, problems: list[str]) -> None:
        shown = problems[:PROBLEMS_SHOWN_MAX]
        if len(problems) > len(shown):
            shown.append(f"… and {len(problems) - len(shown)} more")
        super().__init__("\n".join(shown))
        self.problems = problems


class _Wrong(Exception):
    """A field's text is not what it should be; the text says what it should be."""


def read(path: Path, codes: Collection[str]) -> dict[str, list[Good]]:
    """The goods of each manufacturer of ``codes`` (none, if the file has none for it); raises CatalogueError."""
    rows = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    goods: dict[str, list[Good]] = {code: [] for code in codes}
    first_lines: dict[tuple[str, str], int] = {}
    problems: list[str] = []
    try:
        if tuple(next(rows, ())) != HEADER:
            raise CatalogueError([f"{path}:1: the header must be exactly: {','.join(HEADER)}"])
        for row in rows:
            place = f"{path}:{rows.line_num}"
            if not row:
                continue  # an empty line
            found, wrong = _good(row, codes)
            problems += [f"{place}: {what}" for what in wrong]
            if found is None:
                continue
            code, good = found
            first = first_lines.setdefault((code, good.product.sku), rows.line_num)
            if first != rows.line_num:
                problems.append(f"{place}: sku: {code} makes {good.product.sku!r} already on line {first}")
            goods[code].append(good)
    except csv.Error as error:
        problems.append(f"{path}:{rows.line_num}: is not CSV: {error}")
    if problems:
        raise CatalogueError(problems)
    return goods


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise CatalogueError([f"{path}: cannot be read: {error.strerror}"]) from error
    if len(raw) > FILE_BYTES_MAX:
        raise CatalogueError([f"{path}: is larger than {FILE_BYTES_MAX} bytes"])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise CatalogueError([f"{path}:{line}: is not UTF-8"]) from error


def _good(row: list[str], codes: Collection[str]) -> tuple[tuple[str, Good] | None, list[str]]:
    """(manufacturer, good) of a row, or what is wrong with it."""
    if len(row) != len(HEADER):
        return None, [f"has {len(row)} fields, expected {len(HEADER)}"]
    values: dict[str, Any] = {}
    wrong = []
    for name, text in zip(HEADER, row, strict=True):
        try:
            values[name] = READERS[name](text)
        except _Wrong as error:
            wrong.append(f"{name}: {error} (given: {text[:40]!r})")
    if "manufacturer" in values and values["manufacturer"] not in codes:
        wrong.append(
            f"manufacturer: {values['manufacturer']!r} is not one of the {len(codes)} configured, m1 to m{len(codes)}"
        )
    if wrong:
        return None, wrong
    product = Product(values["sku"], values["name"], values["price_minor"], values["currency"], values["initial_units"])
    return (values["manufacturer"], Good(product, values["units_per_month"])), []


def _sku(text: str) -> str:
    sku = text.strip().upper()
    if not SKU.fullmatch(sku):
        msg = "must be 1 to 64 of A-Z 0-9 space . _ -, beginning with a letter or digit"
        raise _Wrong(msg)
    return sku


def _name(text: str) -> str:
    name = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(name) <= NAME_MAX:
        msg = f"must have 1 to {NAME_MAX} characters"
        raise _Wrong(msg)
    for character in name:
        if unicodedata.category(character) in FORBIDDEN_CATEGORIES:
            msg = f"must not contain the invisible character U+{ord(character):04X}"
            raise _Wrong(msg)
    return name


def _currency(text: str) -> str:
    if not CURRENCY.fullmatch(text):
        msg = "must be an ISO 4217 code of three capital letters"
        raise _Wrong(msg)
    return text


def _integer(least: int, most: int) -> Callable[[str], int]:
    def reader(text: str) -> int:
        if not INTEGER.fullmatch(text) or not least <= int(text) <= most:
            msg = f"must be an integer from {least} to {most}"
            raise _Wrong(msg)
        return int(text)

    return reader


READERS: Mapping[str, Callable[[str], Any]] = {
    "sku": _sku,
    "name": _name,
    "manufacturer": str.strip,
    "price_minor": _integer(1, PRICE_MINOR_MAX),
    "currency": _currency,
    "initial_units": _integer(0, UNITS_MAX),
    "units_per_month": _integer(0, UNITS_MAX),
}
