"""Several processes as one: figures that are put together, sockets that are dealt out (F1 to F3, W1, K1)."""

import pickle
import socket
import time
from collections.abc import Callable

import pytest

from load_balancer.balancing.members import Server, ServerOptions, row
from load_balancer.balancing.servers import Rules
from load_balancer.options import Address, Options, ServerAddress
from load_balancer.stats.counters import Own, Traffic
from load_balancer.stats.figures import AccessLogFigures, Figures, ServerFigures, ServerRates
from load_balancer.stats.haproxy_csv import haproxy_csv
from load_balancer.stats.page import stats_page
from load_balancer.stats.prometheus import render
from load_balancer.stats.rates import Rate
from load_balancer.workers.group import share_of_one, sockets_for
from load_balancer.workers.merging import ended, merged


def figures(requests: int, under_way: int = 0, failures: int = 0) -> Figures:
    server = Server("a", ServerOptions(), 0.0)
    server.serving = {object() for _ in range(under_way)}
    traffic = Traffic()
    traffic.requests = requests
    traffic.failures["no answer"] = failures
    for _ in range(requests):
        traffic.answered(200, 0.002, 100)
    own = Own()
    own.connections = requests
    own.replies[404] = requests
    rates = ServerRates(0.0)
    rates.requests.now = float(requests)
    rates.time.seconds = requests / 1000
    rate = Rate(0.0)
    rate.now = float(requests)
    return Figures(
        at=1.0, uptime_seconds=1.0, draining=False, algorithm="roundrobin",
        servers=(ServerFigures(row(server, 1.0, Rules(2, 1)), "127.0.0.1:1", traffic, rates, under_way),),
        own=own, connections=under_way, tunnels=0, connections_limit=10, waiting=under_way, waiting_max=under_way,
        requests=requests, connection_rate=rate, request_rate=rate, check_rise=1, check_fall=2,
        access_log=AccessLogFigures(requests, 0), events=(), transitions={},
    )  # fmt: skip


def test_counts_and_what_is_under_way_are_sums() -> None:
    """F1, F2."""
    whole = merged(figures(0), [figures(3, 1, failures=2), figures(5, 2)])
    (server,) = whole.servers
    assert (server.traffic.requests, server.traffic.classes[2], sum(server.traffic.buckets)) == (8, 8, 8)
    assert (server.traffic.bytes_out, server.traffic.failures["no answer"]) == (800, 2)
    assert (server.row.serving, server.idle, whole.connections, whole.waiting) == (3, 3, 3, 3)
    assert (whole.own.connections, whole.own.replies[404], whole.requests) == (8, 8, 8)
    assert (whole.request_rate.now, whole.connections_limit) == (8.0, 20)
    assert server.rates.time.seconds == pytest.approx((3 * 0.003 + 5 * 0.005) / 8)
    assert whole.access_log == AccessLogFigures(8, 0)


def test_of_a_process_that_has_ended_its_counters_stay() -> None:
    """F1, F2."""
    whole = merged(figures(0), [ended(figures(3, 1)), figures(5, 2)])
    assert (whole.servers[0].traffic.requests, whole.own.connections) == (8, 8)
    assert (whole.servers[0].row.serving, whole.connections, whole.request_rate.now) == (2, 2, 5.0)
    assert whole.connections_limit == 10


def test_mean_times_of_idle_processes_are_shown_while_no_other_has_any() -> None:
    idle = figures(0)
    idle.servers[0].rates.time.seconds = 0.004
    assert merged(figures(0), [idle, figures(0)]).servers[0].rates.time.seconds == pytest.approx(0.004)


def test_a_server_that_only_some_know_is_shown_as_they_know_it() -> None:
    """One was just added, or just removed."""
    assert merged(figures(0), [figures(5)._replace(servers=())]).servers[0].traffic.requests == 0
    assert merged(figures(0)._replace(servers=()), [figures(5)]).servers == ()


@pytest.mark.parametrize("tell", [render, haproxy_csv, lambda whole: stats_page(whole, still=True)])
def test_every_page_can_be_made_of_figures_that_were_sent(tell: Callable[[Figures], str]) -> None:
    sent: Figures = pickle.loads(pickle.dumps(merged(figures(0), [figures(3)])))
    assert tell(sent) == tell(merged(figures(0), [figures(3)]))


def test_a_worker_gets_its_part_of_the_connections_and_no_operators() -> None:
    server = ServerAddress("a", Address("127.0.0.1", 1))
    options = Options(Address("127.0.0.1", 1), (), admin=Address("127.0.0.1", 2), connections_max=100, workers=3)
    mine = share_of_one(options, (server,), 3)
    assert (mine.connections_max, mine.admin, mine.servers, mine.workers) == (34, None, (server,), 1)


def listening(port: int = 0) -> socket.socket:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    one.bind(("127.0.0.1", port))
    one.listen(100)
    return one


def test_every_socket_is_dealt_to_some_worker() -> None:
    """K3: more were inherited than there are workers now."""
    sockets = [listening() for _ in range(5)]
    dealt = sockets_for(2, sockets)
    assert sorted(len(some) for some in dealt) == [2, 3]
    assert {one.fileno() for some in dealt for one in some} == {one.fileno() for one in sockets}
    for one in sockets:
        one.close()


@pytest.mark.parametrize("held", [True, False])
def test_who_waits_at_a_socket_survives_its_process_only_if_somebody_else_holds_it(held: bool) -> None:
    """K1, W1, and the control: without it the kernel ends those who wait, though another socket listens beside it."""
    one = listening()
    other = listening(one.getsockname()[1])
    clients = [socket.create_connection(one.getsockname(), 5.0) for _ in range(20)]
    holder = one.dup() if held else None
    one.close()  # what a kill -9 does to a process' sockets
    if holder is not None:
        holder.setblocking(False)
    answered = 0
    for listener in (other, holder):
        answered += 0 if listener is None else _accepted(listener)
    assert (answered == 20) is held
    for client in clients:
        client.close()
    other.close()


def _accepted(listener: socket.socket) -> int:
    listener.settimeout(0.05)
    count, deadline = 0, time.monotonic() + 2.0
    while time.monotonic() < deadline:
        try:
            listener.accept()[0].close()
        except TimeoutError:
            break
        count += 1
    return count
