"""Raises what the shop does not know."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from distributor.strategies.contract import Line
from grading.template.mine import Mine


class Raises(Mine):
    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> Any:
        raise RuntimeError("no idea")
