"""``auto`` -> what is really used: which database, which broker.

A RabbitMQ that happens to run on this machine is never used unless ``broker.rabbitmq_address`` names it: its queues and
users belong to somebody, and whether it runs must not decide how this system behaves.
"""

import os
import re
import shutil
from dataclasses import dataclass
from urllib.parse import urlsplit

from settings import Problem, Settings, SettingsError
from settings.addresses import HOST, Addresses
from supervisor import rabbitmq
from supervisor.errors import StartError
from supervisor.probes import amqp_ready
from supervisor.rabbitmq import Installation

AMQP_PORT = 5672
PORT_MAX = 65_535
AUTO = "auto"
QUEUE_IN_POSTGRES = "postgres"

# Read as SQLAlchemy reads it: in a password everything but @ may stand unescaped. The group is the port.
_DATABASE_PLACE = re.compile(
    r"(?:[^:/]*(?::[^@]*)?@)?(?:\[[^]/?]+\]|[^]\[/:?]*)(?::([^/?]{0,9}))?(?:[/?].*)?", re.DOTALL
)


@dataclass(frozen=True)
class Broker:
    """``installation`` is set when a private node is to be started; ``why`` is said at the start."""

    url: str
    installation: Installation | None
    why: str


def refuse_missing_engine(settings: Settings) -> None:
    """Raise StartError where the wished load balancer is not installed, before anything is started."""
    if settings.load_balancer.engine == "haproxy" and shutil.which("haproxy", path=_program_path()) is None:
        raise StartError(
            "load_balancer.engine is haproxy, but haproxy is not installed",
            "apt install haproxy, or set load_balancer.engine to builtin",
        )


def _program_path() -> str:
    """Where servers' programs lie, whatever the account's own path says."""
    return os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin", "/sbin"])


def refuse_unusable_urls(settings: Settings) -> None:
    """Raise SettingsError for a database or broker URL that no process could use."""
    problems = []
    database, broker = settings.database.url, settings.broker.url
    if database != AUTO and not database.startswith(("postgresql+psycopg://", "postgresql://")):
        what = "expected auto or postgresql+psycopg://user:password@host:port/name"
        problems.append(Problem("config.yml", "database.url", what))
    if broker not in (AUTO, QUEUE_IN_POSTGRES) and not broker.startswith(("amqp://", "amqps://")):
        problems.append(
            Problem("config.yml", "broker.url", "expected auto, postgres or amqp://user:password@host:port")
        )
    # The URLs may hold passwords, so they are not repeated.
    what = "cannot be read as an address; is the port a number, are brackets closed, special characters %-escaped?"
    if not problems:
        checks = {
            "database.url": database == AUTO or _is_database_url(database),
            "broker.url": broker in (AUTO, QUEUE_IN_POSTGRES) or _is_address(broker),
            "broker.rabbitmq_address": _is_address(_rabbitmq_url(settings.broker.rabbitmq_address)),
        }
        problems += [Problem("config.yml", key, what) for key, good in checks.items() if not good]
    if problems:
        raise SettingsError(problems)


def _is_database_url(url: str) -> bool:
    match = _DATABASE_PLACE.fullmatch(url.partition("://")[2])
    return match is not None and (not match[1] or (match[1].isdecimal() and 1 <= int(match[1]) <= PORT_MAX))


def _is_address(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _rabbitmq_url(address: str) -> str:
    return address if "://" in address else f"amqp://guest:guest@{address}"


def external_database(settings: Settings) -> str | None:
    """The configured URL in the form that all processes use, or None when the embedded PostgreSQL is to run."""
    if settings.database.url == AUTO:
        return None
    return "postgresql+psycopg://" + settings.database.url.partition("://")[2]


async def choose_broker(settings: Settings, addresses: Addresses) -> Broker:
    """The first of: what is configured, a RabbitMQ that answers at the configured address, a private node, the queue."""
    wanted, address = settings.broker.url, settings.broker.rabbitmq_address
    if wanted == QUEUE_IN_POSTGRES:
        return Broker(QUEUE_IN_POSTGRES, None, "configured")
    if wanted != AUTO:
        return Broker(wanted, None, "configured")
    if address:
        url = _rabbitmq_url(address)
        place = urlsplit(url)
        if await amqp_ready(place.port or AMQP_PORT, place.hostname or HOST):
            return Broker(url, None, "it answers at broker.rabbitmq_address")
    installation = rabbitmq.find_installation()
    if installation is not None:
        return Broker(f"amqp://{HOST}:{addresses.rabbitmq}", installation, "rabbitmq-server is installed")
    return Broker(QUEUE_IN_POSTGRES, None, "no RabbitMQ is installed")
