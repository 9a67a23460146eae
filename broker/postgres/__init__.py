"""The PostgreSQL carrier: a durable queue in a schema of its own, for machines without RabbitMQ; see `schema.sql`."""

from broker.postgres.carrier import PostgresCarrier

__all__ = ["PostgresCarrier"]
