"""The server set at work: weights, slow starts, backups, ejection, checks that hurry; by hand, second by second."""

from collections import Counter
from random import Random

import pytest

from load_balancer.balancing.members import Observe, OnError, Server, ServerOptions
from load_balancer.balancing.placements import SetRules
from load_balancer.balancing.server_set import ServerSet
from load_balancer.balancing.servers import Admin, CheckResult, Health, Intervals, Operation, Rules, Sign, interval

PASSED = CheckResult(Sign.PASSED, "fine", "L7OK", 200, 0.001)
AWAY = CheckResult(Sign.NOT_NOW, "its database is away", "L7STS", 503, 0.001)
FAILED = CheckResult(Sign.FAILED, "no answer", "L7TOUT", 0, 0.8)


TWO = Rules(fall=2, rise=2)


def set_of(algorithm: str = "roundrobin", rules: Rules = TWO, **lines: ServerOptions) -> ServerSet[Server]:
    """Servers by name, all UP at second 0."""
    servers: ServerSet[Server] = ServerSet(SetRules(algorithm, rules), Random(1))
    for name, options in lines.items():
        server = Server(name, options, 0.0)
        servers.add(server, 0.0, cold=False)
        servers.checked(server, PASSED, 0.0)
    return servers


def asked(servers: ServerSet[Server], count: int, *, held: bool = False) -> str:
    """Who gets the next requests, which end at once unless they are ``held``."""
    chosen = ""
    for number in range(count):
        ticket = (len(chosen), number, object())
        server = servers.assign(ticket)
        chosen += "-" if server is None else server.name
        if server is not None and not held:
            servers.leave(server, ticket)
    return chosen


def down(servers: ServerSet[Server], name: str, now: float) -> None:
    for _ in range(2):
        servers.checked(servers.servers[name], FAILED, now)
    assert servers.servers[name].health.operation is Operation.DOWN


def test_weights_are_shares_and_smooth() -> None:
    """H1: a heavy server among light ones does not get all its requests in a row."""
    servers = set_of(a=ServerOptions(weight=4), b=ServerOptions(), c=ServerOptions())
    assert asked(servers, 12) == "aabaac" * 2
    servers.set_options("a", ServerOptions(weight=0), 1.0)
    assert set(asked(servers, 6)) == {"b", "c"}


def test_those_that_are_away_are_asked_where_nobody_is_up() -> None:
    """G1: in turn, and not as long as there is a backup; never one that drains or is down."""
    servers = set_of(a=ServerOptions(), b=ServerOptions(), c=ServerOptions(), s=ServerOptions(backup=True))
    for name in "ab":
        servers.checked(servers.servers[name], AWAY, 1.0)
    assert asked(servers, 2) == "cc"
    servers.checked(servers.servers["c"], CheckResult(Sign.NOT_READY, "drains", "L7STS", 503, 0.001), 2.0)
    assert asked(servers, 2) == "ss"
    down(servers, "s", 3.0)
    assert asked(servers, 4) == "abab"
    servers.set_state("a", Admin.DRAIN, 4.0)
    assert asked(servers, 2) == "bb"
    servers.checked(servers.servers["c"], PASSED, 5.0)
    assert asked(servers, 2) == "cc"


def test_what_it_answers_while_it_is_away_is_not_held_against_it_when_it_is_back() -> None:
    line = ServerOptions(observe=Observe.LAYER7, error_limit=3, on_error=OnError.MARK_DOWN)
    servers = set_of(a=line, b=line)
    server = servers.servers["a"]
    servers.checked(server, AWAY, 1.0)
    for _ in range(3):
        servers.answered(server, 503, 1.5)
    servers.checked(server, PASSED, 2.0)
    servers.answered(server, 500, 2.5)
    assert server.health.operation is Operation.UP


def test_least_connections_follows_the_load_and_the_weight() -> None:
    servers = set_of("leastconn", a=ServerOptions(), b=ServerOptions(weight=3))
    assert Counter(asked(servers, 40, held=True)) == {"a": 10, "b": 30}
    idle = set_of("leastconn", a=ServerOptions(), b=ServerOptions(), c=ServerOptions())
    assert asked(idle, 6) == "abcabc"


def test_of_two_random_ones_the_less_busy_is_chosen() -> None:
    """Loads stay near each other: drawing once would leave them far apart. Seeded: the same every time."""
    servers = set_of("random", TWO, **{f"s{number}": ServerOptions() for number in range(20)})
    for _ in range(2_000):
        servers.assign(object())
    loads = [len(server.serving) for server in servers.servers.values()]
    assert max(loads) - min(loads) <= 8
    once = Counter(Random(1).choices(range(20), k=2_000)).values()
    assert max(once) - min(once) > 20  # the control
    weighted = set_of("random", a=ServerOptions(weight=3), b=ServerOptions())
    assert 700 <= Counter(asked(weighted, 1_000, held=True))["a"] <= 800


def test_a_server_that_is_back_gets_its_share_little_by_little() -> None:
    """M3, and G2 for its limit; at the start of the balancer there is no slow start."""
    line = ServerOptions(slowstart_seconds=10.0, weight=100, maxconn=10)
    servers = set_of(a=line, b=line)
    server = servers.servers["a"]
    assert (server.effective_weight, server.limit) == (10_000, 10)
    down(servers, "a", 1.0)
    servers.checked(server, PASSED, 5.0)
    servers.checked(server, PASSED, 5.0)
    seen = []
    for second in (5.0, 7.0, 10.0, 14.9, 15.0):
        servers.advance(second)
        row = servers.snapshot(second)[0]
        seen.append((row.effective_weight, row.limit, row.throttle_percent))
    assert seen == [(1, 1, 1), (20, 2, 20), (50, 5, 50), (99, 9, 99), (100, 10, None)]
    assert servers.rising == 0
    assert servers.snapshot(15.0)[0].down_seconds == 4.0


def test_a_server_that_is_added_later_starts_slowly_too() -> None:
    servers = set_of(a=ServerOptions())
    servers.add(Server("b", ServerOptions(slowstart_seconds=10.0), 1.0), 1.0)
    servers.checked(servers.servers["b"], PASSED, 2.0)
    servers.advance(3.0)
    assert Counter(asked(servers, 110))["b"] == 10


def test_backup_servers_serve_only_where_there_is_no_other() -> None:
    """G1."""
    servers = set_of(a=ServerOptions(), b=ServerOptions(backup=True), c=ServerOptions(backup=True))
    assert asked(servers, 2) == "aa"
    down(servers, "a", 1.0)
    assert asked(servers, 2) == "bb"
    servers.set_state("b", Admin.MAINT, 2.0)
    assert asked(servers, 2) == "cc"
    for _ in range(2):
        servers.checked(servers.servers["a"], PASSED, 3.0)
    assert asked(servers, 2) == "aa"


@pytest.mark.parametrize(
    ("action", "operation", "failures"),
    [
        (OnError.FASTINTER, Operation.UP, 0),
        (OnError.FAIL_CHECK, Operation.UP, 1),
        (OnError.SUDDEN_DEATH, Operation.UP, 2),
        (OnError.MARK_DOWN, Operation.DOWN, 1),
    ],
)
def test_errors_in_a_row_do_what_on_error_says_and_the_next_check_hurries(
    action: OnError, operation: Operation, failures: int
) -> None:
    line = ServerOptions(observe=Observe.LAYER7, error_limit=3, on_error=action)
    servers = set_of(rules=Rules(fall=3, rise=1), a=line, b=ServerOptions())
    server = servers.servers["a"]
    for status in (500, 502, 200, 500, 505, 500, 500):
        servers.answered(server, status, 1.0)
    assert not server.hurried
    servers.failed(server, "no answer", 1.0, connected=True)
    assert server.hurried
    assert (server.health.operation, server.health.failures) == (operation, failures)
    intervals = Intervals(inter=10.0, fast=1.0, down=5.0)
    assert interval(server.health, intervals, hurried=server.hurried) == 1.0
    servers.checked(server, PASSED, 2.0)
    assert server.health.eligible
    assert interval(server.health, intervals, hurried=server.hurried) == 10.0


def test_what_observe_looks_at() -> None:
    """By default nothing; layer4 at connections, layer7 at answers too. All are counted."""
    for observe, connected, held in [
        (Observe.NONE, False, 0),
        (Observe.LAYER4, False, 1),
        (Observe.LAYER4, True, 0),
        (Observe.LAYER7, True, 1),
    ]:
        servers = set_of(a=ServerOptions(observe=observe), b=ServerOptions())
        server = servers.servers["a"]
        servers.failed(server, "it failed", 1.0, connected=connected)
        assert server.errors_in_row == held
        assert (server.tally.connect_errors, server.tally.response_errors) == (int(not connected), int(connected))


def test_checks_come_fast_while_a_server_goes_up_or_down() -> None:
    servers = set_of(rules=Rules(fall=2, rise=2), a=ServerOptions())
    server = servers.servers["a"]
    intervals = Intervals(inter=10.0, fast=1.0, down=5.0)
    waits = [interval(server.health, intervals)]
    for result in (FAILED, FAILED, PASSED, PASSED):
        servers.checked(server, result, 1.0)
        waits.append(interval(server.health, intervals))
    assert waits == [10.0, 1.0, 5.0, 1.0, 10.0]
    assert (server.tally.failed_checks, server.tally.downs) == (2, 1)


def test_a_server_that_is_not_checked_is_up_whatever_is_seen() -> None:
    """S6."""
    servers = set_of(a=ServerOptions(check=False))
    server = servers.servers["a"]
    servers.observe(server, Sign.REFUSED, "connection refused", 1.0)
    assert server.health.eligible
    assert servers.set_options("a", ServerOptions(), 2.0) == []
    assert not server.health.eligible
    servers.checked(server, PASSED, 3.0)
    assert server.health == Health(Operation.UP, Admin.READY, 0, 1, 3.0, "fine", 3.0)


def test_names_are_unique_and_unknown_ones_are_refused() -> None:
    servers = set_of(a=ServerOptions())
    with pytest.raises(ValueError, match="'a' is there already"):
        servers.add(Server("a", ServerOptions(), 1.0), 1.0)
    with pytest.raises(KeyError):
        servers.remove("b", 1.0)
    with pytest.raises(KeyError):
        servers.set_state("b", Admin.DRAIN, 1.0)
    with pytest.raises(KeyError):
        servers.set_options("b", ServerOptions(), 1.0)
