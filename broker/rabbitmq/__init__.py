"""The RabbitMQ carrier (pika): quorum queues, confirmed and mandatory publishing, dead letters; see `topology.py`.

Each publisher and each consumer has connections of its own, served by a thread of its own: neither a long handler nor
a memory alarm of the broker, which blocks publishing connections, stops the other's heartbeats.
"""

import logging

from broker.rabbitmq.access import Access
from broker.rabbitmq.carrier import RabbitCarrier
from broker.rabbitmq.topology import Names

# pika reports each failed attempt with several error lines; what changed is logged once, here, in our words
logging.getLogger("pika").setLevel(logging.CRITICAL)

__all__ = ["Access", "Names", "RabbitCarrier"]
