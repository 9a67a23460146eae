"""Payment cards: checked in memory, then only what is printed on a receipt is kept.

K1  The number and the security code leave this module in no form: not in an error, not in a log, not in a return value.
K2  Any number whose check digit matches is taken, not only published test numbers: a closed list would age, and nothing of
    the number is kept anyway. The page says that this is a teaching shop and asks for a test number.
"""

import datetime as dt
import re
import secrets
from dataclasses import dataclass, field

from stdnum import luhn

from customers.accounts import names
from customers.errors import FieldError, InvalidInput
from customers.languages import gettext as _

TOKEN_BYTES = 24  # 192 bits; stands for what a payment provider would give us
YEARS_AHEAD_MAX = 20  # issuers print at most about ten years ahead

_NUMBER = re.compile(r"[0-9]+(?:[ -][0-9]+)*")
_EXPIRY = re.compile(r"(0[1-9]|1[0-2])/([0-9]{2})")
_SECURITY_CODE = re.compile(r"[0-9]{3,4}")
# For the description of the API; that the check digit matches and the card is not past, no pattern can say.
NUMBER_PATTERN = "^[0-9](?:[ -]?[0-9]){11,18}$"
EXPIRY_PATTERN = f"^{_EXPIRY.pattern}$"
SECURITY_CODE_PATTERN = f"^{_SECURITY_CODE.pattern}$"

# First digits -> brand, as the card networks publish them (ISO/IEC 7812 identification numbers).
_BRANDS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("Visa", re.compile(r"4")),
    ("Mastercard", re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720")),
    ("American Express", re.compile(r"3[47]")),
    ("Discover", re.compile(r"6011|64[4-9]|65")),
    ("Diners Club", re.compile(r"30[0-5]|3[689]")),
    ("JCB", re.compile(r"35(?:2[89]|[3-8])")),
    ("UnionPay", re.compile(r"62")),
    ("Maestro", re.compile(r"50|5[6-9]|6")),
)
OTHER_BRAND = "Card"
_LONG_CODE_BRAND = "American Express"  # prints four digits on the front; all others print three


@dataclass(frozen=True)
class CardEntry:
    """What was typed. The secret parts are not in its ``repr`` (K1)."""

    number: str = field(repr=False)
    expiry: str
    holder: str
    security_code: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Card:
    """What is kept. ``expiry`` is ``YYYY-MM``, usable until the end of that month."""

    brand: str
    last4: str
    expiry: str
    token: str = field(repr=False)


def checked(entry: CardEntry, today: dt.date) -> Card:
    """The card to keep; raises InvalidInput naming every wrong field."""
    errors: list[FieldError] = []
    digits = _digits(entry.number, errors)
    expiry = _expiry(entry.expiry, today, errors)
    _check_security_code(entry.security_code, digits, errors)
    try:
        names.normalised(entry.holder)
    except ValueError as error:
        errors.append(FieldError("holder", str(error)))
    if errors:
        raise InvalidInput(errors)
    return Card(brand=_brand(digits), last4=digits[-4:], expiry=expiry, token=secrets.token_urlsafe(TOKEN_BYTES))


def _digits(typed: str, errors: list[FieldError]) -> str:
    """The number without spaces and dashes, "" if it cannot be one."""
    digits = re.sub(r"[ -]", "", typed) if _NUMBER.fullmatch(typed.strip(" ")) else ""
    if not 12 <= len(digits) <= 19:  # ISO/IEC 7812: up to 19 digits
        errors.append(FieldError("number", _("write the 12 to 19 digits of the card, with or without spaces")))
        return ""
    if not luhn.is_valid(digits):
        errors.append(FieldError("number", _("is mistyped, its check digit does not match")))
        return ""
    return digits


def _expiry(text: str, today: dt.date, errors: list[FieldError]) -> str:
    match = _EXPIRY.fullmatch(text.strip(" "))
    if match is None:
        message = _("write it like 07/29, two digits of the month and two of the year")
        errors.append(FieldError("expiry", message))
        return ""
    month, year = int(match[1]), 2000 + int(match[2])
    if (year, month) < (today.year, today.month):
        errors.append(FieldError("expiry", _("this card has expired, use another one")))
    elif year > today.year + YEARS_AHEAD_MAX:
        errors.append(FieldError("expiry", _("is too far away, look at the card again")))
    return f"{year:04}-{month:02}"


def _check_security_code(code: str | None, digits: str, errors: list[FieldError]) -> None:
    """Its length belongs to the brand; of a number that is wrong itself the brand is not known."""
    if code is None:
        return
    if not _SECURITY_CODE.fullmatch(code):
        errors.append(FieldError("security_code", _("write its 3 or 4 digits, or leave it empty")))
    elif digits and len(code) != (expected := 4 if _brand(digits) == _LONG_CODE_BRAND else 3):
        message = _("write the %(count)s digits that a card of this kind has", count=expected)
        errors.append(FieldError("security_code", message))


def _brand(digits: str) -> str:
    return next((name for name, pattern in _BRANDS if pattern.match(digits)), OTHER_BRAND)


def shown_expiry(expiry: str) -> str:
    """``2029-07`` -> ``07/29``, as it is printed on the card."""
    return f"{expiry[5:7]}/{expiry[2:4]}"
