"""Sign up, log in and out, the account with its card: read the form, call one function, choose the page."""

from flask import redirect, render_template, request
from werkzeug.wrappers import Response

from customers import identity
from customers.accounts import Changes, Registration
from customers.accounts.cards import CardEntry
from customers.errors import EmailTaken, InvalidInput, TooManyAttempts, WrongCredentials
from customers.instance import customer, instance
from customers.pages import forms

Page = str | tuple[str, int] | tuple[str, int, dict[str, str]] | Response


def show_sign_up() -> Page:
    return _sign_up_page(forms.way_back(request.args.get("next")))


def sign_up() -> Page:
    way_back = forms.way_back(forms.text("next"))
    values = {name: forms.text(name) for name in ("email", "first_name", "last_name")}
    password = forms.text("password")
    accounts = instance().accounts
    try:
        accounts.register(Registration(password=password, **values))
        session = accounts.sign_in(values["email"], password, request.remote_addr or "")
    except InvalidInput as error:
        return _sign_up_page(way_back, values, forms.by_field(error)), 422
    except EmailTaken as error:
        return _sign_up_page(way_back, values, {"email": f"is taken: {str(error).rstrip('.').lower()}"}), 409
    return _signed_in(session.token, way_back)


def show_log_in() -> Page:
    return _log_in_page(forms.way_back(request.args.get("next")))


def log_in() -> Page:
    way_back = forms.way_back(forms.text("next"))
    email = forms.text("email")
    try:
        session = instance().accounts.sign_in(email, forms.text("password"), request.remote_addr or "")
    except WrongCredentials as error:
        return _log_in_page(way_back, email, str(error)), 401
    except TooManyAttempts as error:
        return _log_in_page(way_back, email, str(error)), 429, {"Retry-After": str(error.retry_after_seconds)}
    return _signed_in(session.token, way_back)


def log_out() -> Page:
    instance().accounts.sign_out(customer())
    response = redirect("/?done=logged-out", 303)
    identity.clear_cookie(response, identity.COOKIE)
    return response


def show_account() -> Page:
    return _account_page()


def save_card() -> Page:
    values = {name: forms.text(name) for name in ("expiry", "holder")}
    entry = CardEntry(forms.text("number"), security_code=forms.text("security_code") or None, **values)
    try:
        instance().accounts.put_card(customer(), entry)
    except InvalidInput as error:
        return _account_page(forms.by_field(error), values, card_open=True), 422
    return redirect("/account?done=card-saved", 303)


def remove_card() -> Page:
    instance().accounts.remove_card(customer())
    return redirect("/account?done=card-removed", 303)


def save_details() -> Page:
    values = {name: forms.text(name) for name in ("first_name", "last_name")}
    try:
        instance().accounts.change(customer(), Changes(**values), request.remote_addr or "")
    except InvalidInput as error:
        return _account_page(forms.by_field(error), values), 422
    return redirect("/account?done=details-saved", 303)


def change_password() -> Page:
    changes = Changes(password=forms.text("password"), current_password=forms.text("current_password"))
    try:
        instance().accounts.change(customer(), changes, request.remote_addr or "")
    except InvalidInput as error:
        return _account_page(forms.by_field(error)), 422
    return redirect("/account?done=password-changed", 303)


def delete_account() -> Page:
    try:
        password = forms.text("delete_password")
        instance().accounts.delete_with_password(customer(), password, request.remote_addr or "")
    except InvalidInput as error:
        return _account_page({"delete_password": error.errors[0].message}), 422
    response = redirect("/?done=account-deleted", 303)
    identity.clear_cookie(response, identity.COOKIE)
    return response


def _signed_in(token: str, way_back: str) -> Response:
    response = redirect(way_back, 303)
    hours = instance().runtime.settings.customers.session_hours
    identity.set_cookie(response, identity.COOKIE, token, hours * 3_600)
    return response


def _sign_up_page(
    way_back: str, values: dict[str, str] | None = None, errors: dict[str, str] | None = None, general: str = ""
) -> str:
    return render_template(
        "sign_up.html", here="sign-up", next=way_back, values=values or {}, errors=errors or {}, general=general
    )


def _log_in_page(way_back: str, email: str = "", general: str = "") -> str:
    return render_template("log_in.html", here="log-in", next=way_back, email=email, general=general)


def _account_page(
    errors: dict[str, str] | None = None, values: dict[str, str] | None = None, *, card_open: bool = False
) -> str:
    return render_template(
        "account.html", here="account", errors=errors or {}, values=values or {}, card_open=card_open, general=""
    )
