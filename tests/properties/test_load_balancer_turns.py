"""Laws of the algorithms: whose turn it is, for any servers, weights and changes."""

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from load_balancer.balancing.algorithms import Algorithm, LeastConn, RoundRobin
from load_balancer.balancing.members import Server, ServerOptions
from load_balancer.balancing.rings import BEFORE_ALL, Ring
from load_balancer.balancing.shares import Shares

NAMES = [f"s{place}" for place in range(6)]
SOME = st.sets(st.sampled_from(NAMES), max_size=4)


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


def park(algorithm: Algorithm | Shares | Ring, server: Server, *, full: bool = True) -> None:
    """Tell once what has changed, as the server set does."""
    if server.parked is not full:
        server.parked = full
        (algorithm.park if full else algorithm.unpark)(server)


@given(
    weights=st.lists(st.sampled_from([1, 1, 2, 3, 4, 7]), min_size=2, max_size=8),
    steps=st.lists(st.one_of(st.integers(1, 150), st.none()), min_size=1, max_size=8),
)
def test_a_round_that_is_repeated_and_interrupted_keeps_every_share(
    weights: list[int], steps: list[int | None]
) -> None:
    """H1, C1 to C3: several rounds at a time; a change of state that concerns none of the weights changes no share."""
    servers = servers_of(weights)
    algorithm = RoundRobin()
    algorithm.rebuild(servers)
    total, number = sum(weights), 0
    got = dict.fromkeys(servers, 0)
    for step in steps:
        if step is None:
            algorithm.rebuild(servers)
        for _ in range(step or 0):
            chosen = algorithm.choose(())
            assert chosen is not None
            number += 1
            got[chosen] += 1
            assert all(abs(got[server] - number * server.weight / total) < 1 + 1e-6 for server in servers)


def test_a_round_is_worked_out_once_whatever_came_before_it() -> None:
    """C2: the list closes after the second round at the latest, and from then on nothing is worked out."""
    dice = Random(1)
    for _ in range(40):
        servers = servers_of([dice.choice([1, 2, 3, 5]) for _ in range(dice.randint(2, 20))])
        algorithm = RoundRobin()
        algorithm.rebuild(servers)
        for members in (servers, dice.sample(servers, k=dice.randint(1, len(servers))), servers):
            algorithm.rebuild(sorted(members, key=lambda server: server.order))
            for _ in range(dice.randint(0, 70)):
                algorithm.choose(())
        if len({server.weight for server in servers}) > 1:
            length = sum(server.weight for server in servers)
            turns = [algorithm.choose(()) for _ in range(4 * length)]
            assert algorithm._cycle._repeated == length
            assert turns[2 * length : 3 * length] == turns[3 * length :]


@given(
    count=st.integers(1, 6),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("choose"), SOME), st.tuples(st.sampled_from(["full", "free", "anew"]), SOME.map(sorted))
        ),
        max_size=60,
    ),
)
def test_a_ring_gives_turns_as_walking_round_it_does(count: int, steps: list[tuple[str, list[str]]]) -> None:
    """N1 to N3 and B4, against a walk from server to server."""
    servers = servers_of([1] * count)
    ring, members, behind = Ring(servers), servers, BEFORE_ALL
    for step, names in steps:
        named = [server for server in servers if server.name in names]
        if step == "choose":
            round_trip = sorted(members, key=lambda server: (server.order <= behind, server.order))
            free = [server for server in round_trip if not server.parked]
            expected = next((server for server in free if server.name not in names), free[0] if free else None)
            assert ring.choose(names) is expected
            behind = behind if expected is None else expected.order
        elif step == "anew":
            members = named
            behind = ring.behind
            ring = Ring(members, behind)
        else:
            for server in named:
                if server in members:
                    park(ring, server, full=step == "full")
        assert ring.free == sum(not server.parked for server in members)


class Observer:
    """Looks at all servers to find the least loaded one, and remembers since when each has been as it is."""

    def __init__(self, servers: list[Server], algorithm: LeastConn) -> None:
        self.servers, self.algorithm = servers, algorithm
        self.since = {server: server.order for server in servers}

    def changed(self, server: Server) -> None:
        self.since[server] = max(self.since.values()) + 1

    def choose(self, avoid: set[str]) -> None:
        chosen = self.algorithm.choose(avoid)
        free = [server for server in self.servers if not server.parked]
        assert chosen is min(free, key=lambda one: self._rank(one, avoid), default=None)
        if chosen is not None:
            chosen.serving.add(object())
            self.algorithm.loaded(chosen)
            self.changed(chosen)

    def _rank(self, server: Server, avoid: set[str]) -> tuple[bool, Fraction, int]:
        load = Fraction(len(server.serving), server.effective_weight)
        return (server.name in avoid, load, self.since[server])

    def leave(self, server: Server) -> None:
        if server.serving:
            server.serving.pop()
            if not server.parked:
                self.algorithm.loaded(server)
                self.changed(server)

    def park(self, server: Server, *, full: bool) -> None:
        if server.parked is not full:
            park(self.algorithm, server, full=full)
            self.changed(server)


@given(
    weights=st.lists(st.sampled_from([1, 1, 1, 2, 3]), min_size=1, max_size=6),
    steps=st.lists(st.tuples(st.sampled_from(["choose", "choose", "leave", "full", "free"]), SOME), max_size=80),
)
def test_least_connections_chooses_as_looking_at_all_servers_does(
    weights: list[int], steps: list[tuple[str, set[str]]]
) -> None:
    """The least load for its weight, and among equals whose load has been the same for longest; B3, B4."""
    servers, algorithm = servers_of(weights), LeastConn()
    algorithm.rebuild(servers)
    observer = Observer(servers, algorithm)
    for step, names in steps:
        if step == "choose":
            observer.choose(names)
            continue
        for server in servers:
            if server.name in names:
                observer.leave(server) if step == "leave" else observer.park(server, full=step == "full")
    assert sum(map(len, algorithm._buckets.values())) == sum(not server.parked for server in servers)


def test_who_waited_for_a_request_waits_on_when_others_come_and_go() -> None:
    """Else a server that flaps would send all requests to the first one. Weights that change count at once."""
    a, b, c = servers = servers_of([1, 1, 1])
    least = LeastConn()

    def turns(count: int) -> list[Server | None]:
        chosen = []
        for _ in range(count):
            server = least.choose(())
            chosen.append(server)
            if server is not None:
                least.loaded(server)
        return chosen

    least.rebuild(servers)
    assert turns(1) == [a]
    least.rebuild([a, c])
    assert turns(1) == [c]
    least.rebuild(servers)
    assert turns(4) == [a, c, b, a]
    for server, load in ((a, 2), (b, 1), (c, 2)):
        server.serving = set(range(load))
        least.loaded(server)
    assert turns(1) == [b]
    c.effective_weight = 300
    least.rebuild(servers)
    assert turns(1) == [c]


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
            if other in members:
                park(shares, other, full=dice.random() < 0.5)
        elif moment < 0.55:
            members = [stays, *(other for other in others if dice.random() < 0.7)]
            shares.rebuild(members)
        else:
            chosen = shares.choose(())
            assert chosen in members
            without = 0 if chosen is stays else without + 1
            assert without <= 2 * (sum(server.weight for server in servers) / stays.weight + len(servers))
            if chosen is not stays and dice.random() < 0.7:
                park(shares, chosen)


@pytest.mark.parametrize("seed", range(8))
def test_a_server_that_is_full_for_a_moment_loses_nothing_by_it(seed: int) -> None:
    """N2 and H3: full from its turn until before its next one, it gets what it gets without a limit."""
    dice = Random(seed)
    servers = servers_of([dice.choice([1, 2, 4, 20]) for _ in range(dice.randint(3, 30))])
    shares = Shares()
    shares.rebuild(servers)
    total = sum(server.weight for server in servers)
    got = dict.fromkeys(servers, 0)
    for number in range(1, 2_000):
        chosen = shares.choose()
        assert chosen is not None
        got[chosen] += 1
        park(shares, chosen)
        if number % 2:
            for server in servers:
                park(shares, server, full=False)
        assert all(abs(got[server] - number * server.weight / total) < 2 for server in servers)


def test_those_that_are_full_for_long_leave_their_turns_to_all_others_by_weight() -> None:
    """Else the one server of a weight that is left got the turns of all that are full."""
    servers = servers_of([1] * 10 + [2, 4])
    shares = Shares()
    shares.rebuild(servers)
    for server in servers[1:10]:
        park(shares, server)
    warm_up = [shares.choose() for _ in range(7)]
    assert servers[0] in warm_up
    got = dict.fromkeys(servers, 0)
    for number in range(1, 300):
        chosen = shares.choose()
        assert chosen is not None
        got[chosen] += 1
        for server in (servers[0], *servers[10:]):
            assert abs(got[server] - number * server.weight / 7) < 2


@pytest.mark.parametrize("way", ["away", "full", "full while others change"])
@pytest.mark.parametrize("weights", [[2, 3], [3, 5, 7], [7, 5, 5, 5]])
def test_who_leaves_right_behind_its_turn_and_comes_back_waits_as_if_it_had_stayed(
    weights: list[int], way: str
) -> None:
    """H3: the one server of its weight, after each of its turns; it gets its share and no more."""
    leaver, *others = servers = servers_of(weights)
    shares = Shares()
    shares.rebuild(servers)
    got = 0
    for _ in range(10 * sum(weights)):
        if shares.choose() is not leaver:
            continue
        got += 1
        for here in (False, True):
            if way != "away":
                park(shares, leaver, full=not here)
            if way != "full":
                shares.rebuild(servers if here or way != "away" else others)
    assert got == 10 * leaver.weight


def test_servers_that_fill_up_without_being_chosen_leave_nothing_behind() -> None:
    """As when all clients are bound: a server is full and free again and again, and its turn never comes."""
    servers = servers_of([1, 2])
    shares, least = Shares(), LeastConn()
    for algorithm in (shares, least):
        algorithm.rebuild(servers)
        for _ in range(2_000):
            park(algorithm, servers[0])
            park(algorithm, servers[0], full=False)
        assert algorithm.choose(()) in servers
    assert len(shares._early) < 100
    assert len(least._buckets) < 100


def test_loads_that_nobody_has_any_more_leave_nothing_behind() -> None:
    """As when requests of bound clients pile up and end, and the least loaded server stays what it is."""
    idle, busy = servers_of([1, 1])
    least = LeastConn()
    least.rebuild([idle, busy])
    for number in range(2_000):
        busy.serving.add(number)
        least.loaded(busy)
    assert len(least._buckets) == len(least._loads) < 100
    assert least.choose(()) is idle
