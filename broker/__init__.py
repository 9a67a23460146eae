"""Broker: the messages between distributor and manufacturers, and two carriers with the same promises.

RabbitMQ (pika) or a queue in PostgreSQL: durable, confirmed, at least once, dead letters after bounded attempts.
"""
