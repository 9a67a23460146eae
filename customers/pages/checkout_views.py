"""Buying, on one page: what is bought, what it costs, the card, and one button.

B1  One form is one purchase: its key is made with the page, so a double click, a reload, the back button and a lost answer
    all lead to the same order, and the customer is led to it. A script is led to a refusal, too, by an address that says
    which one: a page that answers a POST is lost to the browser's history.
B2  What is bought is what was seen: the form carries lines and prices, and the purchase is refused if they are others now.
B3  A refusal shows the cart as it is, every way out in one click, and a form with a new key. Nothing was taken out of it.
B4  After an answer of 429 or 5xx the page offers the same form again, with the same key: it can find or place, never place twice.
    Once the outcome was unknown, no later failure calls it certain.
B5  Of a card, nothing that was typed is ever shown again. It is stored once: a form that is sent again long after does not
    bring back a card that was replaced since.
B6  No card pays that was not chosen: after trouble before a typed card was stored, no form offers to go on with the saved one.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from flask import Response as Answered
from flask import g, make_response, request

from customers import error_pages, purchase
from customers.accounts import Customer
from customers.accounts.cards import Card, CardEntry
from customers.errors import CustomersError, InvalidInput, MalformedRequest
from customers.instance import customer, instance
from customers.languages import gettext as _
from customers.languages import render_template
from customers.pages import answers, cart_shown, csrf, forms, offers, sentences
from customers.pages.answers import Page
from customers.pages.cart_shown import CartShown
from customers.rate_limits import Limited
from customers.rate_limits import requests as rate_limits
from distributor.errors import DistributorError, KeyReused
from distributor.queries import CartLine
from distributor.sales import Answer

KEY_BYTES = 18
NEW_CARD = "new"  # the choice of a card that is typed now
SAVED_CARD = "saved"
REFUSED = "refused"  # of the checkout's address: why the purchase before it was refused, by the distributor's reason
OF_AN_EMPTY_CART = frozenset({"", "cart_empty", "cart_changed", "key_reused"})
"""Refusals that can be true of one. After any other it was bought or emptied since, and the address was opened again."""
FIELDS_SENT_AGAIN = ("key", "cart", "left_out", "after")


@dataclass(frozen=True)
class Form:
    """One buy button's form. ``after``: the customer's newest order when the page was made, 0 for none."""

    key: str
    seen: CartShown
    after: int
    new_card: CardEntry | None


def show_checkout() -> Page:
    return checkout_page(reason=sentences.known_reason(request.args.get(REFUSED, "")))


def buy() -> Page:
    me = customer()
    form = _read_form()
    card = None
    if form.new_card is not None and not instance().shop.has_answered(me.id, form.key):
        rate_limits.count(Limited.CARD_CHANGES)
        try:
            card = instance().accounts.put_card(me, form.new_card)
        except InvalidInput as error:
            return checkout_page(errors=forms.by_field(error)), 422
    g.card_settled = True
    wanted = purchase.Wanted(
        form.key, None, expected=form.seen.lines, seen_prices=form.seen.prices, left_out=form.seen.left_out
    )
    try:
        answer = purchase.place(instance().sales, me.id, wanted)
    except KeyReused:
        if answers.wants_part():
            return answers.refused(f"/checkout?{REFUSED}=key_reused", 422)
        return checkout_page(reason="key_reused", card=card), 422
    response = make_response(_told(me, form, answer, card))
    purchase.tell(response, answer.contention)
    return response


def _read_form() -> Form:
    """Raises MalformedRequest for what no page of ours sends."""
    key, after = forms.text("key"), forms.text("after") or "0"
    if not purchase.is_key(key) or not forms.NUMBER.fullmatch(after):
        raise MalformedRequest(_("The form does not say which purchase it is; open the checkout again."))
    seen = cart_shown.read(forms.text("cart", cart_shown.LENGTH_MAX), forms.text("left_out", cart_shown.LENGTH_MAX))
    return Form(key, seen, int(after), _read_card() if forms.text("pay") == NEW_CARD else None)


def _read_card() -> CardEntry:
    return CardEntry(
        forms.text("number"),
        expiry=forms.text("expiry"),
        holder=forms.text("holder"),
        security_code=forms.text("security_code") or None,
    )


def _told(me: Customer, form: Form, answer: Answer, card: Card | None) -> Page:
    """To the order, also to one that this form, or its twin in another window, has placed before (B1); or why not (B3)."""
    if answer.status == 201:
        done = "bought-before" if answer.replayed else "bought-rest" if form.seen.left_out else "bought"
        return answers.go_on(f"/orders/{answer.body['id']}?done={done}")
    reason = str(answer.body.get("reason", ""))
    if reason in {"cart_empty", "cart_changed"}:
        newest = instance().shop.newest_order(me.id)
        if newest is not None and newest.id > form.after and form.seen.was_bought_as(newest):
            return answers.go_on(f"/orders/{newest.id}?done=bought-before")
    if reason == "price_changed" or not answers.wants_part():  # only the form knows which prices were seen
        return checkout_page(reason=reason, seen_prices=form.seen.prices, card=card), answer.status
    return answers.refused(f"/checkout?{REFUSED}={reason}", answer.status)


def checkout_page(
    message: str = "",
    *,
    reason: str = "",
    errors: Mapping[str, str] | None = None,
    seen_prices: Mapping[int, int] | None = None,
    card: Card | None = None,
) -> str:
    """``reason``: why the purchase was refused; ``card``: one that was put in within this request."""
    me = customer()
    found = instance().shop.cart_and_offers(me.id)
    lost = offers.lost_lines(found.cart, found.others)
    rest = offers.rest(found.cart)
    if not found.cart.lines and reason not in OF_AN_EMPTY_CART:
        reason = ""
    elif reason == "not_enough_stock" and not lost:
        reason = "enough_again"
    return render_template(
        "checkout.html",
        here="cart",
        cart=found.cart,
        lost=lost,
        rest=rest,
        repriced=_repriced(rest.lines, seen_prices or {}),
        message=message or (sentences.purchase_refused(reason) if reason else ""),
        errors=errors or {},
        key=secrets.token_urlsafe(KEY_BYTES),
        shown=cart_shown.write(rest.lines),
        left_out=cart_shown.write_ids(one.line for one in lost),
        after=found.newest_order,
        newest=None if found.cart.lines else instance().shop.order(me.id, found.newest_order),
        new_card=bool(errors),
        card=card,
    )


def _repriced(lines: tuple[CartLine, ...], seen: Mapping[int, int]) -> list[tuple[CartLine, int]]:
    """Lines whose price is another than the customer saw, with that one: on the page, or when the line was put in."""
    priced = [(line, seen.get(line.item.stock_id, line.price_seen_minor)) for line in lines]
    return [(line, price) for line, price in priced if price != line.item.price_minor]


def tell_trouble(error: Exception) -> Answered:
    """The pages' error handler: for a purchase without an answer the page to ask again (B4), else the usual error page."""
    answered = error_pages.answer(error)
    if request.endpoint != "pages.buy" or answered.status_code not in {429, *range(500, 600)}:
        return answered
    sent = {name: request.form.get(name, "") for name in FIELDS_SENT_AGAIN}
    definite = isinstance(error, CustomersError) or (isinstance(error, DistributorError) and error.definite)
    typed_in_vain = request.form.get("pay") == NEW_CARD and not g.get("card_settled", default=False)
    page = render_template(
        "checkout_again.html",
        here="cart",
        kind=type(error).__name__,
        words=str(error),
        typed_in_vain=typed_in_vain,  # B6
        unknown=not definite or request.form.get("unknown") == "yes",
        sent=sent | {csrf.FIELD: request.form.get(csrf.FIELD, ""), "pay": SAVED_CARD},
    )
    again = make_response(page, answered.status_code)
    if "Retry-After" in answered.headers:
        again.headers["Retry-After"] = answered.headers["Retry-After"]
    return again
