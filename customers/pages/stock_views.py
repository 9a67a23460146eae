"""Fresh quantities for open pages."""

import re

from flask import jsonify, request
from flask_login import current_user
from werkzeug.wrappers import Response

from customers.errors import InvalidInput
from customers.instance import customer, instance
from customers.languages import gettext as _

STOCK_IDS_MAX = 100  # products on one page, and a few

_STOCK_ID = "[1-9][0-9]{0,17}"
_STOCK_IDS = re.compile(f"{_STOCK_ID}(?:,{_STOCK_ID}){{0,{STOCK_IDS_MAX - 1}}}")


def show_stock() -> Response:
    """The quantities of the products on an open page; an unchanged answer has no body."""
    given = request.args.getlist("ids")
    if len(given) != 1 or not _STOCK_IDS.fullmatch(given[0]):
        raise InvalidInput.of("ids", _("give 1 to %(maximum)s numbers with commas between them", maximum=STOCK_IDS_MAX))
    stock_ids = [int(number) for number in given[0].split(",")]
    shop = instance().shop
    # who asks is looked up only where it matters: open pages ask often
    if shop.carts_hold and current_user.is_authenticated:
        found = shop.quantities(stock_ids, customer().id)
    else:
        found = shop.window.quantities(stock_ids)
    response = jsonify(
        available={str(stock_id): quantity.available for stock_id, quantity in found.items()},
        in_other_carts={str(stock_id): quantity.in_other_carts for stock_id, quantity in found.items()},
    )
    response.headers["Cache-Control"] = "no-cache"
    response.add_etag()
    return response.make_conditional(request)
