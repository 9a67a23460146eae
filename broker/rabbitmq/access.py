"""Where RabbitMQ is and as whom to speak to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pika

from broker.rabbitmq.topology import Names
from settings.model import Broker

CONNECT_SECONDS_MAX = 5.0  # chosen: a node on the same machine answers in milliseconds, one in a LAN within a second


@dataclass(frozen=True)
class Access:
    """``names``: what the installation's exchanges and queues are called there. ``passwords``: user -> password where the node is
    ours, else None and the URL's credentials count.

    ``user``: whom to speak as; None lets each recipient's queue be read as the user named like the recipient.
    """

    url: str
    settings: Broker
    names: Names
    passwords: Mapping[str, str] | None = field(default=None, repr=False)
    user: str | None = None

    def user_for(self, recipient: str) -> str | None:
        """Who reads this recipient's queue; None: whoever the URL names."""
        return None if self.passwords is None else self.user or recipient

    def parameters(self, user: str | None, purpose: str) -> pika.ConnectionParameters:
        """Every wait bounded: pika's own defaults would wait for ever on a blocked or silent broker."""
        parameters = pika.URLParameters(self.url)
        if self.passwords is not None:
            if user is None or user not in self.passwords:
                msg = f"broker_passwords: there is none of the RabbitMQ user {user!r}"
                raise ValueError(msg)
            parameters.credentials = pika.PlainCredentials(user, self.passwords[user], erase_on_connect=False)
        parameters.heartbeat = self.settings.heartbeat_seconds
        parameters.blocked_connection_timeout = self.settings.confirm_timeout_seconds
        parameters.socket_timeout = CONNECT_SECONDS_MAX
        parameters.stack_timeout = 2 * CONNECT_SECONDS_MAX
        parameters.connection_attempts = 1
        parameters.client_properties = {"connection_name": f"{self.names.prefix}{purpose}"}
        return parameters


def explain(error: BaseException) -> str:
    """What happened, without the layers that pika wraps around it."""
    while True:
        inner = getattr(error, "exceptions", None) or [getattr(error, "exception", None), *error.args]
        found = [each for each in inner if isinstance(each, BaseException)]
        if not found:
            return f"{type(error).__name__}: {error}"
        error = found[-1]
