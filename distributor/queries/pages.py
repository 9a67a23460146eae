"""A page of a longer list."""

from dataclasses import dataclass
from typing import Generic, TypeVar

PER_PAGE_MAX = 100
PAGE_MAX = 1_000_000  # OFFSET stays a bigint, and nobody turns that many pages

T = TypeVar("T")


@dataclass(frozen=True)
class Page(Generic[T]):
    """``total`` counts the whole list, or where it is ``cut`` the part of it that there are pages of; ``page`` from 1."""

    items: tuple[T, ...]
    page: int
    per_page: int
    total: int
    cut: bool = False

    @property
    def pages(self) -> int:
        return max(1, -(-self.total // self.per_page))


def offset_of(page: int, per_page: int) -> int:
    """Raises ValueError out of bounds: the web layer has told people so before."""
    if not 1 <= per_page <= PER_PAGE_MAX:
        message = f"per_page must be from 1 to {PER_PAGE_MAX}, not {per_page}"
        raise ValueError(message)
    if not 1 <= page <= PAGE_MAX:
        message = f"page must be from 1 to {PAGE_MAX}, not {page}"
        raise ValueError(message)
    return (page - 1) * per_page
