"""The arithmetic of quotas and the counter in memory, by a clock of the test's own."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from customers.errors import TooManyAttempts
from customers.rate_limits.addresses import subject_of_address
from customers.rate_limits.counters import InstanceCounter
from customers.rate_limits.quota import Quota


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def counter(clock: Clock) -> InstanceCounter:
    return InstanceCounter(clock, subjects_max=3)


def spent(counter: InstanceCounter, quota: Quota, times: int, subject: str = "ada") -> int:
    """How many of so many requests were let through."""
    passed = 0
    for _ in range(times):
        try:
            counter.spend(quota, subject)
        except TooManyAttempts:
            continue
        passed += 1
    return passed


@pytest.mark.parametrize("requests", [1, 2, 7, 60, 6_000])
def test_the_whole_quota_may_come_at_once_and_no_more(counter: InstanceCounter, requests: int) -> None:
    """Q1, and no rounding takes or gives one."""
    assert spent(counter, Quota("orders", requests), requests + 5) == requests


def test_each_request_is_given_back_after_its_share_of_the_window(counter: InstanceCounter, clock: Clock) -> None:
    quota = Quota("orders", 3, 60.0)
    assert spent(counter, quota, 4) == 3
    clock.now += 19.9
    assert spent(counter, quota, 1) == 0
    clock.now += 0.2
    assert spent(counter, quota, 2) == 1
    clock.now += 60
    assert spent(counter, quota, 9) == 3


def test_an_answer_says_what_is_left_and_a_refusal_how_long_to_wait(counter: InstanceCounter, clock: Clock) -> None:
    quota = Quota("orders", 3, 60.0)
    first = counter.spend(quota, "ada")
    assert (first.item(), first.policy_item()) == ('"orders";r=2;t=20', '"orders";q=3;w=60')
    counter.spend(quota, "ada")
    assert counter.spend(quota, "ada").remaining == 0
    with pytest.raises(TooManyAttempts, match="Wait 20 seconds") as caught:
        counter.spend(quota, "ada")
    clock.now += 0.5
    assert caught.value.retry_after_seconds == 20
    assert caught.value.standing is not None
    assert caught.value.standing.item() == '"orders";r=0;t=60'


@given(st.lists(st.floats(0, 30), min_size=1, max_size=60), st.integers(1, 9))
def test_waiting_as_long_as_one_is_told_is_always_enough(pauses: list[float], requests: int) -> None:
    clock = Clock()
    counter, quota = InstanceCounter(clock), Quota("orders", requests, 10.0)
    for pause in pauses:
        clock.now += pause
        try:
            counter.spend(quota, "ada")
        except TooManyAttempts as refused:
            clock.now += refused.retry_after_seconds
            assert counter.spend(quota, "ada").remaining >= 0


def test_a_refusal_is_not_counted_and_others_are_not_touched(counter: InstanceCounter, clock: Clock) -> None:
    quota = Quota("orders", 1, 60.0)
    assert spent(counter, quota, 100) == 1
    assert spent(counter, quota, 1, "eve") == 1
    assert spent(counter, Quota("log-ins", 1, 60.0), 1) == 1
    clock.now += 60.1
    assert spent(counter, quota, 1) == 1


def test_memory_is_bounded_and_what_is_whole_again_goes_first(counter: InstanceCounter, clock: Clock) -> None:
    """C2."""
    quota = Quota("orders", 2, 10.0)
    for number in range(3):
        counter.spend(quota, f"old-{number}")
        counter.spend(quota, f"old-{number}")
    clock.now += 20
    counter.spend(quota, "ada")
    assert len(counter._whole_at) == 1
    for number in range(50):
        counter.spend(quota, f"flood-{number}")
    assert len(counter._whole_at) == 3


def test_requests_at_the_same_moment_share_the_quota(clock: Clock) -> None:
    """C1."""
    counter, quota = InstanceCounter(clock), Quota("orders", 10, 60.0)
    passed: list[int] = []
    start = threading.Barrier(8)

    def run() -> None:
        start.wait(60)
        passed.append(spent(counter, quota, 5))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(passed) == 10


@pytest.mark.parametrize(
    ("address", "subject"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("no address", "no address"),
    ],
)
def test_one_household_is_one_sender(address: str, subject: str) -> None:
    assert subject_of_address(address) == subject
