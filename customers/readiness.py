"""Whether an instance can serve: its database answers and has the schema that this code was written for."""

from dataclasses import dataclass

from sqlalchemy import Engine

from distributor.database import transaction
from distributor.errors import DistributorError
from distributor.migrate import is_current

CACHE_SECONDS = 1.0  # the load balancer asks once a second; several askers cost one look


@dataclass
class Readiness:
    """The last look at the database. Only the health thread writes it; a torn read would be one look too many."""

    looked_at: float = float("-inf")
    reason: str | None = None

    def reason_against(self, engine: Engine, now: float) -> str | None:
        """Why the instance cannot serve, or None."""
        if now - self.looked_at >= CACHE_SECONDS:
            self.reason = self._look(engine)
            self.looked_at = now
        return self.reason

    def _look(self, engine: Engine) -> str | None:
        try:
            with transaction(engine) as connection:
                if not is_current(connection):
                    return "the database's schema is not current; a distributor brings it up to date"
        except DistributorError as error:
            return str(error)
        return None
