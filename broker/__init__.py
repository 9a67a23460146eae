"""Broker: the messages between distributor and manufacturers, and two carriers with the same promises.

RabbitMQ (pika) or a queue in PostgreSQL: durable, confirmed, at least once, dead letters after bounded attempts.
"""

from broker.choice import Role, connect
from broker.contract import (
    MONTH_CLOSED,
    SALE_RECORDED,
    STOCK_DEPLETED,
    BrokerError,
    Carrier,
    Consumer,
    DeadLetter,
    Handler,
    Message,
    Poison,
    Publisher,
    Rejected,
    Unavailable,
    Unroutable,
)

__all__ = [
    "MONTH_CLOSED",
    "SALE_RECORDED",
    "STOCK_DEPLETED",
    "BrokerError",
    "Carrier",
    "Consumer",
    "DeadLetter",
    "Handler",
    "Message",
    "Poison",
    "Publisher",
    "Rejected",
    "Role",
    "Unavailable",
    "Unroutable",
    "connect",
]
