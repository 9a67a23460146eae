"""Reading the query string: known parameters once each, digits in ASCII only."""

import re
import unicodedata
from dataclasses import dataclass
from typing import get_args

from werkzeug.datastructures import MultiDict

from customers.errors import FieldError, InvalidInput
from customers.languages import gettext as _
from customers.numbers import COUNT
from distributor.queries.catalogue_statements import Sort

PAGE_MAX = 100_000
PER_PAGE_MAX = 100
PER_PAGE_DEFAULT = 50
SEARCH_LENGTH_MAX = 100
CODE_LENGTH_MAX = 32
NUMBER_LENGTH_MAX = 20

_NUMBER = re.compile(COUNT)
SORTS: tuple[Sort, ...] = get_args(Sort)


@dataclass(frozen=True)
class PageWanted:
    page: int
    per_page: int


@dataclass(frozen=True)
class ProductsWanted(PageWanted):
    q: str
    manufacturer: str
    sort: Sort


class _Parameters:
    """Collects what is wrong, so that all of it is told at once."""

    def __init__(self, given: "MultiDict[str, str]") -> None:
        self._given = given
        self.errors: list[FieldError] = []

    def text(self, name: str, length_max: int) -> str:
        values = self._given.getlist(name)
        if len(values) > 1:
            return self._wrong(name, _("give it only once"))
        value = values[0] if values else ""
        if len(value) > length_max:
            return self._wrong(name, _("use at most %(count)s characters", count=length_max))
        if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in value):
            return self._wrong(name, _("must not contain control characters"))
        return unicodedata.normalize("NFC", value).strip(" ")

    def number(self, name: str, default: int, number_max: int) -> int:
        if name not in self._given:
            return default
        text = self.text(name, NUMBER_LENGTH_MAX)
        if not _NUMBER.fullmatch(text) or int(text) > number_max:
            self._wrong(name, _("use a whole number from 1 to %(maximum)s", maximum=number_max))
            return default
        return int(text)

    def sort(self, name: str) -> Sort:
        if name not in self._given:
            return SORTS[0]
        value = self.text(name, CODE_LENGTH_MAX)
        for choice in SORTS:
            if value == choice:
                return choice
        self._wrong(name, _("choose one of %(choices)s", choices=", ".join(SORTS)))
        return SORTS[0]

    def _wrong(self, name: str, message: str) -> str:
        if not any(error.field == name for error in self.errors):
            self.errors.append(FieldError(name, message))
        return ""

    def raise_if_any(self) -> None:
        if self.errors:
            raise InvalidInput(self.errors)


def read_page(given: "MultiDict[str, str]") -> PageWanted:
    parameters = _Parameters(given)
    wanted = PageWanted(
        page=parameters.number("page", 1, PAGE_MAX),
        per_page=parameters.number("per_page", PER_PAGE_DEFAULT, PER_PAGE_MAX),
    )
    parameters.raise_if_any()
    return wanted


def read_products(given: "MultiDict[str, str]", per_page_default: int = PER_PAGE_DEFAULT) -> ProductsWanted:
    parameters = _Parameters(given)
    wanted = ProductsWanted(
        page=parameters.number("page", 1, PAGE_MAX),
        per_page=parameters.number("per_page", per_page_default, PER_PAGE_MAX),
        q=parameters.text("q", SEARCH_LENGTH_MAX),
        manufacturer=parameters.text("manufacturer", CODE_LENGTH_MAX),
        sort=parameters.sort("sort"),
    )
    parameters.raise_if_any()
    return wanted
