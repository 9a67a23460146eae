"""What an operator asks of a running balancer, carried out at one place: orders, reloads, figures.

P1  An order is carried out wholly or not at all, and is kept for the next life of the process before it is answered.
P2  Reloads come one after the other. One that is refused changes nothing, and an event says why.
P3  A successor takes over what the life before was ordered while this one started, right before it accepts anybody.
"""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from load_balancer.admin.orders import (
    Configure,
    Order,
    PutServer,
    ReadCertificate,
    RemoveServer,
    SetState,
    plan,
    towards,
)
from load_balancer.admin.system_settings import Reading, RefusedError
from load_balancer.options import Options, ServerAddress
from load_balancer.proxy.balancer import Balancer
from load_balancer.stats.figures import Figures

log = logging.getLogger(__name__)

SUBJECT = "configuration"  # what events of reloads are about
NOTHING_TO_READ = "this balancer was started with options of a command line; there is no file to read again"
RESTART = "python3 main.py balancer restart"


class Settings(Protocol):
    """Where the options of a process come from, as far as they can be read again."""

    def read_again(self) -> Reading:
        """Raises RefusedError."""

    def catch_up(self) -> Options:
        """What is to hold now."""

    def took(self, reading: Reading) -> None:
        """The reading holds now."""

    def keep(self, servers: tuple[ServerAddress, ...]) -> None:
        """For the next life; raises OSError."""


class Workers(Protocol):
    """Processes that serve in this one's place."""

    def order(self, orders: Iterable[Order]) -> None:
        """They carry it out, too."""

    async def figures(self) -> Figures:
        """Of all together."""


@dataclass(frozen=True)
class Outcome:
    """What a reload did, by keys: what holds now, and what a restart of the balancer or of the system is needed for.

    ``removed_by_hand``: servers that the file says something new of, but that an operator had removed.
    """

    applied: tuple[str, ...]
    needs_balancer_restart: tuple[str, ...]
    needs_system_restart: tuple[str, ...]
    removed_by_hand: tuple[str, ...]

    def __str__(self) -> str:
        parts = (
            ("applied", self.applied),
            (f"needs a restart of the balancer ({RESTART})", self.needs_balancer_restart),
            ("needs a new start of the system", self.needs_system_restart),
            ("left out, for it was removed by hand", self.removed_by_hand),
        )
        said = "; ".join(f"{what}: {', '.join(names)}" for what, names in parts if names)
        return said or "nothing that concerns the running system has changed"


class Operator:
    """Of one process, or of one group of ``workers``. ``settings``: None where there is nothing to read again."""

    def __init__(self, balancer: Balancer, settings: Settings | None = None, workers: Workers | None = None) -> None:
        self.balancer = balancer
        self._workers = workers
        self._settings = settings
        self._reloading = asyncio.Lock()
        self._hangups: set[asyncio.Task[None]] = set()

    async def figures(self) -> Figures:
        """As they are now."""
        return self.balancer.figures() if self._workers is None else await self._workers.figures()

    def order(self, *orders: Order) -> None:
        """P1; KeyError for a server that there is not."""
        for order in orders:
            carry_out(self.balancer, order)
        if self._workers is not None:
            self._workers.order(orders)
        self._keep()

    def catch_up(self) -> None:
        """P3."""
        if self._settings is None:
            return
        options = self._settings.catch_up()
        for order in (Configure(options), *towards(options.servers, self.balancer.configured())):
            carry_out(self.balancer, order)

    async def reload(self) -> Outcome:
        """P2; raises RefusedError."""
        async with self._reloading:
            certificate = [] if self.balancer.certificate is None else [ReadCertificate()]
            try:
                if self._settings is None and certificate:  # it has files of its own to read again
                    self.order(*certificate)
                    return Outcome(("tls",), (), (), ())
                if self._settings is None:
                    raise RefusedError(NOTHING_TO_READ)
                reading = await asyncio.to_thread(self._settings.read_again)
            except RefusedError as error:
                log.error("the settings are not read again, all stays as it is: %s", error)
                self.balancer.note(SUBJECT, "", "REFUSED", str(error))
                raise
            planned = plan(
                reading.before, reading.after, {server.name: server for server in self.balancer.configured()}
            )
            keys = reading.keys
            outcome = Outcome(keys.live, keys.balancer, keys.system, planned.left_out)
            self._settings.took(reading)
            self.order(*certificate, *planned.orders)
            log.info("the settings were read again: %s", outcome)
            self.balancer.note(SUBJECT, "", "RELOADED", str(outcome))
            return outcome

    def hang_up(self) -> None:
        """SIGHUP: a reload, whose outcome the log and an event tell."""
        task = asyncio.get_running_loop().create_task(self._reload_quietly())
        self._hangups.add(task)
        task.add_done_callback(self._hangups.discard)

    async def _reload_quietly(self) -> None:
        try:
            await self.reload()
        except RefusedError:
            return  # it is logged, and an event

    def _keep(self) -> None:
        if self._settings is None:
            return
        try:
            self._settings.keep(self.balancer.configured())
        except OSError as error:
            log.error("what was changed is not kept for the next start of this process: %s", error)


def carry_out(balancer: Balancer, order: Order) -> None:
    """One order, in one process; KeyError for a server that there is not."""
    match order:
        case PutServer(server):
            _put(balancer, server)
        case RemoveServer(name):
            balancer.remove(name)
        case SetState(name, state):
            balancer.administer(balancer.backends[name], state)
        case Configure(options):
            balancer.configure(options)
        case ReadCertificate():
            balancer.read_certificate_again()


def _put(balancer: Balancer, server: ServerAddress) -> None:
    backend = balancer.backends.get(server.name)
    if backend is None:
        balancer.add(server)
        return
    if backend.address != server.address:
        balancer.move(backend, server.address)
    if backend.options != server.options:
        balancer.set_options(server.name, server.options)
