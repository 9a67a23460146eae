"""IPv6 from end to end: the listener, the servers, what they are told of the client, the hosts that it may ask for."""

import socket
from collections.abc import Iterator

import pytest

from load_balancer.options import Limits
from tests.load_balancer_world import World, world

GET = b"GET /a HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n"


def _ipv6_works() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(not _ipv6_works(), reason="this machine has no IPv6 loopback address")


@pytest.fixture(scope="module")
def over_ipv6() -> Iterator[World]:
    limits = Limits(connections_per_address_max=2, exempt_networks=())
    with world(1, host="::1", limits=limits, hosts=frozenset({b"[::1]:8000"}), forwarded=True) as running:
        yield running


def test_servers_are_told_the_clients_address_as_it_is_written(over_ipv6: World) -> None:
    """X-Forwarded-For has no brackets, Host has, and Forwarded quotes (RFC 7239 6)."""
    echoed = over_ipv6.ask(GET).echoed
    assert b'\r\nForwarded: for="[::1]";proto=http\r\n' in echoed
    assert b"\r\nX-Forwarded-For: ::1\r\n" in echoed
    assert b"\r\nHost: [::1]:8000\r\n" in echoed
    assert b"\r\nX-Forwarded-Host: [::1]:8000\r\n" in echoed
    assert over_ipv6.balancer.backends["s1"].address.host == "::1"


@pytest.mark.parametrize(
    ("host", "status"),
    [(b"[::1]", 421), (b"[::1", 400), (b"[:::1]", 400), (b"[1.2.3.4]", 400), (b"[fe80::1%25eth0]", 400), (b"::1", 400)],
)
def test_a_host_in_brackets_is_an_ipv6_address_or_refused(over_ipv6: World, host: bytes, status: int) -> None:
    assert over_ipv6.ask(GET.replace(b"[::1]:8000", host)).status == status


def test_the_limit_of_an_address_holds(over_ipv6: World) -> None:
    over_ipv6.until(lambda: not over_ipv6.balancer.clients, "earlier clients are gone")
    with over_ipv6.connect() as first, over_ipv6.connect() as second, over_ipv6.connect() as third:
        assert third.answer().status == 429
        for client in (first, second):
            client.send(GET)
            assert client.answer().status == 200
