"""Accounts: who a customer is. Sign-up, sign-in, sessions, names, payment cards.

Promises: a session lives in the database only, so that ending it ends it on every instance (P6); of a password only its
argon2id hash is kept, of a card only brand, last four digits and expiry; guessing is slowed down, never locked out.
"""

from customers.accounts.changes import Changes, Registration
from customers.accounts.clients import Client, recognised
from customers.accounts.customer import Customer, Guest
from customers.accounts.service import Accounts, SignedIn
from customers.accounts.sessions import Session

__all__ = ["Accounts", "Changes", "Client", "Customer", "Guest", "Registration", "Session", "SignedIn", "recognised"]
