"""Says only whether it sold."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from distributor.strategies.contract import Line
from grading.template.mine import Mine


class AnswersWrongly(Mine):
    def take(self, connection: Connection, baskets: Sequence[Sequence[Line]]) -> Any:
        super().take(connection, baskets)
        return [True for _lines in baskets]
