"""The manufacturers of the filter as options: with two hundred of them they would be the dearest part of the page."""

from functools import lru_cache

from markupsafe import Markup

from distributor.queries import Maker

KEPT = 300  # one for each that can be chosen, and for none; about 10 KB each with two hundred makers

_OPTION = Markup('<option value="{}"{}>{}</option>')
_UNKNOWN = Markup("<option selected>{}</option>")
_CHOSEN = Markup(" selected")


@lru_cache(maxsize=KEPT)
def maker_options(makers: tuple[Maker, ...], chosen: str) -> Markup:
    """The same for everybody who has chosen the same; one that has nothing in stock any more stays chosen."""
    options = [_OPTION.format(maker.code, _CHOSEN if maker.code == chosen else "", maker.name) for maker in makers]
    if chosen and all(maker.code != chosen for maker in makers):
        options.append(_UNKNOWN.format(chosen))
    return Markup("").join(options)
