"""The account with its card, password, sessions and data: read the form, call one function, choose the page."""

from collections.abc import Callable, Mapping

from flask import Response as JsonResponse
from flask import jsonify, redirect
from werkzeug.wrappers import Response

from customers import account_export, identity
from customers.accounts import Changes
from customers.accounts.cards import CardEntry
from customers.errors import EmailTaken, InvalidInput, TooManyAttempts
from customers.instance import customer, instance
from customers.languages import gettext as _
from customers.languages import render_template
from customers.pages import answers, forms
from customers.pages.answers import Page


def show_account() -> Page:
    return _account_page()


def save_card() -> Page:
    values = {name: forms.text(name) for name in ("expiry", "holder")}
    entry = CardEntry(forms.text("number"), security_code=forms.text("security_code") or None, **values)
    return _after(lambda: instance().accounts.put_card(customer(), entry), "card-saved", values, card_open=True)


def remove_card() -> Page:
    return _after(lambda: instance().accounts.remove_card(customer()), "card-removed")


def save_details() -> Page:
    values = {name: forms.text(name) for name in ("first_name", "last_name")}
    return _change(Changes(**values), "details-saved", values)


def change_email() -> Page:
    values = {"email": forms.text("email")}
    changes = Changes(current_password=forms.text("email_password"), **values)
    return _change(changes, "email-changed", values, {"current_password": "email_password"})


def change_password() -> Page:
    changes = Changes(password=forms.text("password"), current_password=forms.text("current_password"))
    return _change(changes, "password-changed")


def end_session() -> Page:
    """One other log-in; one that is over already is as good as ended."""
    handle = forms.text("session")
    return _after(
        lambda: instance().accounts.sign_out_other(customer(), handle), "other-logged-out", leads_to="/account"
    )


def end_other_sessions() -> Page:
    return _after(lambda: instance().accounts.sign_out_others(customer()), "others-logged-out")


def export_account() -> JsonResponse:
    """A file to keep, with everything that this shop knows about the customer."""
    response = jsonify(account_export.everything(instance(), customer()))
    response.headers["Content-Disposition"] = f'attachment; filename="{account_export.FILE_NAME}"'
    return response


def delete_account() -> Page:
    password, address = forms.text("delete_password"), identity.sender_address()
    answer = _after(
        lambda: instance().accounts.delete_with_password(customer(), password, address),
        "account-deleted",
        names={"current_password": "delete_password"},
        leads_to="/",
    )
    if isinstance(answer, Response):
        identity.clear_cookie(answer, identity.COOKIE)
        identity.clear_cookie(answer, identity.DEVICE_COOKIE)
    return answer


def _change(
    changes: Changes, done: str, values: Mapping[str, str] | None = None, names: Mapping[str, str] | None = None
) -> Page:
    accounts, address = instance().accounts, identity.sender_address()
    return _after(lambda: accounts.change(customer(), changes, address), done, values, names)


def _after(
    action: Callable[[], object],
    done: str,
    values: Mapping[str, str] | None = None,
    names: Mapping[str, str] | None = None,
    *,
    card_open: bool = False,
    leads_to: str = "/account",
) -> Page:
    """Do it, then show that it is done; what was refused is shown beside its field, with what was typed (``values``).

    ``names``: a field's name in the error -> on the page, where several forms ask for the same."""
    try:
        action()
    except InvalidInput as error:
        errors = {(names or {}).get(field, field): message for field, message in forms.by_field(error).items()}
        return _account_page(errors, values, card_open=card_open), 422
    except EmailTaken as error:
        return _account_page(forms.by_field(error), values), 409
    except TooManyAttempts as error:
        return answers.too_often(_account_page({}, values, general=str(error)), error)
    return redirect(f"{leads_to}?done={done}", 303)


def _account_page(
    errors: Mapping[str, str] | None = None,
    values: Mapping[str, str] | None = None,
    *,
    card_open: bool = False,
    general: str = "",
) -> str:
    return render_template(
        "account.html",
        here="account",
        errors=errors or {},
        values=values or {},
        card_open=card_open,
        general=general,
        sessions=instance().accounts.sessions_of(customer()),
        labels=_labels(),
    )


def _labels() -> dict[str, str]:
    """What the fields are called in the summary of errors."""
    return {
        "number": _("Card number"),
        "expiry": _("Expiry"),
        "security_code": _("Security code"),
        "holder": _("Name on the card"),
        "first_name": _("First name"),
        "last_name": _("Last name"),
        "email": _("New e-mail address"),
        "email_password": _("Password"),
        "current_password": _("Current password"),
        "password": _("New password"),
        "delete_password": _("Password"),
    }
