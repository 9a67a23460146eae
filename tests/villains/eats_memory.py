"""Keeps more and more in memory."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from distributor.strategies.contract import Line
from grading.template.mine import Mine

EATEN: list[bytearray] = []


class EatsMemory(Mine):
    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> Any:
        while True:
            EATEN.append(bytearray(b"x" * 300_000_000))
