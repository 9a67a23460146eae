"""What one balancer is told: addresses, servers, limits and times. From the running system's settings or a command line."""

import ipaddress
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from load_balancer.balancing.members import Observe, OnError, ServerOptions
from load_balancer.balancing.retries import RetryRules
from load_balancer.balancing.servers import Admin, Intervals, Rules
from load_balancer.http1.grammar import PORT_MAX, HeadLimits
from load_balancer.proxy.admission import Network
from settings import Runtime, Settings, self_signed
from settings.addresses import Addresses
from settings.model import LoadBalancer
from settings.servers import DefaultServer
from settings.tls import CIPHERS, Tls

_LABEL: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*")
_PORT: Final = re.compile(r"[0-9]{1,5}")


_DOWN_INTER_SECONDS: Final = 0.25  # a server that is back is asked soon
DEFAULT_RULES: Final = Rules(fall=2, rise=1)


class OptionsError(ValueError):
    """An address or another option that cannot be used; the message says which and how it should look."""


@dataclass(frozen=True)
class Address:
    """A host (name or IP address, no brackets) and a TCP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class ServerAddress:
    """A server's name, address and what follows them, as in HAProxy's ``server NAME HOST:PORT …``.

    ``state``: the one that it begins in; HAProxy's ``disabled`` is maint.
    """

    name: str
    address: Address
    options: ServerOptions = field(default_factory=ServerOptions)
    state: Admin = Admin.READY


@dataclass(frozen=True)
class Check:
    """HAProxy's words: a check every ``inter`` seconds, ``fall`` failures take a server down, ``rise`` bring it up.

    0 for ``fastinter``: as ``inter``; for ``downinter``: as ``inter``, but at most a quarter of a second.
    """

    path: str = "/healthz"
    inter_seconds: float = 1.0
    timeout_seconds: float = 0.8
    rules: Rules = DEFAULT_RULES
    fastinter_seconds: float = 0.0
    downinter_seconds: float = 0.0

    @property
    def intervals(self) -> Intervals:
        """In seconds, each as it holds."""
        return Intervals(
            inter=self.inter_seconds,
            fast=self.fastinter_seconds or self.inter_seconds,
            down=self.downinter_seconds or min(self.inter_seconds, _DOWN_INTER_SECONDS),
        )


@dataclass(frozen=True)
class Timeouts:
    """In HAProxy's words. ``http_request``: from the first byte of a head to its last; ``client``: silence while a body
    is sent or an answer is read; ``server``: silence while an answer is awaited; ``tunnel``: silence after a switch of
    protocols, and ``client_fin`` once one side has ended.
    """

    connect_seconds: float = 1.0
    server_seconds: float = 15.0
    client_seconds: float = 10.0
    http_request_seconds: float = 10.0
    queue_seconds: float = 5.0
    keep_alive_seconds: float = 30.0
    tunnel_seconds: float = 3_600.0
    client_fin_seconds: float = 10.0
    drain_seconds: float = 5.0
    handover_seconds: float = 30.0  # keep_alive's: by then who was idle has asked once more, or ended by itself

    @property
    def shortest_of_clients(self) -> float:
        """Of those that are looked after several times a second."""
        first = min(self.server_seconds, self.client_seconds, self.http_request_seconds, self.keep_alive_seconds)
        return min(first, self.tunnel_seconds, self.client_fin_seconds)


LOOPBACK: Final[tuple[Network, ...]] = (ipaddress.IPv4Network("127.0.0.0/8"), ipaddress.IPv6Network("::1/128"))


@dataclass(frozen=True)
class Limits:
    """What one client may cost. ``connections_per_address_max``: 0 for no limit; ``exempt_networks`` have none."""

    connections_per_address_max: int = 1_000  # an eighth of connections_max: nobody alone can take them all
    exempt_networks: tuple[Network, ...] = LOOPBACK
    requests_per_connection_max: int = 1_000  # nginx's keepalive_requests
    head: HeadLimits = field(default_factory=HeadLimits)
    body_bytes_per_second_min: int = 16_384  # each byte that arrives buys its sender time at this rate


@dataclass(frozen=True)
class CertificateFiles:
    """``key``: None where it is in the certificate's file."""

    certificate: Path
    key: Path | None = None


@dataclass(frozen=True)
class TlsOptions:
    """``key``: None where it is in the certificate's file; ``ciphers``: of TLS 1.2, in OpenSSL's words.

    ``further``: for clients that ask for one of their names (SNI); ``strict_sni``: nobody else is shaken hands with.
    """

    certificate: Path
    key: Path | None = None
    version_min: str = "1.2"
    ciphers: str = CIPHERS
    handshake_seconds: float = 10.0
    further: tuple[CertificateFiles, ...] = ()
    strict_sni: bool = False

    @property
    def by_name(self) -> bool:
        """Whether it matters which name a client asks for."""
        return bool(self.further) or self.strict_sni

    @property
    def files(self) -> tuple[CertificateFiles, ...]:
        """Of all certificates, the default one first."""
        return (CertificateFiles(self.certificate, self.key), *self.further)


@dataclass(frozen=True)
class AccessLogOptions:
    """Where a line for every answer goes. ``kind``: combined or json; at ``bytes_max`` the file is moved aside."""

    path: Path
    kind: str = "combined"
    bytes_max: int = 100_000_000


@dataclass(frozen=True)
class Options:
    """One balancer. ``hosts``: the only Host values that are served (None: any). No token: the admin pages only read."""

    listen: Address
    servers: tuple[ServerAddress, ...]
    admin: Address | None = None
    control_token: str | None = None
    algorithm: str = "roundrobin"
    cookie: str = ""  # the name of the one that binds clients to servers; none
    allbackups: bool = False
    ejected_share_max: float = 0.5
    retry: RetryRules = field(default_factory=RetryRules)
    hosts: frozenset[bytes] | None = None
    connections_max: int = 8_000
    body_bytes_max: int = 1_048_576
    check: Check = field(default_factory=Check)
    timeouts: Timeouts = field(default_factory=Timeouts)
    limits: Limits = field(default_factory=Limits)
    upgrade: frozenset[bytes] = frozenset({b"websocket"})  # protocols that clients may ask for
    tls: TlsOptions | None = None
    redirect: Address | None = None  # plain HTTP, whose only answer is where TLS is
    access_log: AccessLogOptions | None = None
    workers: int = 1  # processes that serve clients
    forwarded: bool = False  # whether servers get Forwarded (RFC 7239), too
    behind_tls: bool = False  # whether clients reach us over TLS only, which we or something before us ends


def from_runtime(runtime: Runtime) -> Options:
    """The balancer of a running system."""
    return from_settings(runtime.settings, runtime.addresses, runtime.state, runtime.secrets.control_token)


def from_settings(system: Settings, addresses: Addresses, state: Path, control_token: str | None = None) -> Options:
    """The balancer of a system that has these: its web instances, checked by their own word on ``/readyz``."""
    settings = system.load_balancer
    names = {number: f"web-{number}" for number in range(1, system.customers.instances + 1)}
    return Options(
        listen=Address(settings.listen_host, addresses.shop),
        servers=tuple(
            ServerAddress(name, Address("127.0.0.1", addresses.web(number)), _server_options(settings, name))
            for number, name in names.items()
        ),
        admin=Address("127.0.0.1", addresses.load_balancer_admin),
        control_token=control_token,
        algorithm=settings.algorithm,
        cookie=settings.cookie,
        allbackups=settings.allbackups,
        ejected_share_max=settings.ejected_percent_max / 100,
        retry=RetryRules(settings.retries, settings.retry_budget_percent / 100, settings.retry_budget_per_second_min),
        connections_max=settings.connections_max,
        body_bytes_max=settings.body_bytes_max,
        check=Check(
            path="/readyz",
            inter_seconds=settings.check_inter_ms / 1000,
            timeout_seconds=settings.check_timeout_ms / 1000,
            rules=Rules(settings.check_fall, settings.check_rise),
            fastinter_seconds=settings.check_fastinter_ms / 1000,
            downinter_seconds=settings.check_downinter_ms / 1000,
        ),
        timeouts=Timeouts(
            connect_seconds=settings.connect_timeout_ms / 1000,
            server_seconds=settings.server_timeout_ms / 1000,
            client_seconds=settings.client_timeout_ms / 1000,
            http_request_seconds=settings.http_request_timeout_ms / 1000,
            queue_seconds=settings.queue_timeout_ms / 1000,
            keep_alive_seconds=settings.keep_alive_timeout_ms / 1000,
            tunnel_seconds=settings.tunnel_timeout_ms / 1000,
            client_fin_seconds=settings.client_fin_timeout_ms / 1000,
            drain_seconds=settings.drain_seconds,
            handover_seconds=settings.handover_seconds,
        ),
        limits=_limits(settings),
        upgrade=frozenset(protocol.encode("ascii") for protocol in settings.upgrade),
        tls=_tls(settings.tls, settings.listen_host, state),
        redirect=Address(settings.listen_host, settings.tls.redirect_port) if settings.tls.redirect_port else None,
        access_log=_access_log(settings, state / "logs"),
        workers=settings.workers,
        forwarded=settings.forwarded,
        behind_tls=system.customers.secure_cookies or settings.tls.on,
    )


def _server_options(settings: LoadBalancer, name: str) -> ServerOptions:
    """What ``servers`` says of it, over what ``default_server`` says of all."""
    own = settings.servers.get(name)
    return server_options(settings.default_server if own is None else own.over(settings.default_server))


def server_options(words: DefaultServer, cookie: str = "") -> ServerOptions:
    """What holds for a server of which that is said."""
    return ServerOptions(
        cookie=cookie,
        weight=words.weight,
        maxconn=words.maxconn,
        maxqueue=words.maxqueue,
        slowstart_seconds=words.slowstart_ms / 1000,
        backup=words.backup,
        check=words.check,
        observe=Observe(words.observe),
        error_limit=words.error_limit,
        on_error=OnError(words.on_error),
    )


def _tls(settings: Tls, host: str, state: Path) -> TlsOptions | None:
    """A certificate of our own is made where there is none."""
    if not settings.on:
        return None
    if settings.certificate:
        certificate, key = Path(settings.certificate), Path(settings.key or settings.certificate)
    else:
        self_signed.ensure(state, host)
        certificate, key = self_signed.paths(state)
    handshake_seconds = settings.handshake_timeout_ms / 1000
    further = tuple(
        CertificateFiles(Path(pair.certificate), Path(pair.key or pair.certificate)) for pair in settings.further
    )
    return TlsOptions(
        certificate, key, settings.version_min, settings.ciphers, handshake_seconds, further, settings.strict_sni
    )


def _limits(settings: LoadBalancer) -> Limits:
    return Limits(
        connections_per_address_max=settings.connections_per_address_max,
        exempt_networks=tuple(ipaddress.ip_network(network) for network in settings.exempt_networks),
        requests_per_connection_max=settings.requests_per_connection_max,
        head=HeadLimits(settings.request_line_bytes_max, settings.head_bytes_max, settings.field_lines_max),
        body_bytes_per_second_min=settings.body_bytes_per_second_min,
    )


def _access_log(settings: LoadBalancer, logs: Path) -> AccessLogOptions | None:
    if settings.access_log == "none":
        return None
    return AccessLogOptions(logs / "access.log", settings.access_log, settings.access_log_bytes_max)


def read_address(text: str, what: str) -> Address:
    """HOST:PORT, an IPv6 address in brackets; raises OptionsError naming ``what``."""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]:")
        if not bracket or not _is_ipv6(host):
            raise OptionsError(f"{what}: {text!r} is not [IPv6 address]:PORT, such as [::1]:8000")
    else:
        host, colon, port = text.rpartition(":")
        if not colon or not host:
            raise OptionsError(f"{what}: {text!r} is not HOST:PORT, such as 127.0.0.1:8000")
        if ":" in host:
            raise OptionsError(f"{what}: {text!r}: an IPv6 address is written in brackets, such as [::1]:8000")
        if not (_is_ipv4(host) if re.fullmatch(r"[0-9.]+", host) else _HOST_NAME.fullmatch(host)):
            raise OptionsError(f"{what}: {host!r} is neither a host name nor an IP address")
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= PORT_MAX:
        raise OptionsError(f"{what}: {port!r} is not a port; ports are 1 to {PORT_MAX}")
    return Address(host, int(port))


def is_address(text: str) -> bool:
    """Whether it is an IP address, in no brackets."""
    return _is_ipv4(text) or _is_ipv6(text)


def _is_ipv4(text: str) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
