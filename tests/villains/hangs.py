"""Waits for what never comes, with the rows locked."""

import threading
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from distributor.strategies.contract import Line
from grading.template.mine import Mine


class Hangs(Mine):
    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> Any:
        results = super().take(connection, baskets)
        threading.Event().wait()
        return results
