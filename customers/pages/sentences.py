"""What pages say when a cart or a purchase cannot be as it was asked for: whole sentences, each with what to do next."""

from customers.errors import InvalidInput, detail
from customers.languages import gettext as _
from customers.languages import lazy_gettext, ngettext
from customers.pages.filters import number
from distributor.errors import HoldRefused, InvalidBasket, NotEnoughStock, ShortLine
from settings.model import Cart as Limits

QuantityRefused = InvalidInput | InvalidBasket | NotEnoughStock


def quantity_refused(error: QuantityRefused, limits: Limits) -> str:
    """Whole sentences: why a quantity was not put in the cart."""
    if isinstance(error, NotEnoughStock):
        return _not_enough(error.lines[0])
    if isinstance(error, InvalidBasket) and error.field == "lines":
        return _(
            "Your cart is full: it takes %(count)s different products. Take one out, or buy what is in it first.",
            count=number(limits.lines_max),
        )
    return _("Use a whole number from 1 to %(count)s, in plain digits.", count=number(limits.quantity_max))


def status_of(error: QuantityRefused) -> int:
    return 409 if isinstance(error, NotEnoughStock) else 422


def swap_refused(error: NotEnoughStock, maker: str) -> str:
    """The other manufacturer, by name, does not have as many as it had when the page was made."""
    line = error.lines[0]
    if line.available == 0:
        return _("%(maker)s has none left by now. Your cart is as it was.", maker=maker)
    return _(
        "%(maker)s has only %(left)s left by now. Your cart is as it was.", maker=maker, left=number(line.available)
    )


def hold_refused(error: HoldRefused, limits: Limits) -> str:
    """Which limit it is, and what can be done about it."""
    if error.reason == "units":
        return _(
            "You hold as many units as one customer may: %(count)s. Buy or take out some of them; then this can be held, too.",
            count=number(limits.hold_units_max),
        )
    if error.reason == "lines":
        return _(
            "You hold as many products as one customer may: %(count)s. Buy or take out some of them; then this can be held, too.",
            count=number(limits.hold_lines_max),
        )
    return detail(error)


def _not_enough(line: ShortLine) -> str:
    if line.available == 0 and line.in_other_carts:
        return _("The last ones of this are in the carts of other customers at the moment. Your cart is as it was.")
    if line.available == 0:
        return _("This has just been sold out. Your cart is as it was.")
    return ngettext(
        "There is only %(left)s left, so your cart cannot have %(wanted)s. It is as it was.",
        "There are only %(left)s left, so your cart cannot have %(wanted)s. It is as it was.",
        line.available,
        left=number(line.available),
        wanted=number(line.wanted),
    )


REFUSED = {
    "no_card": lazy_gettext("Nothing was ordered yet: your order needs a payment card that is valid. Enter it here."),
    "cart_empty": lazy_gettext("Nothing was ordered: your cart is empty by now."),
    "cart_changed": lazy_gettext(
        "Nothing was ordered: your cart was changed in another window after this page was made. Here it is as it is now."
    ),
    "not_enough_stock": lazy_gettext(
        "Other customers were faster, so nothing was ordered and nothing was charged. Your cart is kept."
    ),
    "enough_again": lazy_gettext(
        "Other customers were faster when you sent this, so nothing was ordered. By now everything is there again."
    ),
    "price_changed": lazy_gettext(
        "Prices have changed since you saw them, so nothing was ordered. Look at the new ones before you buy."
    ),
    "currencies_differ": lazy_gettext(
        "Nothing was ordered: goods in different currencies cannot be bought in one order. Take some out of the cart first."
    ),
    "total_too_large": lazy_gettext("Nothing was ordered: the total is too large. Buy the goods in several orders."),
    "key_reused": lazy_gettext(
        "This form was used before, for another order, so nothing was ordered now. Here is your cart as it is."
    ),
}
"""Why a purchase was refused, by the distributor's reason."""

REFUSED_OTHERWISE = lazy_gettext("Nothing was ordered. Look at your cart and try again.")


def known_reason(text: str) -> str:
    """The text if it is a reason, else "": it comes from an address."""
    return text if text in REFUSED else ""


def purchase_refused(reason: str) -> str:
    return str(REFUSED.get(reason, REFUSED_OTHERWISE))
