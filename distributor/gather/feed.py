"""What a manufacturer answered -> an offer, or the reason why it is refused. Pure; the answer is untrusted input.

F1  An offer is good as a whole or refused as a whole: any bad item refuses it, with the item's index and the field.
F2  Nothing but FeedRefused is raised, whatever the bytes are.
F3  Two items never mean the same good: skus are compared without case, Unicode form or surplus spaces.
F4  Reasons are one short line of printable ASCII: they are logged and shown to people.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

CONTENT_TYPE = "application/json"
QUANTITY_MAX = 10**9
PRICE_MINOR_MAX = 10**12
NAME_CODE_POINTS_MAX = 200
MANUFACTURER_NAME_CODE_POINTS_MAX = 120
INTEGER_DIGITS_MAX = 19  # what a 64-bit column holds; longer ones are refused before they cost time
FRACTION_CHARACTERS_MAX = 40  # more than a float can tell apart
REASON_CHARACTERS_MAX = 300
QUOTE_CHARACTERS_MAX = 60

_SKU = re.compile(r"[A-Z0-9](?:[A-Z0-9 ._-]{0,62}[A-Z0-9._-])?")
_ANSWER = frozenset({"manufacturer", "month", "items"})
_MANUFACTURER = frozenset({"code", "name"})
_ITEM = frozenset({"sku", "name", "quantity", "price"})
_PRICE = frozenset({"amount", "currency"})
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, halves of a pair, line separators
# They can disguise a text.
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_INVISIBLE = frozenset("\u00ad\u200b\u2060\ufeff")
# Letters of other alphabets that look like Latin ones (Unicode's confusables, the capital and small letters).
_LOOK_ALIKES = str.maketrans(
    "АВЕЅІЈКМНОРСТУХаеѕіјорсухΑΒΕΖΗΙΚΜΝΟΡΤΥΧοԁԛԝɡɑⅼ",  # noqa: RUF001 - that is their point
    "ABESIJKMHOPCTYXaesijopcyxABEZHIKMNOPTYXodqwgal",
)


class FeedRefused(Exception):
    """The manufacturer's answer cannot be booked."""

    def __init__(self, reason: str) -> None:
        super().__init__(shown(reason, REASON_CHARACTERS_MAX))


class OfferItem(NamedTuple):
    """A tuple, for there are a million of them in a month: a frozen dataclass takes four times as long to be made."""

    sku: str
    name: str
    quantity: int
    price_minor: int
    currency: str


@dataclass(frozen=True)
class Offer:
    """What one manufacturer sells us in one month. ``content_sha256`` identifies the very bytes it sent."""

    manufacturer_code: str
    manufacturer_name: str
    month: int
    items: tuple[OfferItem, ...]
    content_sha256: str


def read_offer(raw: bytes, content_type: str, *, code: str, month: int, currency: str) -> Offer:
    """The offer that ``code`` made for ``month``; raises FeedRefused, never anything else (F2)."""
    if content_type.partition(";")[0].strip().lower() != CONTENT_TYPE:
        _refuse("content type", f"must be {CONTENT_TYPE}", content_type)
    document = _object(_parse(raw), "answer", _ANSWER)
    manufacturer = _object(document["manufacturer"], "manufacturer", _MANUFACTURER)
    if manufacturer["code"] != code:
        _refuse("manufacturer.code", f"must be {code}", manufacturer["code"])
    if type(document["month"]) is not int or document["month"] != month:
        _refuse("month", f"must be {month}", document["month"])
    items = document["items"]
    if not isinstance(items, list):
        _refuse("items", "must be a list", items)
    read = tuple(_item(item, index, currency) for index, item in enumerate(items))
    _refuse_repeated(item.sku for item in read)
    return Offer(
        code,
        _text(manufacturer["name"], "manufacturer.name", MANUFACTURER_NAME_CODE_POINTS_MAX),
        month,
        read,
        hashlib.sha256(raw).hexdigest(),
    )


def canonical_name(name: str) -> str:
    """Two manufacturers' names with the same canonical form cannot be told apart by a reader."""
    folded = unicodedata.normalize("NFKC", name).translate(_LOOK_ALIKES).casefold()
    visible = "".join(c for c in folded if c not in _INVISIBLE and unicodedata.category(c) != "Cf")
    return " ".join(visible.split())


def shown(value: object, characters_max: int = QUOTE_CHARACTERS_MAX) -> str:
    """``value`` as a short piece of one line that is safe in logs and pages (F4)."""
    if isinstance(value, list | dict):  # not repr(): it may be nested as deeply as the answer
        return "a list" if isinstance(value, list) else "an object"
    text = value if isinstance(value, str) else json.dumps(value)
    text = text[: characters_max + 1].encode("ascii", "backslashreplace").decode()
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return text if len(text) <= characters_max else text[: characters_max - 3] + "..."


def _parse(raw: bytes) -> Any:
    if not raw:
        raise FeedRefused("the answer is empty")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        message = f"the answer is not UTF-8 (byte {error.start})"
        raise FeedRefused(message) from error
    try:
        return json.loads(
            text,
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_fraction,
        )
    except RecursionError as error:
        raise FeedRefused("the answer is nested too deeply") from error
    except ValueError as error:  # JSONDecodeError is one; a byte order mark another
        message = f"the answer is not JSON: {error}"
        raise FeedRefused(message) from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for number, key in enumerate(keys) if key in keys[:number])
        message = f"the key {shown(twice)} stands twice in one object"
        raise FeedRefused(message)
    return found


def _no_constant(name: str) -> NoReturn:
    message = f"{name} is not JSON"
    raise FeedRefused(message)


def _integer(digits: str) -> int:
    if len(digits) > INTEGER_DIGITS_MAX + 1:
        message = f"an integer of {len(digits)} digits"
        raise FeedRefused(message)
    return int(digits)


def _fraction(digits: str) -> float:
    """A fraction is nowhere allowed; it is kept so that the refusal can name its field."""
    if len(digits) > FRACTION_CHARACTERS_MAX:
        message = f"a number of {len(digits)} characters"
        raise FeedRefused(message)
    return float(digits)


def _object(value: Any, where: str, keys: frozenset[str]) -> dict[str, Any]:
    """An object that has these keys and no other."""
    if type(value) is not dict or value.keys() != keys:
        _refuse_object(value, where, keys)
    return value


def _refuse_object(value: Any, where: str, keys: frozenset[str]) -> NoReturn:
    if not isinstance(value, dict):
        _refuse(where, "must be an object", value)
    for key in sorted(keys - value.keys()):
        _refuse(where, f"must have the field {key}")
    _refuse(where, "has an unknown field", next(key for key in value if key not in keys))


def _item(item: Any, index: int, currency: str) -> OfferItem:
    """A million times a month: the texts that only a refusal needs are made where one happens."""
    if type(item) is not dict or item.keys() != _ITEM:
        _refuse_object(item, f"items[{index}]", _ITEM)
    price = item["price"]
    if type(price) is not dict or price.keys() != _PRICE:
        _refuse_object(price, f"items[{index}].price", _PRICE)
    if price["currency"] != currency:
        _refuse(f"items[{index}].price.currency", f"must be {currency}", price["currency"])
    sku, name, quantity, amount = item["sku"], item["name"], item["quantity"], price["amount"]
    if type(sku) is not str or not _SKU.fullmatch(sku):
        _refuse(f"items[{index}].sku", "must be 1 to 64 of A-Z 0-9 space . _ - and begin with a letter or digit", sku)
    if not _is_plain(name, NAME_CODE_POINTS_MAX):
        _text(name, f"items[{index}].name", NAME_CODE_POINTS_MAX)
    if type(quantity) is not int or not 1 <= quantity <= QUANTITY_MAX:  # type(), for True is an int to isinstance()
        _refuse(f"items[{index}].quantity", f"must be an integer from 1 to {QUANTITY_MAX}", quantity)
    if type(amount) is not int or not 1 <= amount <= PRICE_MINOR_MAX:
        _refuse(f"items[{index}].price.amount", f"must be an integer from 1 to {PRICE_MINOR_MAX}", amount)
    return OfferItem(sku, name, quantity, amount, currency)


def _is_plain(value: Any, code_points_max: int) -> bool:
    """As nearly all texts are: none of the rules of `_text` can touch it."""
    return (
        type(value) is str
        and len(value) <= code_points_max
        and value.isascii()
        and value.isprintable()
        and not value.isspace()
        and value != ""
    )


def _text(value: Any, where: str, code_points_max: int) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > code_points_max:
        _refuse(where, f"must be a text of 1 to {code_points_max} characters", value)
    for character in value:
        if unicodedata.category(character) in _REFUSED_CATEGORIES or character in _DIRECTION:
            _refuse(where, "must not contain the character", f"U+{ord(character):04X}")
    if not unicodedata.is_normalized("NFC", value):
        _refuse(where, "must be in Unicode normal form C", value)
    return value


def _refuse_repeated(skus: Iterable[str]) -> None:
    """Each is of capital ASCII letters by now, so that surplus spaces are all that two of the same good can differ by."""
    seen: dict[str, int] = {}
    for index, sku in enumerate(skus):
        canonical = " ".join(sku.split())
        if canonical in seen:
            _refuse(f"items[{index}].sku", f"is the same good as items[{seen[canonical]}]", sku)
        seen[canonical] = index


def _refuse(where: str, rule: str, *found: object) -> NoReturn:
    """``found``: what stands there instead, if anything does."""
    message = f"{where} {rule}" + "".join(f": {shown(value)}" for value in found)
    raise FeedRefused(message)
