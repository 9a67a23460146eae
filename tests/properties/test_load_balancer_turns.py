"""Laws of the algorithms: whose turn it is, for any servers, weights and changes."""

from hypothesis import given
from hypothesis import strategies as st

from load_balancer.balancing.algorithms import RoundRobin
from load_balancer.balancing.members import Server, ServerOptions


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
