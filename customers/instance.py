"""What the requests of one instance share: settings, pools, the services. Nothing that belongs to one customer."""

from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app
from flask_login import current_user
from sqlalchemy import Engine

from customers.accounts import Accounts, Customer
from customers.errors import NotSignedIn
from customers.rate_limits import RateLimits
from customers.readiness import Readiness
from customers.serving.draining import Draining
from customers.shop import Shop
from distributor.sales import Sales
from settings import Runtime

EXTENSION = "shop_instance"


@dataclass(frozen=True)
class Instance:
    """One object an application; made by assembly.py."""

    name: str
    runtime: Runtime
    engine: Engine
    health_engine: Engine
    """A connection of its own, so that readiness is known when all others are in use."""
    accounts: Accounts
    rate_limits: RateLimits
    sales: Sales
    shop: Shop
    draining: Draining
    readiness: Readiness

    def close(self) -> None:
        """Gives up the connections to the database."""
        self.engine.dispose()
        self.health_engine.dispose()


def instance() -> Instance:
    """The one that answers this request."""
    return instance_of(current_app)


def instance_of(app: Flask) -> Instance:
    """For those outside of requests."""
    return cast("Instance", app.extensions[EXTENSION])


def customer() -> Customer:
    """Whose request this is; raises NotSignedIn for a guest."""
    found = customer_or_guest()
    if found is None:
        raise NotSignedIn
    return found


def customer_or_guest() -> Customer | None:
    """Whose request this is; None for a guest."""
    # Flask-Login gives a proxy; the customer itself is what functions want.
    found = current_user._get_current_object()  # noqa: SLF001 - werkzeug's documented way
    return cast("Customer", found) if found.is_authenticated else None
