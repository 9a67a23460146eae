"""`up`: from the settings to a running system, its control socket, and everything that happens while it runs.

U1  runtime.json is complete before the first child starts.
U2  What cannot be started is known before anything is: wrong settings, a second system, taken ports.
U3  Whatever ends the run, the children end, then the lock is released.
"""

import asyncio
import contextlib
import dataclasses
import logging
import logging.handlers
import os
import resource
import signal
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

from settings import Runtime, Secrets, Settings, SettingsError, log_lines
from settings.addresses import HOST, Addresses
from settings.runtime import BALANCER_FILE, manufacturer_codes
from supervisor import control, leftovers, lock, postgres, rabbitmq, system
from supervisor.child import Child
from supervisor.console import Console
from supervisor.life import HUNG, Limits
from supervisor.options import Options
from supervisor.ports import refuse_taken
from supervisor.resolution import Broker, choose_broker, external_database, refuse_missing_engine
from supervisor.restart import Policy
from supervisor.spec import Spec, State
from supervisor.supervision import Supervisor

HOUSEKEEPING_SECONDS = 2.0
LOG_BYTES_MAX = 5_000_000
CORE_BYTES_MAX = 1
"""No image of a process is written, for it holds keys and passwords: smaller than any. 0 would not do: Linux does not look at
it where images are piped to a program (core(5)); 1 is what it refuses there, too (do_coredump in fs/coredump.c)."""
SIMULATED = "customers.simulated"
NOT_READY = "not ready"  # in the status: it was, and its process runs
CHILD_ENVIRONMENT = {
    "PYTHONUNBUFFERED": "1",
    "PYTHONFAULTHANDLER": "1",  # the tracebacks of all threads, when a process that hangs is ended
    # glibc: give large blocks back when they are freed. Measured: a web instance that has hashed passwords (19 MiB each)
    # holds 65 MB instead of 125 MB.
    "MALLOC_MMAP_THRESHOLD_": "4194304",
}

_log = logging.getLogger(__name__)


class System:
    """One running system: answers the control socket, and applies what may change while it runs."""

    def __init__(self, options: Options, runtime: Runtime, specs: list[Spec], console: Console) -> None:
        limits = runtime.settings.supervisor
        self._options = options
        self._runtime = runtime
        self._console = console
        self._config_seen = _modified(options.config)
        self._simulated_seen = runtime.settings.customers.simulated
        self.supervisor = Supervisor(
            specs,
            runtime.state / "logs",
            Limits(
                limits.ready_timeout_seconds,
                limits.stop_timeout_seconds,
                Policy(limits.restart_backoff_ms, limits.restart_backoff_ms_max),
                limits.watchdog_seconds,
            ),
            environment={**CHILD_ENVIRONMENT, leftovers.TAG: str(runtime.state)},
            on_change=self._on_change,
        )

    async def run(self) -> None:
        """Start, serve until a stop is requested, stop (U3)."""
        supervisor = self.supervisor
        server = await control.serve(self._runtime.state, self.handle)
        housekeeping = asyncio.create_task(self._keep_house())
        self._console.begin([name for name, child in supervisor.children.items() if child.spec.awaited])
        try:
            if await supervisor.start():
                self._console.finish()
                shop = self._runtime.shop_url
                self._console.note(f"ready: {shop}  (Ctrl-C stops everything)", "bold green")
                await supervisor.stop_requested.wait()
            self._console.finish()
            self._console.note("stopping")
        finally:
            self._console.finish()
            housekeeping.cancel()
            await supervisor.stop()
            server.close()
            (self._runtime.state / control.SOCKET).unlink(missing_ok=True)
        self._console.note("stopped")

    def handle(self, request: dict[str, Any]) -> control.Answer | Awaitable[control.Answer]:
        """One request of the control socket; LookupError and ValueError become its error answer."""
        command = request.get("command")
        if command == "status":
            return self._asked_status() if request.get("asked") is True else self._status()
        if command == "stop":
            self.supervisor.request_stop()
            return {"pid": os.getpid()}
        if command == "fault":
            names = request.get("names")
            if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
                msg = "names: expected a list of process names"
                raise ValueError(msg)
            self.supervisor.fault(str(request.get("fault")), names)
            return {}
        if command == "set":
            if request.get("key") != SIMULATED:
                msg = f"key: only {SIMULATED} may change while the system runs"
                raise ValueError(msg)
            self._set_simulated(request.get("value"))
            return {}
        if command == "restart_balancer":
            return self._restart_balancer()
        msg = "command: expected status, stop, fault, set or restart_balancer"
        raise ValueError(msg)

    def _status(self) -> dict[str, Any]:
        supervisor, runtime = self.supervisor, self._runtime
        state = "starting" if supervisor.starting else "stopping" if supervisor.stop_requested.is_set() else "ready"
        broker = runtime.broker_url
        if runtime.broker_is_ours:
            password = runtime.secrets.broker_passwords["admin"]
            broker = broker.replace("amqp://", f"amqp://admin:{password}@", 1)
        return {
            "processes": supervisor.rows(),
            "shop": runtime.shop_url,
            "stats": runtime.addresses.url(runtime.addresses.load_balancer_admin) + "/stats",
            "database": runtime.database_url.replace("postgresql+psycopg://", "postgresql://", 1),
            "broker": broker,
            "installation": runtime.secrets.installation_id,
            "state": state,
            "pid": os.getpid(),
        }

    async def _asked_status(self) -> control.Answer:
        """The same after asking each process: what was ready once may not be so now."""
        unready = await self.supervisor.unready()
        status = self._status()
        for row in status["processes"]:
            row["unready"] = unready.get(row["name"]) if row["state"] == State.READY.value else None
            if row["unready"] is not None:
                row["state"] = NOT_READY
        return status

    def _set_simulated(self, value: object) -> None:
        """Every process that looks at runtime.json sees it; traffic does once a second."""
        raw = self._runtime.settings.model_dump()
        raw["customers"]["simulated"] = value
        try:
            settings = Settings.model_validate(raw)
        except ValueError as error:
            msg = f"{SIMULATED}: expected an integer from 0 to 500 (given: {value!r})"
            raise ValueError(msg) from error
        self._runtime = dataclasses.replace(self._runtime, settings=settings)
        self._runtime.write()
        _log.info("action=set key=%s value=%s", SIMULATED, value)
        if settings.customers.simulated > 0:
            self.supervisor.demand(system.TRAFFIC)

    async def _restart_balancer(self) -> control.Answer:
        """With what the file says of it now; if that is wrong, or the new process does not serve, all stays as it was."""
        before = self._runtime
        try:
            settings = before.settings.with_load_balancer_of(self._options.load())
        except (SettingsError, ValueError) as error:
            msg = f"the load balancer was not restarted, for its settings are wrong:\n{error}"
            raise ValueError(msg) from error
        revision = before.balancer_revision + 1
        self._runtime = dataclasses.replace(before, settings=settings, balancer_revision=revision)
        self._runtime.write()
        try:
            await self.supervisor.restart(system.LOAD_BALANCER)
        except LookupError:
            settings = self._runtime.settings.with_load_balancer_of(
                before.settings
            )  # the rest may have changed meanwhile
            revision = before.balancer_revision
            self._runtime = dataclasses.replace(self._runtime, settings=settings, balancer_revision=revision)
            self._runtime.write()
            raise
        child = self.supervisor.children[system.LOAD_BALANCER]
        return {"pid": child.pid}

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_SECONDS)
            try:
                for child in self.supervisor.children.values():
                    child.log.bound()
                self._follow_config()
            except OSError as error:  # a full disk: it is worth trying again
                _log.error("action=keep_house failed: %s", error)

    def _follow_config(self) -> None:
        """Apply a change of customers.simulated in the file; other keys need a new start.

        Compared with what the file said before, not with what is: that may have been set by hand meanwhile.
        """
        modified = _modified(self._options.config)
        if modified == self._config_seen:
            return
        self._config_seen = modified
        try:
            settings = self._options.load()
        except SettingsError as error:
            _log.error("action=config the changed file is not used: %s", error)
            self._console.note(f"the changed {self._options.config} is not used:\n{error}", "red")
            return
        wanted = settings.customers.simulated
        _log.info("action=config followed: %s is %s", SIMULATED, wanted)
        if wanted != self._simulated_seen:
            self._simulated_seen = wanted
            self._set_simulated(wanted)
            self._console.note(f"{SIMULATED} is now {wanted}")

    def _on_change(self, child: Child) -> None:
        if child.state is State.READY:
            self._console.ready(child.spec.name, child.spec.url)
        elif child.state is State.BACKOFF:
            what = "hung" if child.last_end.startswith(HUNG) else "died"
            self._console.note(f"{child.spec.name:<{16}} {what}, is started again; its log: {child.log.path}", "yellow")
        elif child.state is State.FAILED and not self.supervisor.starting:
            self._console.note(f"{child.spec.name:<{16}} failed; its log: {child.log.path}", "red")


async def run(options: Options, console: Console) -> None:
    """Run a system until it is told to stop; raises SettingsError or StartError (U2)."""
    settings = options.load()
    refuse_missing_engine(settings)
    _, cores_max = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (CORE_BYTES_MAX if cores_max else 0, cores_max))
    os.umask(0o077)  # whatever we or a child creates, in the state folder or elsewhere, is the owner's alone
    state = lock.prepare_folder(options.state)
    with lock.take(state), logging_to(state / "logs" / "supervisor.log", settings.logging.level):
        left = leftovers.end(state)
        if left:
            console.note(f"ended {len(left)} processes that an earlier run had left behind")
        addresses = Addresses(options.port_base)
        broker = await choose_broker(settings, addresses)
        runtime, specs = _plan(settings, state, addresses, broker)
        runtime = dataclasses.replace(runtime, config=options.config.absolute(), overrides=options.overrides)
        (state / BALANCER_FILE).unlink(missing_ok=True)
        refuse_taken(
            (spec.name, settings.load_balancer.listen_host if port == addresses.shop else HOST, port)
            for spec in specs
            for port in spec.ports
        )
        runtime.write()
        console.note(f"state folder {state}; broker: {_broker_in_words(broker)} ({broker.why})")
        running = System(options, runtime, specs, console)
        with stop_signals(running.supervisor):
            await running.run()


def _plan(settings: Settings, state: Path, addresses: Addresses, broker: Broker) -> tuple[Runtime, list[Spec]]:
    secrets = Secrets.read_or_make(state, manufacturer_codes(settings))
    database_url = external_database(settings)
    cluster = None
    if database_url is None:
        cluster = postgres.locate(state, secrets.installation_id)
        cluster.end_leftovers()
        database_url = cluster.url(addresses.postgres, secrets.postgres_password)
    node = None
    if broker.installation is not None:
        folder = state / "rabbitmq"
        name = rabbitmq.node_name(secrets.installation_id)
        node = rabbitmq.Node(broker.installation, folder, addresses.rabbitmq, addresses.erlang_distribution, name)
        codes = manufacturer_codes(settings)
        node.prepare(secrets.erlang_cookie, secrets.broker_passwords, codes, secrets.installation_id)
    runtime = Runtime(
        state=state,
        settings=settings,
        addresses=addresses,
        database_url=database_url,
        broker_url=broker.url,
        broker_is_ours=node is not None,
        secrets=secrets,
    )
    return runtime, system.specs(runtime, cluster, node)


def _broker_in_words(broker: Broker) -> str:
    if broker.installation is not None:
        return "a private RabbitMQ"
    return "a queue in PostgreSQL" if broker.url == "postgres" else "RabbitMQ"


def _modified(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


@contextlib.contextmanager
def stop_signals(supervisor: Supervisor) -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP stops gracefully, the second at once."""
    loop = asyncio.get_running_loop()
    heard = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup asks to outlive the terminal
        heard.append(signal.SIGHUP)
    for one in heard:
        loop.add_signal_handler(one, supervisor.request_stop)
    try:
        yield
    finally:
        for one in heard:
            loop.remove_signal_handler(one)


@contextlib.contextmanager
def logging_to(path: Path, level: str) -> Iterator[None]:
    """The supervisor's own log; its console shows only what a person needs."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=LOG_BYTES_MAX, backupCount=1, encoding="utf-8")
    handler.setFormatter(log_lines.LineFormatter("supervisor"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
