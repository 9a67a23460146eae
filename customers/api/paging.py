"""The header Link of a list (RFC 8288): the same list's first, previous, next and last page."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from distributor.queries import Page


def links(path: str, parameters: Mapping[str, str], page: Page[Any]) -> str:
    """Relative to the shop's address. A page beyond the last one has the last one before it."""
    targets = {"first": 1}
    if page.page > 1:
        targets["prev"] = min(page.page - 1, page.pages)
    if page.page < page.pages:
        targets["next"] = page.page + 1
    targets["last"] = page.pages
    return ", ".join(f'<{_address(path, parameters, number)}>; rel="{name}"' for name, number in targets.items())


def _address(path: str, parameters: Mapping[str, str], number: int) -> str:
    return f"{path}?{urlencode({**parameters, 'page': number})}"
