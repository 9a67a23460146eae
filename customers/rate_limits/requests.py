"""The limits of the calls and the pages: one table for both, checked before the view, told in the answer's headers.

R1  A call and the page's form that does the same use up the same quota.
R2  A request is counted after its form was found to be this shop's own, else a foreign page could use up a quota.
"""

from flask import Response, g, request
from flask_login import current_user

from customers.errors import TooManyAttempts
from customers.identity import sender_address
from customers.instance import customer, instance
from customers.purchase import DECIDED
from customers.rate_limits.limits import Limited
from customers.rate_limits.quota import Standing
from customers.security_log import Event, note

# By the view's name, which is the same in the API and on the pages where both have it.
LIMIT_OF_VIEW = {
    "api.place_order": Limited.ORDERS,
    "pages.buy": Limited.ORDERS,
    "api.put_card": Limited.CARD_CHANGES,
    "api.delete_card": Limited.CARD_CHANGES,
    "pages.save_card": Limited.CARD_CHANGES,
    "pages.remove_card": Limited.CARD_CHANGES,
    "api.change_me": Limited.ACCOUNT_CHANGES,
    "api.delete_me": Limited.ACCOUNT_CHANGES,
    "pages.save_details": Limited.ACCOUNT_CHANGES,
    "pages.change_email": Limited.ACCOUNT_CHANGES,
    "pages.change_password": Limited.ACCOUNT_CHANGES,
    "pages.choose_language": Limited.ACCOUNT_CHANGES,
    "pages.end_session": Limited.ACCOUNT_CHANGES,
    "pages.end_other_sessions": Limited.ACCOUNT_CHANGES,
    "pages.delete_account": Limited.ACCOUNT_CHANGES,
    "api.export_me": Limited.EXPORTS,
    "pages.export_account": Limited.EXPORTS,
    "api.create_session": Limited.LOG_INS,
    "pages.log_in": Limited.LOG_INS,
    "api.create_customer": Limited.SIGN_UPS,
    "pages.sign_up": Limited.SIGN_UPS,
}


def check() -> None:
    """Called by the blueprints once they know that the request may be answered at all; raises TooManyAttempts."""
    limited = LIMIT_OF_VIEW.get(request.endpoint or "")
    decided = request.environ.get(DECIDED)
    if decided is not None:  # counted before it came here
        if decided.standing is not None:
            _standings().append(decided.standing)
    elif limited is not None:
        count(limited)


def count(what: Limited) -> None:
    """One request of a kind that only the view can tell, such as a purchase that brings a new card; raises TooManyAttempts."""
    standing = instance().rate_limits.spend(what, _customer_id(), sender_address())
    if standing is not None:
        _standings().append(standing)


def _customer_id() -> int | None:
    return customer().id if current_user.is_authenticated else None


def note_refusal(error: TooManyAttempts) -> None:
    """What a refusal says of a quota goes into its answer's headers."""
    if error.standing is not None:
        _standings().append(error.standing)
        note(Event.TOO_OFTEN, _customer_id(), quota=error.standing.name)


def add_headers(response: Response) -> None:
    standings = {standing.name: standing for standing in g.get("rate_standings", [])}
    if standings:
        response.headers["RateLimit-Policy"] = ", ".join(one.policy_item() for one in standings.values())
        response.headers["RateLimit"] = ", ".join(one.item() for one in standings.values())


def _standings() -> list[Standing]:
    if "rate_standings" not in g:
        g.rate_standings = []
    return g.rate_standings  # type: ignore[no-any-return]
