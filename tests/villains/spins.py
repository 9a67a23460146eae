"""Computes for ever, with the rows locked."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from distributor.strategies.contract import Line
from grading.template.mine import Mine


class Spins(Mine):
    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> Any:
        results = super().take(connection, baskets)
        while connection:
            pass
        return results
