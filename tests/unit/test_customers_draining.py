"""When an instance that is to stop may stop."""

import pytest

from customers.serving.draining import Draining, DrainLimits

LIMITS = DrainLimits(seconds_max=5.0, quiet_seconds=1.8, refusals_wanted=2)


@pytest.fixture
def draining() -> Draining:
    return Draining(LIMITS)


def test_it_serves_until_told_otherwise(draining: Draining) -> None:
    assert draining.readiness_asked(now=0.0)
    assert not draining.is_draining
    assert not draining.may_stop(now=100.0, in_flight=0)


def test_it_stops_once_the_load_balancer_has_seen_enough_refusals(draining: Draining) -> None:
    """G1, G2."""
    draining.readiness_asked(now=9.5)
    draining.begin(now=10.0)
    assert not draining.may_stop(now=10.1, in_flight=0)
    assert not draining.readiness_asked(now=10.5)
    assert not draining.may_stop(now=10.6, in_flight=0)
    assert not draining.readiness_asked(now=11.5)
    assert not draining.may_stop(now=11.6, in_flight=1)
    assert draining.may_stop(now=11.7, in_flight=0)


def test_it_stops_at_once_when_nobody_asks(draining: Draining) -> None:
    """G2: there is no load balancer that has to be told."""
    draining.begin(now=10.0)
    assert draining.may_stop(now=10.0, in_flight=0)


def test_it_stops_soon_after_the_load_balancer_has_gone(draining: Draining) -> None:
    """G2: the whole system stops, the load balancer first."""
    draining.readiness_asked(now=9.0)
    draining.begin(now=10.0)
    assert not draining.may_stop(now=10.7, in_flight=0)
    assert draining.may_stop(now=10.9, in_flight=0)


def test_it_does_not_wait_for_ever(draining: Draining) -> None:
    """G3."""
    draining.begin(now=10.0)
    assert not draining.may_stop(now=14.9, in_flight=1)
    assert draining.may_stop(now=15.0, in_flight=1)


def test_a_second_signal_does_not_start_the_drain_again(draining: Draining) -> None:
    draining.begin(now=10.0)
    draining.begin(now=14.0)
    assert draining.may_stop(now=15.0, in_flight=1)
