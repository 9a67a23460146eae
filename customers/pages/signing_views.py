"""Sign up, log in and out: read the form, call one function, choose the page."""

from flask import redirect, request
from flask_login import current_user
from werkzeug.wrappers import Response

from customers import identity, reader_language
from customers.accounts import Registration, recognised
from customers.errors import EmailTaken, InvalidInput, TooManyAttempts, WrongCredentials, detail
from customers.instance import customer, instance
from customers.languages import render_template
from customers.pages import answers, forms
from customers.pages.answers import Page

SIGN_UP_FIELDS = ("first_name", "last_name", "email", "password")
"""In the order of the form, so that the list of what is wrong is read in it, too."""


DEVICE_SECONDS = 180 * 86_400  # half a year: chosen, longer than most people stay away from a shop that they use


def show_sign_up() -> Page:
    way_back = forms.way_back(request.args.get("next"))
    return redirect(way_back, 303) if current_user.is_authenticated else _sign_up_page(way_back)


def sign_up() -> Page:
    way_back = forms.way_back(forms.text("next"))
    values = {name: forms.text(name) for name in ("email", "first_name", "last_name")}
    password = forms.text("password")
    try:
        return _registered(Registration(password=password, **values), way_back)
    except InvalidInput as error:
        wrong = forms.by_field(error)
        return _sign_up_page(way_back, values, {name: wrong[name] for name in SIGN_UP_FIELDS if name in wrong}), 422
    except EmailTaken as error:
        return _sign_up_page(way_back, values, forms.by_field(error)), 409
    except TooManyAttempts as error:
        return answers.too_often(_sign_up_page(way_back, values, general=str(error)), error)
    except answers.NOT_NOW as error:  # the account may be there by now; the same form, sent again, leads into it
        return answers.not_now(_sign_up_page(way_back, values, general=detail(error)), error)


def show_log_in() -> Page:
    """Who is logged in by now, perhaps in another tab, goes on."""
    way_back = forms.way_back(request.args.get("next"))
    return redirect(way_back, 303) if current_user.is_authenticated else _log_in_page(way_back)


def log_in() -> Page:
    way_back = forms.way_back(forms.text("next"))
    email = forms.text("email")
    try:
        return _signed_in(email, forms.text("password"), way_back)
    except WrongCredentials as error:
        return _log_in_page(way_back, email, str(error)), 401
    except TooManyAttempts as error:
        return answers.too_often(_log_in_page(way_back, email, str(error)), error)
    except answers.NOT_NOW as error:
        return answers.not_now(_log_in_page(way_back, email, detail(error)), error)


def log_out() -> Page:
    instance().accounts.sign_out(customer())
    response = redirect("/?done=logged-out", 303)
    identity.clear_cookie(response, identity.COOKIE)
    return response


def _signed_in(email: str, password: str, way_back: str) -> Response:
    """A new session in this browser; the one that it had before is ended (ASVS 5.0 7.2.4). Raises what `sign_in` raises."""
    accounts = instance().accounts
    client = recognised(request.headers.get("User-Agent", ""))
    mark = identity.only_cookie(request, identity.DEVICE_COOKIE)
    session = accounts.sign_in(
        email, password, identity.sender_address(), client, reader_language.chosen_here(), mark=mark
    )
    before = identity.session_token(request)
    if before is not None:
        accounts.end_token(before)
    response = redirect(way_back, 303)
    hours = instance().runtime.settings.customers.session_hours
    identity.set_cookie(response, identity.COOKIE, session.token, hours * 3_600)
    identity.set_cookie(response, identity.DEVICE_COOKIE, accounts.device_mark(email, mark), DEVICE_SECONDS)
    return response


def _registered(registration: Registration, way_back: str) -> Response:
    """Into the new account, or the same one for who sent this form twice or has lost its answer: told from others by the
    password, and throttled as at the log-in."""
    try:
        instance().accounts.register(registration, identity.sender_address())
    except EmailTaken as taken:
        try:
            return _signed_in(registration.email, registration.password, way_back)
        except (WrongCredentials, TooManyAttempts):
            raise taken from None
    return _signed_in(registration.email, registration.password, way_back)


def _sign_up_page(
    way_back: str, values: dict[str, str] | None = None, errors: dict[str, str] | None = None, general: str = ""
) -> str:
    return render_template(
        "sign_up.html", here="sign-up", next=way_back, values=values or {}, errors=errors or {}, general=general
    )


def _log_in_page(way_back: str, email: str = "", general: str = "") -> str:
    return render_template("log_in.html", here="log-in", next=way_back, email=email, general=general)
