"""Which carrier a process uses, and as whom."""

from typing import Literal

from broker.contract import Carrier
from settings import Runtime

Role = Literal["admin", "relay", "manufacturer"]


def connect(runtime: Runtime, role: Role, code: str | None = None) -> Carrier:
    """The running system's carrier; opens no connection yet.

    Where RabbitMQ is ours, ``admin`` (declares, counts, reads dead letters) and ``relay`` (publishes) are its users,
    and a manufacturer consumes as the user named like its code; a process of many manufacturers leaves ``code`` out
    and each queue is read as its own user. Elsewhere the URL's credentials are used throughout. Queues there are called after the
    installation, for others may have theirs on the same broker; those in PostgreSQL are in its own database.
    """
    if runtime.broker_url == "postgres":
        from broker.postgres import PostgresCarrier

        return PostgresCarrier(runtime.database_url, runtime.settings.broker)
    if runtime.broker_url.startswith(("amqp://", "amqps://")):
        from broker.rabbitmq import Access, Names, RabbitCarrier

        passwords = runtime.secrets.broker_passwords if runtime.broker_is_ours else None
        user = code if role == "manufacturer" else role
        names = Names(runtime.secrets.installation_id)
        return RabbitCarrier(Access(runtime.broker_url, runtime.settings.broker, names, passwords, user))
    msg = f"broker_url: must be postgres or amqp://…, is {runtime.broker_url.partition('://')[0]!r}"
    raise ValueError(msg)
