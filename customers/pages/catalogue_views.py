"""Catalogue and product: read the address, call one function, choose the page."""

from flask import make_response, request
from werkzeug.wrappers import Response

from customers import identity, vary
from customers.errors import NotFound
from customers.instance import customer_or_guest, instance
from customers.languages import render_template
from customers.pages import answers, as_of, forms, guests
from customers.pages.answers import Page
from customers.query_input import ProductsWanted, read_products
from distributor.errors import DatabaseUnavailable
from distributor.queries import Item, Maker, Product

PRODUCTS_PER_PAGE = 24  # fills rows of 2, 3, 4 and 6
SUGGESTED = 6


def show_catalogue() -> Response:
    """The whole page, or for a script that searches while somebody types (htmx) only what changes in it."""
    wanted = read_products(request.args, PRODUCTS_PER_PAGE)
    shop = instance().shop
    alone = _alone()
    page = shop.window.products(wanted) if alone is None else shop.products(wanted, alone)
    makers = shop.window.makers()
    response = make_response(
        render_template(
            "catalogue_part.html" if answers.wants_part() else "catalogue.html",
            here="catalogue",
            wanted=wanted,
            page=page,
            makers=makers,
            maker_name=_name_of(wanted.manufacturer, makers),
            suggested=() if page.items else _suggested(),
            can_add=customer_or_guest() is not None,
        )
    )
    vary.add(response, answers.PART_FIELD)
    return response


def _name_of(code: str, makers: tuple[Maker, ...]) -> str:
    """The code itself of one that has nothing in stock any more."""
    return next((maker.name for maker in makers if maker.code == code), code) if code else ""


def _suggested() -> tuple[Item, ...]:
    """Some of what there is, for who searched for what there is not."""
    everything = ProductsWanted(page=1, per_page=PRODUCTS_PER_PAGE, q="", manufacturer="", sort="name")
    goods = {item.sku: item for item in instance().shop.window.products(everything).items}
    return tuple(goods.values())[:SUGGESTED]


def show_product(stock_id: int) -> Page:
    return product_page(stock_id)


def product_page(stock_id: int, errors: dict[str, str] | None = None, general: str = "") -> str:
    """The product, also as the answer to a form on it: with what was typed and what is wrong about it."""
    shop = instance().shop
    alone = _alone()
    product: Product | None = shop.window.product(stock_id) if alone is None else shop.product(stock_id, alone)
    if product is None:
        raise NotFound
    wanted = guests.wanted_quantity(request.args) or 1
    typed = request.form.get("quantity", str(wanted))[: forms.QUANTITY_LENGTH_MAX]
    return render_template(
        "product.html",
        here="catalogue",
        product=product.item,
        offers=sorted((product.item, *product.others), key=lambda item: (item.price_minor, item.stock_id)),
        hold_seconds=instance().runtime.settings.cart.hold_seconds,
        errors=errors or {},
        general=general,
        quantity=typed,
    )


def _alone() -> int | None:
    """Who sees what is read for them alone; None for who may be shown what the window shows everybody (window.W2)."""
    try:
        reader = customer_or_guest()
    except DatabaseUnavailable:  # whoever it is may look around as a guest
        as_of.note(0.0)
        return None
    status = identity.status_before()
    if reader is None or (status is not None and not status.bought_lately and not instance().shop.carts_hold):
        return None
    return reader.id
