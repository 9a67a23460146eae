"""Requests for which no thread is free in time: the application answers them, in its own shape, without doing anything."""

from flask import g, request

from customers.errors import TooMany

TURNED_AWAY = "cds.turned_away"
"""Set in the environ by the server."""


def is_turned_away() -> bool:
    return TURNED_AWAY in request.environ


def refuse() -> None:
    """Before anything else is done for a request. Who asks is not looked up: the database may be what all wait for."""
    if is_turned_away():
        g.identity_failed = True
        raise TooMany
