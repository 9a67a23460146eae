"""The month: a customer who is done with it says so."""

from flask import redirect
from werkzeug.wrappers import Response

from customers.instance import customer, instance


def finish_month() -> Response:
    instance().shop.finish(customer().id)
    return redirect("/?done=finished", 303)
