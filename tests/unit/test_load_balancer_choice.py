"""States of servers, whose turn it is, and what is sent again: decisions without a socket."""

from collections.abc import Collection

import pytest

from load_balancer.balancing.algorithms import RoundRobin
from load_balancer.balancing.members import Server, ServerOptions
from load_balancer.balancing.retries import (
    RETRIES,
    WINDOW_SECONDS,
    Progress,
    RetryBudget,
    RetryRules,
    Step,
    next_step,
)
from load_balancer.balancing.servers import Admin, Health, Operation, Rules, Sign, administer, initial, observe

RULES = Rules(fall=3, rise=2)


def seen(*signs: Sign, health: Health | None = None) -> Health:
    """A server's state after these signs, one a second."""
    state = initial(0.0) if health is None else health
    for second, sign in enumerate(signs):
        state = observe(state, sign, sign.value, RULES, float(second))
    return state


UP = seen(Sign.PASSED)


def test_a_server_gets_no_request_before_its_first_good_check_and_all_after_it() -> None:
    """S1, S5."""
    assert not initial(0.0).eligible
    assert UP.eligible


def test_fall_failures_in_a_row_take_a_server_down_and_rise_good_checks_bring_it_up() -> None:
    """S2, S4."""
    assert seen(Sign.FAILED, Sign.FAILED, health=UP).eligible
    assert seen(Sign.FAILED, Sign.FAILED, Sign.PASSED, Sign.FAILED, Sign.FAILED, health=UP).eligible
    down = seen(Sign.FAILED, Sign.FAILED, Sign.FAILED, health=UP)
    assert down.operation is Operation.DOWN
    assert not seen(Sign.PASSED, health=down).eligible
    assert not seen(Sign.PASSED, Sign.FAILED, Sign.PASSED, health=down).eligible
    assert seen(Sign.PASSED, Sign.PASSED, health=down).eligible


def test_a_refused_connection_ejects_at_once() -> None:
    """S3."""
    assert seen(Sign.REFUSED, health=UP).operation is Operation.DOWN


def test_a_server_that_asks_for_no_requests_gets_none_and_is_back_with_its_own_word() -> None:
    """S3."""
    draining = seen(Sign.NOT_READY, health=UP)
    assert draining.operation is Operation.NOLB
    assert seen(Sign.PASSED, health=draining).eligible


def test_a_server_that_cannot_work_for_now_is_there_for_want_of_others_and_back_with_its_own_word() -> None:
    """S1, S7."""
    away = seen(Sign.NOT_NOW, health=UP)
    assert (away.operation, away.eligible, away.eligible_at_last) == (Operation.AWAY, False, True)
    assert seen(Sign.PASSED, health=away).eligible
    assert not seen(Sign.FAILED, health=away).eligible_at_last
    assert not seen(Sign.NOT_READY, health=away).eligible_at_last


def test_the_time_and_the_reason_of_a_change_are_kept() -> None:
    changed = observe(UP, Sign.REFUSED, "connection refused", RULES, 42.0)
    assert (changed.since, changed.reason) == (42.0, "connection refused")


def test_an_operator_can_drain_and_take_out_a_server() -> None:
    drained = administer(UP, Admin.DRAIN, 1.0)
    assert not drained.eligible
    assert drained.word == "DRAIN"
    assert administer(drained, Admin.READY, 2.0).eligible
    back = administer(administer(UP, Admin.MAINT, 1.0), Admin.READY, 2.0)
    assert not back.eligible  # it has to pass a check first
    assert seen(Sign.PASSED, health=back).eligible


def rotation(names: str) -> tuple[RoundRobin, dict[str, Server]]:
    """Round robin over servers that are named by letters."""
    servers = {name: Server(name, ServerOptions(), 0.0, order) for order, name in enumerate(names)}
    algorithm = RoundRobin()
    algorithm.rebuild(list(servers.values()))
    return algorithm, servers


def turns(algorithm: RoundRobin, count: int, avoid: Collection[str] = ()) -> str:
    chosen = [algorithm.choose(avoid) for _ in range(count)]
    return "".join("-" if server is None else server.name for server in chosen)


def test_round_robin_is_exact() -> None:
    algorithm, _ = rotation("abc")
    assert turns(algorithm, 7) == "abcabca"


def test_the_turn_goes_on_when_servers_come_and_go() -> None:
    algorithm, servers = rotation("abcd")

    def keep(names: str) -> None:
        algorithm.rebuild([servers[name] for name in names])

    assert turns(algorithm, 1) == "a"
    keep("acd")
    assert turns(algorithm, 1) == "c"
    keep("abd")
    assert turns(algorithm, 4) == "dabd"
    keep("")
    assert turns(algorithm, 1) == "-"
    keep("abcd")
    assert turns(algorithm, 1) == "a"


def test_a_server_to_avoid_is_chosen_only_where_there_is_no_other() -> None:
    """B4."""
    algorithm, _ = rotation("abc")
    assert turns(algorithm, 1, {"a"}) == "b"
    assert turns(algorithm, 1, {"c", "a"}) == "b"
    assert turns(algorithm, 1, {"a", "b", "c"}) == "c"


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"])
@pytest.mark.parametrize("progress", list(Progress))
@pytest.mark.parametrize("resends", [0, 1])
@pytest.mark.parametrize("affordable", [True, False])
def test_the_whole_table_of_repeats(method: bytes, progress: Progress, resends: int, affordable: bool) -> None:
    """Y1, Y2, Y3."""
    step = next_step(method, progress, attempts=0, resends=resends, affordable=affordable)
    repeatable = method in (b"GET", b"HEAD")
    match progress:
        case Progress.NOT_SENT:
            assert step is Step.RESEND
        case Progress.SENT:
            assert (step is Step.RESEND) == (repeatable and resends == 0 and affordable)
        case Progress.ANSWERED:
            assert step is Step.BAD_GATEWAY
        case Progress.TIMED_OUT:
            assert step is Step.GATEWAY_TIMEOUT


def test_connecting_is_tried_a_few_times_and_then_nothing_has_happened() -> None:
    """Y1. What was sent before, and lost, is not called undone."""
    tried = RETRIES + 1
    assert next_step(b"POST", Progress.NOT_SENT, attempts=RETRIES, resends=0, affordable=True) is Step.RESEND
    assert next_step(b"POST", Progress.NOT_SENT, attempts=tried, resends=0, affordable=True) is Step.UNAVAILABLE
    assert next_step(b"GET", Progress.NOT_SENT, attempts=tried, resends=1, affordable=True) is Step.BAD_GATEWAY


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_repeats_are_a_share_of_the_requests_in_any_window_and_a_few_a_second(share: float) -> None:
    """Y4: every answer is lost, at a rate that rises and falls; no repeat is one too many for the window that it ends."""
    rules = RetryRules(budget_share=share, budget_per_second_min=2)
    budget = RetryBudget(rules)
    seconds: list[tuple[int, int]] = []
    for second in range(60):
        budget.advance(float(second))
        before, repeats = seconds[1 - WINDOW_SECONDS :], 0
        requests = 500 if second % 20 < 10 else 7
        for came in range(1, requests + 1):
            budget.deposit()
            if budget.affordable:
                budget.withdraw()
                repeats += 1
                allowed = share * (came + sum(asked for asked, _ in before)) + 2 * WINDOW_SECONDS
                assert repeats + sum(got for _, got in before) <= allowed
        seconds.append((requests, repeats))
    assert sum(repeats for _, repeats in seconds) >= 60 * 2


def test_a_budget_is_whole_again_after_a_window_without_requests() -> None:
    budget = RetryBudget(RetryRules(budget_share=0.2, budget_per_second_min=1))
    while budget.affordable:
        budget.withdraw()
    budget.advance(WINDOW_SECONDS - 1.0)
    assert not budget.affordable
    budget.advance(WINDOW_SECONDS + 0.0)
    assert budget.affordable
