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
from customers.rate_limits.limits import Limit
from customers.rate_limits.quota import Standing
from customers.security_log import Event, note

# View's name, the same in the API and on the pages where both have it -> attribute of RateLimits.
LIMIT_OF_VIEW = {
    "api.place_order": "orders",
    "pages.buy": "orders",
    "api.put_card": "cards",
    "api.delete_card": "cards",
    "pages.save_card": "cards",
    "pages.remove_card": "cards",
    "api.change_me": "account_changes",
    "api.delete_me": "account_changes",
    "pages.save_details": "account_changes",
    "pages.change_email": "account_changes",
    "pages.change_password": "account_changes",
    "pages.choose_language": "account_changes",
    "pages.end_session": "account_changes",
    "pages.end_other_sessions": "account_changes",
    "pages.delete_account": "account_changes",
    "api.export_me": "exports",
    "pages.export_account": "exports",
    "api.create_session": "log_ins",
    "pages.log_in": "log_ins",
    "api.create_customer": "sign_ups",
    "pages.sign_up": "sign_ups",
}


def check() -> None:
    """Called by the blueprints once they know that the request may be answered at all; raises TooManyAttempts."""
    name = LIMIT_OF_VIEW.get(request.endpoint or "")
    decided = request.environ.get(DECIDED)
    if decided is not None:  # counted before it came here
        if decided.standing is not None:
            _standings().append(decided.standing)
    elif name is not None:
        count(name)


def count(name: str) -> None:
    """One request of a kind that only the view can tell, such as a purchase that brings a new card; raises TooManyAttempts."""
    limits = instance().rate_limits
    limit: Limit = getattr(limits, name)
    standing = limits.spend(limit, _customer_id(), sender_address())
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
