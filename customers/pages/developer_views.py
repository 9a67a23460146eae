"""The page /api: the API's description for people, made from the very document that programs read."""

from flask import Response, make_response, request
from markupsafe import Markup, escape

from customers.api import reference
from customers.api.balancer_answers import ANSWERS
from customers.api.calls import PREFIX
from customers.api.openapi import document
from customers.api.problems import KINDS
from customers.api.prose import PARAGRAPHS
from customers.instance import instance
from customers.languages import render_template
from customers.query_input import ProductsWanted

_ANYTHING = ProductsWanted(page=1, per_page=1, q="", manufacturer="", sort="price")
_LOCAL = "http://127.0.0.1"


def show_api() -> Response:
    limits = instance().runtime.settings.cart
    described = document(limits.lines_max, limits.quantity_max)
    address, stock_id = _address(), _stock_id()
    return make_response(
        render_template(
            "api.html",
            here="api",
            address=address,
            document_path=f"{PREFIX}/openapi.json",
            paragraphs=[marked(text) for text in PARAGRAPHS],
            steps=reference.first_steps(address, stock_id),
            tags=reference.calls_by_tag(described, address, stock_id),
            tag_words={tag["name"]: tag["description"] for tag in described["tags"]},
            models=reference.models(described),
            kinds=KINDS,
            balancer_answers=ANSWERS,
            marked=marked,
            problem_example=reference.problem_example,
        )
    )


def _address() -> str:
    """The shop's address as this reader knows it; what could mean something to a shell is not repeated."""
    address = f"{request.scheme}://{request.host}"
    return address if reference.ADDRESS.fullmatch(address) else _LOCAL


def _stock_id() -> int:
    """Something that can be bought now, so that the commands work as they stand."""
    items = instance().shop.window.products(_ANYTHING).items
    return items[0].stock_id if items else reference.EXAMPLE_STOCK_ID


def marked(text: str) -> Markup:
    """Text with `code` in it."""
    parts = [escape(part) for part in text.split("`")]
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))
