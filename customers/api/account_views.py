"""Accounts and sessions: read the body, call one function, answer."""

from flask import Response, jsonify, request

from customers import account_export
from customers.accounts import Changes, Customer, Registration, recognised
from customers.accounts.cards import CardEntry, shown_expiry
from customers.api import documents
from customers.api.calls import PREFIX
from customers.api.models import AccountChange, Credentials, NewCard, NewCustomer
from customers.identity import sender_address
from customers.instance import customer, instance
from customers.json_input import read_body


def create_customer() -> tuple[Response, int]:
    body = read_body(NewCustomer)
    account = instance().accounts.register(Registration(**body.model_dump()), sender_address())
    response = jsonify(account)
    response.headers["Location"] = f"{PREFIX}/me"
    return response, 201


def create_session() -> Response:
    body = read_body(Credentials)
    client = recognised(request.headers.get("User-Agent", ""))
    session = instance().accounts.sign_in(body.email, body.password, sender_address(), client)
    return jsonify(token=session.token, expires_at=documents.moment(session.expires_at))


def delete_session() -> tuple[str, int]:
    instance().accounts.sign_out(customer())
    return "", 204


def show_me() -> Response:
    return jsonify(_me(customer()))


def change_me() -> Response:
    body = read_body(AccountChange)
    me = customer()
    changes = Changes(**body.model_dump(exclude_unset=True))
    account = instance().accounts.change(me, changes, sender_address())
    return jsonify(_me(me) | {"email": account.email, "first_name": account.first_name, "last_name": account.last_name})


def delete_me() -> tuple[str, int]:
    instance().accounts.delete(customer())
    return "", 204


def export_me() -> Response:
    return jsonify(account_export.everything(instance(), customer()))


def put_card() -> Response:
    body = read_body(NewCard)
    card = instance().accounts.put_card(customer(), CardEntry(**body.model_dump(exclude_unset=True)))
    return jsonify(brand=card.brand, last4=card.last4, expiry=shown_expiry(card.expiry))


def delete_card() -> tuple[str, int]:
    instance().accounts.remove_card(customer())
    return "", 204


def _me(me: Customer) -> dict[str, object]:
    card = account_export.card(me)
    return {"id": me.id, "email": me.email, "first_name": me.first_name, "last_name": me.last_name, "card": card}
