"""Opens a connection of its own for each purchase, and keeps it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from distributor.strategies.contract import Line
from grading.template.mine import Mine

KEPT: list[Connection] = []


class Leaks(Mine):
    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> Any:
        KEPT.append(connection.engine.connect())
        return super().take(connection, baskets)
