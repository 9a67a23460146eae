"""Commits by itself."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from distributor.strategies.contract import Line
from grading.template.mine import Mine


class Commits(Mine):
    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> Any:
        results = super().take(connection, baskets)
        connection.commit()
        return results
