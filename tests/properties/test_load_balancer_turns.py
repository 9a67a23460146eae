"""Laws of the algorithms: whose turn it is, for any servers, weights and changes."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_balancer.balancing.algorithms import LeastConn, RoundRobin
from load_balancer.balancing.members import Server, ServerOptions
from load_balancer.balancing.shares import Shares


def servers_of(weights: list[int]) -> list[Server]:
    return [Server(f"s{place}", ServerOptions(weight=weight), 0.0, place) for place, weight in enumerate(weights)]


@given(
    count=st.integers(min_value=1, max_value=6),
    steps=st.lists(st.one_of(st.none(), st.sets(st.integers(min_value=0, max_value=5))), max_size=60),
)
def test_between_two_requests_to_one_server_every_other_ready_one_gets_one(
    count: int, steps: list[set[int] | None]
) -> None:
    """I13: over every stretch without a change of state, any two ready servers differ by at most one request."""
    servers = servers_of([1] * count)
    ready = servers
    algorithm = RoundRobin()
    algorithm.rebuild(ready)
    got = dict.fromkeys(servers, 0)
    for step in steps:
        if step is None:
            chosen = algorithm.choose(())
            assert (chosen in ready) if ready else chosen is None
            if chosen is not None:
                got[chosen] += 1
            assert not ready or max(got[server] for server in ready) - min(got[server] for server in ready) <= 1
        else:
            ready = [server for server in servers if server.order in step]
            algorithm.rebuild(ready)
            got = dict.fromkeys(servers, 0)


@given(weights=st.lists(st.integers(min_value=1, max_value=256), min_size=1, max_size=12), count=st.integers(1, 300))
def test_each_server_gets_its_share_of_every_stretch_to_within_one_request(weights: list[int], count: int) -> None:
    """H1, and exactly its weight over a whole round."""
    servers = servers_of(weights)
    algorithm = RoundRobin()
    algorithm.rebuild(servers)
    total = sum(weights)
    got = dict.fromkeys(servers, 0)
    for number in range(1, count + 1):
        chosen = algorithm.choose(())
        assert chosen is not None
        got[chosen] += 1
        assert all(abs(got[server] - number * server.weight / total) < 1 + 1e-6 for server in servers)


@pytest.mark.parametrize("seed", range(12))
def test_a_server_that_stays_is_never_left_out_however_others_come_and_go(seed: int) -> None:
    """H2: others are full after nearly every request, or leave and come back all together."""
    dice = Random(seed)
    servers = servers_of([dice.choice([1, 1, 2, 5, 20]) for _ in range(dice.randint(2, 8))])
    stays, others = servers[0], servers[1:]
    shares = Shares()
    shares.rebuild(servers)
    members, without = servers, 0
    for _ in range(1_500):
        moment = dice.random()
        if moment < 0.5:
            other = dice.choice(others)
            if dice.random() < 0.5:
                shares.park(other)
            elif other in members:
                shares.unpark(other)
        elif moment < 0.55:
            members = [stays, *(other for other in others if dice.random() < 0.7)]
            shares.rebuild(members)
        else:
            chosen = shares.choose(())
            assert chosen in members
            without = 0 if chosen is stays else without + 1
            assert without <= 2 * (sum(server.weight for server in servers) / stays.weight + len(servers))
            if chosen is not stays and dice.random() < 0.7:
                shares.park(chosen)


def test_servers_that_fill_up_without_being_chosen_leave_nothing_behind() -> None:
    """As when all clients are bound: a server is full and free again and again, and its turn never comes."""
    servers = servers_of([1, 2])
    shares, least = Shares(), LeastConn()
    for algorithm in (shares, least):
        algorithm.rebuild(servers)
        for _ in range(2_000):
            algorithm.park(servers[0])
            algorithm.unpark(servers[0])
        assert algorithm.choose(()) in servers
    assert len(shares._early) < 100
    assert len(least._heap) < 100
