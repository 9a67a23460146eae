"""One small story in examples: Ada opens an account, finds a kettle, buys two. A request and an answer for every model."""

from typing import Any

REQUEST_ID = "974f4b71456b-000000d2"

_EMAIL = "ada@example.org"
_NAME = {"first_name": "Ada", "last_name": "Lovelace"}
_MAKER = {"code": "m1", "name": "Northfield Works"}
_PRICE = {"amount": 2450, "currency": "GBP"}
_TWO = {"amount": 4900, "currency": "GBP"}
_ITEM = {"stock_id": 17, "sku": "KET-0017", "name": "Enamel kettle, 2 litres", "manufacturer": _MAKER, "price": _PRICE}
_PRODUCT = _ITEM | {"available": 12, "in_other_carts": 0}
_OTHER = {
    "stock_id": 52,
    "sku": "KET-0017",
    "name": "Enamel kettle, 2 litres",
    "manufacturer": {"code": "m2", "name": "Harbour & Sons"},
    "price": {"amount": 2600, "currency": "GBP"},
    "available": 3,
    "in_other_carts": 0,
}
_CARD = {"brand": "Visa", "last4": "4242", "expiry": "12/39"}
_ORDER = {
    "id": 4211,
    "status": "confirmed",
    "month": 3,
    "lines": [_ITEM | {"quantity": 2, "subtotal": _TWO}],
    "total": _TWO,
    "created_at": "2030-03-14T09:26:53.589793Z",
}
_CART_LINE = _PRODUCT | {
    "quantity": 2,
    "price_seen": _PRICE,
    "subtotal": _TWO,
    "held_until": None,
    "held": 0,
    "hold_seconds_left": 0,
    "can_hold_again": False,
}

EXAMPLES: dict[str, Any] = {
    "NewCustomer": {"email": _EMAIL, "password": "correct horse battery staple"} | _NAME,
    "Credentials": {"email": _EMAIL, "password": "correct horse battery staple"},
    "AccountChange": {"last_name": "King"},
    "NewCard": {"number": "4242 4242 4242 4242", "expiry": "12/39", "holder": "Ada Lovelace", "security_code": "123"},
    "NewQuantity": {"quantity": 2},
    "NewOrder": {"lines": [{"stock_id": 17, "quantity": 2}]},
    "Account": {"id": 311, "email": _EMAIL} | _NAME,
    "Session": {"token": "0pGq1n4o0eQYxT7bDq4b2VZC9cJ6b0v7bI9mQ2yq3sE", "expires_at": "2030-03-14T21:26:53Z"},
    "Me": {"id": 311, "email": _EMAIL} | _NAME | {"card": _CARD},
    "Card": _CARD,
    "Finished": {"month": 3},
    "Month": {
        "number": 3,
        "state": "open",
        "reason": None,
        "ends_at": "2030-03-14T09:40:00Z",
        "now": "2030-03-14T09:26:53.589793Z",
    },
    "ProductPage": {"items": [_PRODUCT], "page": 1, "per_page": 20, "total": 1},
    "ProductShown": _PRODUCT | {"others": [_OTHER]},
    "Cart": {"lines": [_CART_LINE], "total": _TWO, "can_be_bought": True},
    "Order": _ORDER,
    "OrderPage": {"items": [_ORDER], "page": 1, "per_page": 20, "total": 1},
}

_SESSION = {
    "created_at": "2030-03-14T09:26:00Z",
    "last_used_at": "2030-03-14T09:26:53Z",
    "expires_at": "2030-03-14T21:26:00Z",
    "browser": "Firefox",
    "system": "Linux",
    "is_this_one": True,
}
EXAMPLES["Export"] = {
    "made_at": "2030-03-14T09:26:53.589793Z",
    "account": EXAMPLES["Account"] | {"language": "en", "role": "customer", "created_at": "2030-03-01T08:00:00Z"},
    "card": _CARD,
    "sessions": [_SESSION],
    "cart": {"lines": [], "total": None, "can_be_bought": False},
    "orders": [_ORDER],
    "finished_months": [2],
}

_NEW_PASSWORD = {"password": "new horse, new battery", "current_password": EXAMPLES["Credentials"]["password"]}
MORE_REQUESTS: dict[str, dict[str, Any]] = {
    "AccountChange": {"password": _NEW_PASSWORD},
    "NewOrder": {"cart": {}},
}
"""Other ways to ask, by model and the example's name."""
