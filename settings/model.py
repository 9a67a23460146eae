"""The tunables: one class a section of config.yml, the unit in each key's name, the bounds beside it.

Defaults here equal those in the shipped config.yml (a test compares them), so a key may be left out there.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from settings.section import Section
from settings.servers import DefaultServer, OneServer, refuse_servers
from settings.tls import Tls

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Milliseconds = Annotated[int, Field(ge=1, le=600_000)]
Hours = Annotated[float, Field(ge=0.01, le=876_000)]
PerMinute = Annotated[int, Field(ge=1, le=10_000_000)]


class Simulation(Section):
    """The simulated calendar."""

    month_seconds: Seconds = 60.0
    month_seconds_min: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    months_max: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 1

    @model_validator(mode="after")
    def _month_length(self) -> "Simulation":
        if self.month_seconds_min > self.month_seconds:
            msg = "month_seconds_min must not be greater than month_seconds"
            raise ValueError(msg)
        return self


class Manufacturers(Section):
    """Production: who makes how much, how fast."""

    count: Annotated[int, Field(ge=1, le=500)] = 3
    manufacturers_per_process: Annotated[int, Field(ge=1, le=500)] = 1
    catalogue: str | None = None
    products_per_manufacturer: Annotated[int, Field(ge=1, le=10_000)] = 12
    initial_units_per_product: Annotated[int, Field(ge=0, le=1_000_000)] = 5
    lines: Annotated[int, Field(ge=1, le=64)] = 2
    units_per_month: Annotated[int, Field(ge=0, le=1_000_000)] = 120
    batch_units: Annotated[int, Field(ge=1, le=10_000)] = 3
    lead_time_seconds: Annotated[float, Field(ge=0, le=86_400)] = 0.5
    breakdown_probability: Annotated[float, Field(ge=0, le=1)] = 0.02
    repair_seconds: Annotated[float, Field(ge=0, le=86_400)] = 3.0
    capacity_units_per_product: Annotated[int, Field(ge=1, le=10_000_000)] = 200


class Distributor(Section):
    """Gather, months, sales and relay."""

    instances: Annotated[int, Field(ge=1, le=8)] = 1
    strategy: Annotated[str, Field(min_length=1, max_length=300)] = "group_commit"
    tick_ms: Milliseconds = 500
    offer_deadline_seconds: Seconds = 5.0
    offer_bytes_max: Annotated[int, Field(ge=1_000, le=100_000_000)] = 4_000_000
    gather_concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    gather_retry_seconds: Seconds = 5.0
    relay_batch_messages: Annotated[int, Field(ge=1, le=1_000)] = 100
    relay_lease_seconds: Seconds = 15.0
    relay_idle_ms: Milliseconds = 250


class Customers(Section):
    """Web instances, accounts and the simulated customers that keep the shop alive."""

    instances: Annotated[int, Field(ge=1, le=16)] = 3
    threads: Annotated[int, Field(ge=1, le=64)] = 8
    simulated: Annotated[int, Field(ge=0, le=500)] = 4
    simulated_pause_seconds: Annotated[float, Field(ge=0, le=3_600)] = 2.0
    session_hours: Annotated[int, Field(ge=1, le=8_760)] = 12
    session_idle_minutes: Annotated[int, Field(ge=2, le=525_600)] = 120
    password_memory_kib: Annotated[int, Field(ge=8, le=1_048_576)] = 19_456
    password_iterations: Annotated[int, Field(ge=1, le=20)] = 2
    password_concurrency: Annotated[int, Field(ge=1, le=16)] = 2
    login_failures_max: Annotated[int, Field(ge=1, le=1_000)] = 10
    login_window_seconds: Seconds = 60.0
    secure_cookies: bool = False
    stock_refresh_seconds: Seconds = 4.0


class RateLimits(Section):
    """How often one customer, or one network address, may ask for what is costly or can be abused (429 beyond it)."""

    customer_orders_per_minute: PerMinute = 6_000
    customer_card_changes_per_minute: PerMinute = 60
    customer_account_changes_per_minute: PerMinute = 60
    customer_exports_per_minute: PerMinute = 10
    address_log_ins_per_minute: PerMinute = 10_000
    address_sign_ups_per_minute: PerMinute = 10_000
    address_taken_sign_ups_per_minute: PerMinute = 600


class Cart(Section):
    """Limits on one cart. ``hold_seconds`` 0 means that a cart holds nothing back from others."""

    hold_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    hold_extensions_max: Annotated[int, Field(ge=0, le=100)] = 1
    hold_lines_max: Annotated[int, Field(ge=1, le=5_000)] = 20
    hold_units_max: Annotated[int, Field(ge=1, le=999_999)] = 100
    lines_max: Annotated[int, Field(ge=1, le=5_000)] = 1_000
    quantity_max: Annotated[int, Field(ge=1, le=999_999)] = 99_999


class Retention(Section):
    """For how long the database keeps what has served its purpose (distributor/retention)."""

    events_hours: Hours = 168.0
    refusals_hours: Hours = 48.0
    months_hours: Hours = 168.0
    interval_seconds: Seconds = 60.0
    batch_rows: Annotated[int, Field(ge=1, le=100_000)] = 500


class Database(Section):
    """PostgreSQL: ``url: auto`` starts the embedded one. The waits are bounded from the inside out."""

    url: Annotated[str, Field(min_length=1, max_length=2_000)] = "auto"
    connections_max: Annotated[int, Field(ge=10, le=2_000)] = 120
    pool_wait_ms: Milliseconds = 2_000
    lock_timeout_ms: Milliseconds = 3_000
    statement_timeout_ms: Milliseconds = 6_000
    idle_in_transaction_timeout_ms: Milliseconds = 8_000
    transaction_attempts_max: Annotated[int, Field(ge=1, le=50)] = 6
    silence_ms: Annotated[int, Field(ge=500, le=600_000)] = 3_000

    @model_validator(mode="after")
    def _order_of_timeouts(self) -> "Database":
        if not self.lock_timeout_ms < self.statement_timeout_ms <= self.idle_in_transaction_timeout_ms:
            msg = "must hold: lock_timeout_ms < statement_timeout_ms <= idle_in_transaction_timeout_ms"
            raise ValueError(msg)
        return self


class Broker(Section):
    """``auto``: RabbitMQ at ``rabbitmq_address`` if it answers, else a private node, else the PostgreSQL queue."""

    url: Annotated[str, Field(min_length=1, max_length=2_000)] = "auto"
    rabbitmq_address: Annotated[str, Field(max_length=2_000)] = ""
    heartbeat_seconds: Annotated[int, Field(ge=5, le=300)] = 15
    confirm_timeout_seconds: Seconds = 10.0
    delivery_attempts_max: Annotated[int, Field(ge=1, le=100)] = 5
    redelivery_delay_ms: Milliseconds = 250
    lease_seconds: Seconds = 15.0
    idle_ms: Milliseconds = 250


def _host(text: str) -> str:
    """A host name or an IP address; raises ValueError."""
    if "[" in text or "]" in text:
        msg = "an IPv6 address stands here without brackets, such as ::1"
        raise ValueError(msg)
    if ":" in text:
        ipaddress.IPv6Address(text)
    return text


def _network(text: str) -> str:
    """Addresses as 192.0.2.0/24 or 2001:db8::/32; raises ValueError."""
    ipaddress.ip_network(text)
    return text


def _protocol(text: str) -> str:
    """A protocol that may be asked for by Upgrade, in lower case; raises ValueError."""
    if not re.fullmatch(r"[a-z0-9.!#$&^_`|~+-]+(/[a-z0-9.]+)?", text):
        msg = "not the name of a protocol in lower case, such as websocket"
        raise ValueError(msg)
    if text.partition("/")[0] in ("h2c", "http", "tls"):
        msg = f"{text} would carry requests past the load balancer; only protocols other than HTTP may be asked for"
        raise ValueError(msg)
    return text


class LoadBalancer(Section):
    """HAProxy's words: balance, cookie, inter, fall, rise, and the timeouts of a client, a queue, a connect and a server.

    0 for ``check_fastinter_ms`` and ``check_downinter_ms``: as ``check_inter_ms``, the latter at most 250.
    """

    engine: Literal["builtin", "haproxy"] = "builtin"
    algorithm: Literal["roundrobin", "leastconn", "random", "random(2)"] = "roundrobin"
    cookie: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,64}$")] = ""
    allbackups: bool = False
    default_server: DefaultServer = DefaultServer()
    servers: dict[str, OneServer] = Field(default_factory=dict)
    tls: Tls = Tls()
    forwarded: bool = False
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    listen_host: Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_host)] = "127.0.0.1"
    connections_max: Annotated[int, Field(ge=10, le=100_000)] = 8_000
    connections_per_address_max: Annotated[int, Field(ge=0, le=100_000)] = 1_000
    exempt_networks: list[Annotated[str, AfterValidator(_network)]] = Field(
        default_factory=lambda: ["127.0.0.0/8", "::1/128"]
    )
    requests_per_connection_max: Annotated[int, Field(ge=1, le=1_000_000_000)] = 1_000
    request_line_bytes_max: Annotated[int, Field(ge=256, le=65_536)] = 8_192
    head_bytes_max: Annotated[int, Field(ge=1_024, le=262_144)] = 32_768
    field_lines_max: Annotated[int, Field(ge=10, le=1_000)] = 100
    body_bytes_max: Annotated[int, Field(ge=1_000, le=100_000_000)] = 1_048_576
    body_bytes_per_second_min: Annotated[int, Field(ge=1, le=100_000_000)] = 16_384
    connect_timeout_ms: Milliseconds = 1_000
    server_timeout_ms: Milliseconds = 15_000
    client_timeout_ms: Milliseconds = 10_000
    http_request_timeout_ms: Milliseconds = 10_000
    tunnel_timeout_ms: Annotated[int, Field(ge=1, le=86_400_000)] = 3_600_000
    client_fin_timeout_ms: Milliseconds = 10_000
    upgrade: list[Annotated[str, Field(max_length=64), AfterValidator(_protocol)]] = Field(
        default_factory=lambda: ["websocket"]
    )
    keep_alive_timeout_ms: Milliseconds = 30_000
    queue_timeout_ms: Milliseconds = 5_000
    retries: Annotated[int, Field(ge=0, le=20)] = 3
    retry_budget_percent: Annotated[int, Field(ge=0, le=100)] = 20
    retry_budget_per_second_min: Annotated[int, Field(ge=0, le=10_000)] = 10
    ejected_percent_max: Annotated[int, Field(ge=0, le=100)] = 50
    check_inter_ms: Milliseconds = 1_000
    check_fastinter_ms: Annotated[int, Field(ge=0, le=600_000)] = 0
    check_downinter_ms: Annotated[int, Field(ge=0, le=600_000)] = 0
    check_timeout_ms: Milliseconds = 1_500
    check_fall: Annotated[int, Field(ge=1, le=20)] = 2
    check_rise: Annotated[int, Field(ge=1, le=20)] = 1
    drain_seconds: Seconds = 5.0
    handover_seconds: Seconds = 30.0
    access_log: Literal["none", "combined", "json"] = "none"
    access_log_bytes_max: Annotated[int, Field(ge=100_000, le=10_000_000_000)] = 100_000_000

    @model_validator(mode="after")
    def _order_of_timeouts(self) -> "LoadBalancer":
        if not self.connect_timeout_ms <= self.server_timeout_ms:
            msg = "connect_timeout_ms must not be greater than server_timeout_ms"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _order_of_limits(self) -> "LoadBalancer":
        if self.request_line_bytes_max > self.head_bytes_max:
            msg = "request_line_bytes_max must not be greater than head_bytes_max"
            raise ValueError(msg)
        return self


class Supervisor(Section):
    """Starting, watching, restarting and stopping processes."""

    ready_timeout_seconds: Seconds = 60.0
    stop_timeout_seconds: Seconds = 10.0
    restart_backoff_ms: Milliseconds = 200
    restart_backoff_ms_max: Milliseconds = 5_000
    watchdog_seconds: Annotated[float, Field(ge=0, le=86_400)] = 30.0


class Logging(Section):
    """One line an event on standard error, kept by the supervisor in the state folder."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"


class Settings(Section):
    """All sections, and the rules that join two of them."""

    simulation: Simulation = Simulation()
    manufacturers: Manufacturers = Manufacturers()
    distributor: Distributor = Distributor()
    customers: Customers = Customers()
    rate_limits: RateLimits = RateLimits()
    cart: Cart = Cart()
    retention: Retention = Retention()
    database: Database = Database()
    broker: Broker = Broker()
    load_balancer: LoadBalancer = LoadBalancer()
    supervisor: Supervisor = Supervisor()
    logging: Logging = Logging()

    def connections_needed(self) -> int:
        """PostgreSQL connections when every pool is full: threads per web instance + 2 (health, order desk),
        8 a distributor (leader, teller, relay, gather 2, sweeper, pruner, health), 2 a manufacturer process with the PostgreSQL
        queue, and 5 for people, checks and superusers."""
        web = self.customers.instances * (self.customers.threads + 2)
        manufacturers = 2 * self.manufacturer_processes()
        return web + 8 * self.distributor.instances + manufacturers + 5

    def behind_tls(self) -> "Settings":
        """These settings, with cookies that keep to TLS where the load balancer speaks it."""
        if not self.load_balancer.tls.on:
            return self
        return self.model_copy(update={"customers": self.customers.model_copy(update={"secure_cookies": True})})

    def manufacturer_processes(self) -> int:
        return -(-self.manufacturers.count // self.manufacturers.manufacturers_per_process)

    def with_load_balancer_of(self, wanted: "Settings") -> "Settings":
        """These, but the load balancer as ``wanted`` has it; raises ValueError where that does not go with the rest.

        Its engine stays: that decides how its process is watched and stopped.
        """
        raw = self.model_dump()
        raw["load_balancer"] = wanted.load_balancer.model_dump() | {"engine": self.load_balancer.engine}
        try:
            return Settings.model_validate(raw)
        except ValidationError as error:
            what = "; ".join(str(mistake["msg"]).removeprefix("Value error, ") for mistake in error.errors())
            msg = f"with the settings that the system was started with: {what}"
            raise ValueError(msg) from error

    @model_validator(mode="after")
    def _sections_agree(self) -> "Settings":
        needed = self.connections_needed()
        if needed > self.database.connections_max:
            msg = (
                f"database.connections_max is {self.database.connections_max}, but the processes need {needed} connections; "
                "raise it, or lower customers.instances, customers.threads or the number of manufacturer processes"
            )
            raise ValueError(msg)
        if self.load_balancer.server_timeout_ms <= self.database.statement_timeout_ms:
            msg = "load_balancer.server_timeout_ms must be greater than database.statement_timeout_ms"
            raise ValueError(msg)
        names = [f"web-{number}" for number in range(1, self.customers.instances + 1)]
        refuse_servers(self.load_balancer.servers, self.load_balancer.default_server, names)
        if self.manufacturer_processes() > 100:  # ports N+301 … N+400
            msg = "more than 100 manufacturer processes; raise manufacturers.manufacturers_per_process"
            raise ValueError(msg)
        return self


CONFIG_FILE = Path("config.yml")
