"""A CSV file of real order lines -> checked lines, and for every line that was not taken the reason.

Columns go by their header, in any order: InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID
and optionally Country (also under the names of the same collection's second edition: Invoice, Price, Customer ID).
Plain or gzip, UTF-8 (with or without BOM), UTF-16 with BOM, else Latin-1; comma, semicolon or tab; LF or CRLF.

F1  Whatever the file holds, reading it ends in lines or in OrdersFileError, never in another exception.
F2  Every data line is either taken or left out with a reason; nothing vanishes.
"""

import csv
import gzip
import io
import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path

REQUIRED = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")
OPTIONAL = ("Country",)
_ALIASES = {"invoice": "InvoiceNo", "price": "UnitPrice"}
_COLUMNS = {name.lower(): name for name in (*REQUIRED, *OPTIONAL)} | _ALIASES

FILE_BYTES_MAX = 1_000_000_000  # unpacked; chosen: twenty times the whole two-year collection
FIELD_CHARACTERS_MAX = 100_000
QUANTITY_MAX = 99_999  # the shop's own limit of one line (cart.quantity_max)
PRICE_MINOR_MAX = 10_000_000  # 100 000.00; chosen: above it stands bookkeeping, not a price
CODE_DIGITS_MIN = 4
_SKU = re.compile(r"[A-Z0-9][A-Z0-9 ._-]{0,63}")
_INTEGER = re.compile(r"[+-]?[0-9]{1,12}(\.0+)?")
_PRICE = re.compile(r"[+-]?[0-9]{1,12}([.,][0-9]{1,12})?")


class OrdersFileError(Exception):
    """The file cannot be used; the text names the file's line or column and what is wrong."""


class Reason(StrEnum):
    """Why a line was left out; the value is the sentence that people read."""

    CANCELLATION = "cancellation (invoice number begins with C)"
    NO_GOOD = f"no good: a stock code has at least {CODE_DIGITS_MIN} digits (this leaves out postage, fees, samples …)"
    VOUCHER = "gift voucher, no good"
    BAD_CODE = "stock code with characters that no code has"
    QUANTITY_NOT_POSITIVE = "quantity zero or negative"
    PRICE_NOT_POSITIVE = "price zero or negative"
    QUANTITY_TOO_LARGE = f"quantity above {QUANTITY_MAX}"
    PRICE_TOO_LARGE = f"price above {PRICE_MINOR_MAX // 100}"
    BAD_QUANTITY = "quantity is not a whole number"
    BAD_PRICE = "price is not a number"
    BAD_DATE = "date cannot be read"
    NO_INVOICE = "no invoice number"
    FIELDS = "another number of fields than the header"
    BASKET_TOO_LARGE = "basket with more lines than the shop takes"


@dataclass(frozen=True)
class OrderLine:
    """One line that was taken. ``customer`` is None where the file has none."""

    number: int
    invoice: str
    sku: str
    description: str
    quantity: int
    at: datetime
    price_minor: int
    customer: str | None


@dataclass(frozen=True)
class LeftOut:
    number: int
    reason: Reason
    text: str
    """What stands there, shortened."""


@dataclass(frozen=True)
class OrdersFile:
    """``descriptions``: every description of a code, of lines left out too, for goods whose own lines have none."""

    lines: tuple[OrderLine, ...]
    left_out: tuple[LeftOut, ...]
    lines_read: int
    descriptions: dict[str, str]


def read(path: Path) -> OrdersFile:
    """Read the file; raises OrdersFileError if it cannot be used at all."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise OrdersFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return parse(_text(_unpacked(raw)))
    except OrdersFileError as error:
        raise OrdersFileError(f"{path}: {error}") from error


def _unpacked(raw: bytes) -> bytes:
    """Gzip is recognised by its first bytes, not by the file's name."""
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as file:
            unpacked = file.read(FILE_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise OrdersFileError(f"is damaged gzip: {error}") from error
    if len(unpacked) > FILE_BYTES_MAX:
        raise OrdersFileError(f"unpacks to more than {FILE_BYTES_MAX} bytes")
    return unpacked


def _text(raw: bytes) -> str:
    encoding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise OrdersFileError("begins like UTF-16 but is not") from error
        return raw.decode("latin-1")


def parse(text: str) -> OrdersFile:
    """Parse the text of a whole file."""
    rows = _rows(text)
    if not rows:
        raise OrdersFileError("is empty; expected a header with the columns " + ", ".join(REQUIRED))
    (_, header), *data = rows
    where = _columns(header)
    parser = _LineParser(where, len(header), _day_first(data, where["InvoiceDate"]))
    lines: list[OrderLine] = []
    left_out: list[LeftOut] = []
    for number, fields in data:
        taken = parser.line(number, fields)
        if isinstance(taken, OrderLine):
            lines.append(taken)
        else:
            left_out.append(LeftOut(number, taken, ",".join(fields)[:120]))
    return OrdersFile(tuple(lines), tuple(left_out), len(data), parser.descriptions)


def _rows(text: str) -> list[tuple[int, list[str]]]:
    """Every row that is not empty, with the number of the line on which it ends."""
    text = text.removeprefix("\ufeff")
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    csv.field_size_limit(FIELD_CHARACTERS_MAX)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return [(reader.line_num, fields) for fields in reader if any(fields)]
    except csv.Error as error:
        raise OrdersFileError(f"line {reader.line_num}: {error}") from error


def _columns(header: list[str]) -> dict[str, int]:
    """Column name -> position."""
    found: dict[str, int] = {}
    for position, title in enumerate(header):
        name = _COLUMNS.get("".join(title.split()).lower())
        if name in found:
            raise OrdersFileError(f"line 1: column {name} stands there twice")
        if name:
            found[name] = position
    missing = [name for name in REQUIRED if name not in found]
    if missing:
        one = len(missing) == 1
        known = ", ".join(title.strip()[:40] for title in header[:20])
        raise OrdersFileError(f"line 1: missing column{'' if one else 's'} {', '.join(missing)} (found: {known})")
    return found


def _day_first(data: list[tuple[int, list[str]]], column: int) -> bool:
    """Whether 02/03/2010 means the second of March: only if some date of the file cannot be read the other way."""
    return any(
        match and int(match[1]) > 12
        for match in {
            fields[column]: _SLASHES.match(fields[column]) for _, fields in data if len(fields) > column
        }.values()
    )


_SLASHES = re.compile(r"\s*([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})(?:\s+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?)?\s*$")
_DOTS = re.compile(r"\s*([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})(?:\s+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?)?\s*$")


class _LineParser:
    """Reads lines one by one; remembers dates and prices it has seen, for they repeat."""

    def __init__(self, where: dict[str, int], width: int, day_first: bool) -> None:
        self._invoice, self._code, self._description = where["InvoiceNo"], where["StockCode"], where["Description"]
        self._quantity, self._at, self._price = where["Quantity"], where["InvoiceDate"], where["UnitPrice"]
        self._customer = where["CustomerID"]
        self._width = width
        self._day_first = day_first
        self._dates: dict[str, datetime | None] = {}
        self._prices: dict[str, int | None] = {}
        self.descriptions: dict[str, str] = {}

    def line(self, number: int, fields: list[str]) -> OrderLine | Reason:
        if len(fields) != self._width:
            return Reason.FIELDS
        invoice = fields[self._invoice].strip().upper()
        sku = " ".join(fields[self._code].upper().split())
        description = fields[self._description].strip()
        wrong = self._wrong_identity(invoice, sku)
        if wrong:
            return wrong
        if description:
            self.descriptions.setdefault(sku, description)
        quantity = _whole_number(fields[self._quantity].strip())
        price = self._price_minor(fields[self._price].strip())
        at = self._date(fields[self._at])
        wrong = _wrong_amount(quantity, price)
        if wrong:
            return wrong
        if at is None:
            return Reason.BAD_DATE
        if quantity is None or price is None:  # both were refused above; this tells the type checker
            return Reason.BAD_QUANTITY
        customer = fields[self._customer].strip().removesuffix(".0") or None
        return OrderLine(number, invoice, sku, description, quantity, at, price, customer)

    @staticmethod
    def _wrong_identity(invoice: str, sku: str) -> Reason | None:
        if not invoice:
            return Reason.NO_INVOICE
        if invoice.startswith("C"):
            return Reason.CANCELLATION
        if sku.startswith("GIFT"):
            return Reason.VOUCHER
        if sum(character in "0123456789" for character in sku) < CODE_DIGITS_MIN:
            return Reason.NO_GOOD
        return None if _SKU.fullmatch(sku) else Reason.BAD_CODE

    def _price_minor(self, text: str) -> int | None:
        """Pence, rounded half up; None if it is no number."""
        if text not in self._prices:
            self._prices[text] = _minor(text)
        return self._prices[text]

    def _date(self, text: str) -> datetime | None:
        if text not in self._dates:
            self._dates[text] = _date(text, self._day_first)
        return self._dates[text]


def _wrong_amount(quantity: int | None, price_minor: int | None) -> Reason | None:
    if quantity is None:
        return Reason.BAD_QUANTITY
    if price_minor is None:
        return Reason.BAD_PRICE
    if quantity <= 0:
        return Reason.QUANTITY_NOT_POSITIVE
    if price_minor <= 0:
        return Reason.PRICE_NOT_POSITIVE
    if quantity > QUANTITY_MAX:
        return Reason.QUANTITY_TOO_LARGE
    return Reason.PRICE_TOO_LARGE if price_minor > PRICE_MINOR_MAX else None


def _whole_number(text: str) -> int | None:
    return int(text.partition(".")[0]) if _INTEGER.fullmatch(text) else None


def _minor(text: str) -> int | None:
    if not _PRICE.fullmatch(text):
        return None
    try:
        return int((Decimal(text.replace(",", ".")) * 100).quantize(Decimal(1), ROUND_HALF_UP))
    except InvalidOperation:
        return None


def _date(text: str, day_first: bool) -> datetime | None:
    """ISO 8601, month/day/year (day/month/year where the file shows it), day.month.year; zones are dropped."""
    try:
        match = _SLASHES.match(text) or _DOTS.match(text)
        if not match:
            return datetime.fromisoformat(text.strip()).replace(tzinfo=None)
        first, second, year, hour, minute, seconds = (int(part or 0) for part in match.groups())
        day, month = (first, second) if day_first or "." in text else (second, first)
        return datetime(year, month, day, hour, minute, seconds)  # noqa: DTZ001 - the file names no zone
    except ValueError:
        return None
