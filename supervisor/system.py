"""The processes of the whole system as specifications, from the runtime's values."""

import asyncio
import dataclasses
import functools
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from settings import Runtime
from settings.addresses import HOST
from supervisor.leftovers import TAG
from supervisor.postgres import Cluster
from supervisor.probes import (
    amqp_alive,
    amqp_ready,
    http_alive,
    http_ready,
    http_unready,
    postgres_alive,
    postgres_ready,
)
from supervisor.rabbitmq import Node
from supervisor.spec import Spec

PROJECT = Path(__file__).resolve().parent.parent
TRAFFIC = "traffic"
LOAD_BALANCER = "load_balancer"
MODULES = {
    "manufacturer": "manufacturers",
    "distributor": "distributor",
    "web": "customers",
    "load_balancer": "load_balancer",
    "traffic": "scenarios.traffic",
}

WEB_ENVIRONMENT = {
    # glibc: ask for huge pages. Measured: an instance computes 29 instead of 39 ms for a log-in, whose hash takes 19 MiB at once
    # (260 page faults instead of 4,865), and 3 to 9 % less for a page, at the same memory.
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


def specs(runtime: Runtime, cluster: Cluster | None, node: Node | None) -> list[Spec]:
    """All of them; ``cluster`` and ``node`` are None where somebody else's PostgreSQL or RabbitMQ is used."""
    base: list[Spec] = []
    if cluster is not None:
        base.append(_postgres(runtime, cluster))
    if node is not None:
        base.append(_rabbitmq(node))
    foundation = tuple(spec.name for spec in base)
    distributors = list(_distributors(runtime, foundation))
    webs = list(_webs(runtime, tuple(spec.name for spec in distributors)))
    balancer = _load_balancer(runtime, tuple(spec.name for spec in webs))
    return [*base, *_manufacturers(runtime, foundation), *distributors, *webs, balancer, _traffic(runtime, balancer)]


def _ours(runtime: Runtime, name: str, kind: str, port: int, depends_on: tuple[str, ...]) -> Spec:
    """One of our own packages, started as ``python -m PACKAGE --state DIR --name NAME``."""
    return Spec(
        name=name,
        kind=kind,
        argv=(sys.executable, "-m", MODULES[kind], "--state", str(runtime.state), "--name", name),
        probe=functools.partial(http_ready, port),
        url=runtime.addresses.url(port),
        ports=(port,),
        depends_on=depends_on,
        folder=PROJECT,
        alive=functools.partial(http_alive, port),
        unready=functools.partial(http_unready, port),
    )


def _postgres(runtime: Runtime, cluster: Cluster) -> Spec:
    port = runtime.addresses.postgres

    async def initialise() -> None:
        """In a thread, for initdb takes its time; the thread waits for what it starts (S1 of spawn.py)."""
        await asyncio.to_thread(cluster.end_leftovers)
        await asyncio.to_thread(cluster.initialise, runtime.secrets.postgres_password)

    return Spec(
        name="postgres",
        kind="database",
        argv=tuple(cluster.argv(port, runtime.settings.database.connections_max)),
        probe=functools.partial(postgres_ready, runtime.database_url),
        url=f"postgresql://{HOST}:{port}/cds",
        ports=(port,),
        stop_signal=signal.SIGINT,  # "fast": sessions are ended, everything is written
        kill_signal=signal.SIGQUIT,  # "immediate": recovers at the next start, but removes its shared memory
        death_signal=signal.SIGINT,
        alive=functools.partial(postgres_alive, port),
        abort_signal=signal.SIGQUIT,
        account=cluster.account,
        # Not marked as one of ours: what a killed supervisor leaves of it is ended by ``end_leftovers``, its own way.
        environment={TAG: ""},
        folder=Path("/"),  # its account may not be allowed in ours
        before_start=initialise,
    )


def _rabbitmq(node: Node) -> Spec:
    return Spec(
        name="rabbitmq",
        kind="broker",
        argv=node.argv(),
        probe=functools.partial(amqp_ready, node.port),
        url=f"amqp://{HOST}:{node.port}",
        ports=(node.port, node.distribution_port),
        death_signal=signal.SIGTERM,
        alive=functools.partial(amqp_alive, node.port),
        environment=node.environment(),
        folder=node.folder,
    )


def _manufacturers(runtime: Runtime, depends_on: tuple[str, ...]) -> Iterator[Spec]:
    """A process that holds several manufacturers has the plural in its name."""
    word = "manufacturer" if runtime.settings.manufacturers.manufacturers_per_process == 1 else "manufacturers"
    for number in range(1, runtime.settings.manufacturer_processes() + 1):
        port = runtime.addresses.manufacturer_process(number)
        yield _ours(runtime, f"{word}-{number}", "manufacturer", port, depends_on)


def _distributors(runtime: Runtime, depends_on: tuple[str, ...]) -> Iterator[Spec]:
    for number in range(1, runtime.settings.distributor.instances + 1):
        name = "distributor" if number == 1 else f"distributor-{number}"
        yield _ours(runtime, name, "distributor", runtime.addresses.distributor(number), depends_on)


def _webs(runtime: Runtime, depends_on: tuple[str, ...]) -> Iterator[Spec]:
    for number in range(1, runtime.settings.customers.instances + 1):
        spec = _ours(runtime, f"web-{number}", "web", runtime.addresses.web(number), depends_on)
        yield dataclasses.replace(spec, environment=WEB_ENVIRONMENT)


def _load_balancer(runtime: Runtime, depends_on: tuple[str, ...]) -> Spec:
    admin = runtime.addresses.load_balancer_admin
    spec = _ours(runtime, LOAD_BALANCER, "load_balancer", admin, depends_on)
    settings = runtime.settings.load_balancer
    # HAProxy takes SIGTERM for "at once"; the process becomes HAProxy (load_balancer/engines/launch.py).
    ours = settings.engine == "builtin"
    return dataclasses.replace(
        spec,
        url=runtime.shop_url,
        ports=(runtime.addresses.shop, admin, *([settings.tls.redirect_port] if settings.tls.redirect_port else [])),
        stop_signal=signal.SIGTERM if ours else signal.SIGUSR1,
        handover_seconds=settings.handover_seconds,
    )


def _traffic(runtime: Runtime, balancer: Spec) -> Spec:
    """The simulated customers are guests: the shop is ready without them."""
    spec = _ours(runtime, TRAFFIC, "traffic", runtime.addresses.traffic, (balancer.name,))
    return dataclasses.replace(spec, awaited=False, on_demand=runtime.settings.customers.simulated == 0)
