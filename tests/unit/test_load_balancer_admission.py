"""Who may connect: all together, and from one place."""

import ipaddress

import pytest

from load_balancer.options import LOOPBACK
from load_balancer.proxy.admission import REFUSALS_MAX, REFUSALS_PER_PLACE_MAX, Admission, Verdict


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_a_place_is_an_ipv4_address_or_an_ipv6_network_of_64_bits(one: str, other: str, same: bool) -> None:
    admission = Admission(100, 10, ())
    assert (admission.source(one).place == admission.source(other).place) is same


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("192.0.2.1", b"192.0.2.1"),
        ("::ffff:192.0.2.1", b"192.0.2.1"),
        ("2001:DB8:0:0::1", b"2001:db8::1"),
        ("fe80::1%eth0", b"fe80::1"),
    ],
)
def test_an_address_is_told_in_one_writing_and_without_a_zone(host: str, shown: bytes) -> None:
    assert Admission(100, 0, ()).source(host).address == shown


def test_a_place_has_its_limit_and_what_leaves_makes_room() -> None:
    """M1, M3."""
    admission = Admission(1_000, 2, ())
    mine, other = admission.source("192.0.2.1"), admission.source("192.0.2.2")
    assert [admission.enter(mine, 1) for _ in range(3)] == [Verdict.WELCOME] * 2 + [Verdict.TOO_MANY_FROM_PLACE]
    assert admission.enter(other, 1) is Verdict.WELCOME
    for _ in range(2):
        admission.leave(mine)
    assert admission.enter(mine, 1) is Verdict.WELCOME
    for _ in range(2):
        admission.leave(mine)
    admission.leave(other)
    assert admission.places == 0


def test_who_is_far_beyond_a_limit_is_not_even_told() -> None:
    """M3."""
    admission = Admission(10, 2, ())
    source = admission.source("192.0.2.1")
    verdicts = [admission.enter(source, 1) for _ in range(2 + REFUSALS_PER_PLACE_MAX + 1)]
    assert verdicts[-2:] == [Verdict.TOO_MANY_FROM_PLACE, Verdict.CLOSE]
    elsewhere = Admission(10, 0, ())
    verdicts = [
        elsewhere.enter(elsewhere.source("192.0.2.1"), count)
        for count in (10, 11, 10 + REFUSALS_MAX, 11 + REFUSALS_MAX)
    ]
    assert verdicts == [Verdict.WELCOME, Verdict.TOO_MANY, Verdict.TOO_MANY, Verdict.CLOSE]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1", "198.51.100.7"])
def test_exempt_networks_have_no_limit_of_their_own(host: str) -> None:
    """M2; the control: without the exemption there is one."""
    exempt = (*LOOPBACK, ipaddress.ip_network("198.51.100.0/24"))
    for networks, counted in ((exempt, False), ((), True)):
        admission = Admission(1_000, 1, networks)
        source = admission.source(host)
        assert (source.place is not None) is counted
        assert [admission.enter(source, 1) for _ in range(2)][1] is (
            Verdict.TOO_MANY_FROM_PLACE if counted else Verdict.WELCOME
        )
