"""Ends the program."""

import sys
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from distributor.strategies.contract import Line
from grading.template.mine import Mine


class Exits(Mine):
    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> Any:
        sys.exit(len(baskets))
