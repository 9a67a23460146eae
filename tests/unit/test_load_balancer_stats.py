"""The figures as a page, as HAProxy's CSV and as metrics: the same numbers everywhere, words beside colours."""

import csv
import io
import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from load_balancer.balancing.members import Server, ServerOptions, row
from load_balancer.balancing.servers import Admin, CheckResult, Rules, Sign, administer, observe
from load_balancer.stats.counters import Own, Traffic
from load_balancer.stats.events import EVENTS_KEPT, Event, Events
from load_balancer.stats.figures import AccessLogFigures, Figures, ServerFigures, ServerRates
from load_balancer.stats.haproxy_csv import HEADER, haproxy_csv, status_word
from load_balancer.stats.page import count, duration, size, stats_page
from load_balancer.stats.pages import page
from load_balancer.stats.prometheus import render
from load_balancer.stats.rates import MeanTime, Rate

RULES = Rules(fall=2, rise=2)
NOW = 100.0


def server_figures(name: str, signs: list[Sign], admin: Admin = Admin.READY, **options: object) -> ServerFigures:
    server = Server(name, ServerOptions(**options), 0.0)  # type: ignore[arg-type]
    for sign in signs:
        server.health = observe(server.health, sign, f"because of {sign.value}", RULES, 40.0)
        server.check = CheckResult(sign, "why", "L7OK" if sign is Sign.PASSED else "L7STS", 200, 0.0042)
    server.health = administer(server.health, admin, 50.0)
    server.in_use = server.usable
    traffic, rates = Traffic(), ServerRates(0.0)
    for _ in range(7):
        traffic.requests += 1
        traffic.answered(200, 0.010, 1_000)
    traffic.answered(503, 0.010, 1_000)
    traffic.bytes_in, traffic.connections = 4_321, 2
    traffic.failures["answer cut off"] = 1
    rates.look(2.0, traffic)
    return ServerFigures(row(server, NOW, RULES), "127.0.0.1:1", traffic, rates, 3)


def figures_of(*servers: ServerFigures, events: tuple[Event, ...] = ()) -> Figures:
    own = Own()
    own.connections, own.connections_most, own.connections_refused = 12, 9, 1
    own.tunnels = 3
    own.replies.update({404: 2, 400: 3, 503: 1})
    rate = Rate(0.0)
    rate.look(2.0, 50)
    return Figures(
        at=1_700_000_000.5, uptime_seconds=NOW, draining=False, algorithm="roundrobin", servers=servers, own=own, tunnels=2,
        connections=5,
        connections_limit=8_000, waiting=0, waiting_max=4, requests=14, connection_rate=rate, request_rate=rate, check_rise=2,
        check_fall=2, access_log=AccessLogFigures(10, 2), events=events, transitions={("web-1", "UP"): 1},
    )  # fmt: skip


UP, FALLING = [Sign.PASSED], [Sign.PASSED, Sign.FAILED]
FIGURES = figures_of(
    server_figures("web-1", UP, weight=3, maxconn=20),
    server_figures("web-2", FALLING, backup=True),
    server_figures("web-3", UP, Admin.DRAIN),
)


def rows_of(text: str) -> dict[str, dict[str, str]]:
    """As a program that reads HAProxy's CSV does it."""
    return {line["svname"]: line for line in csv.DictReader(io.StringIO(text.removeprefix("# ")))}


def test_the_csv_has_haproxys_columns_and_the_numbers() -> None:
    text = haproxy_csv(FIGURES)
    assert text.startswith(f"{HEADER}\n")
    assert all(line.endswith(",") for line in text.splitlines())
    rows = rows_of(text)
    assert list(rows) == ["FRONTEND", "web-1", "web-2", "web-3", "BACKEND"]
    web = rows["web-1"]
    told = {
        name: web[name]
        for name in ("pxname", "status", "weight", "slim", "stot", "bin", "bout", "hrsp_2xx", "hrsp_5xx")
    }
    assert told == {
        "pxname": "servers", "status": "UP", "weight": "3", "slim": "20", "stot": "7", "bin": "4321", "bout": "8000",
        "hrsp_2xx": "7", "hrsp_5xx": "1",
    }  # fmt: skip
    assert (web["check_status"], web["check_code"], web["check_duration"]) == ("L7OK", "200", "4")
    assert (web["type"], web["act"], web["bck"], web["srv_abrt"], web["ttime"]) == ("2", "1", "0", "1", "10")
    assert (rows["web-2"]["status"], rows["web-2"]["bck"], rows["web-3"]["status"]) == ("UP 1/2", "1", "DRAIN")
    assert (rows["FRONTEND"]["status"], rows["FRONTEND"]["scur"], rows["FRONTEND"]["smax"]) == ("OPEN", "5", "9")
    assert (rows["FRONTEND"]["dreq"], rows["FRONTEND"]["ereq"], rows["FRONTEND"]["rate"]) == ("2", "3", "25")
    assert (rows["BACKEND"]["status"], rows["BACKEND"]["stot"], rows["BACKEND"]["act"]) == ("UP", "21", "1")


@pytest.mark.parametrize(
    ("signs", "word"),
    [
        ([], "DOWN"),
        ([Sign.PASSED], "UP"),
        ([Sign.PASSED, Sign.FAILED], "UP 1/2"),
        ([Sign.PASSED, Sign.FAILED, Sign.FAILED], "DOWN"),
        ([Sign.PASSED, Sign.FAILED, Sign.FAILED, Sign.PASSED], "DOWN 1/2"),
        ([Sign.NOT_READY], "NOLB"),
        ([Sign.NOT_NOW], "AWAY"),
    ],
)
def test_states_are_told_in_haproxys_words(signs: list[Sign], word: str) -> None:
    assert status_word(server_figures("a", signs).row, RULES.rise, RULES.fall) == word


def test_where_all_are_away_the_csv_says_so_in_haproxys_words() -> None:
    """They get requests, but who watches a backend of HAProxy's waits for its DOWN."""
    away = server_figures("web-1", [Sign.NOT_NOW])
    all_away = figures_of(away._replace(row=away.row._replace(in_use=True)))
    rows = rows_of(haproxy_csv(all_away))
    assert (rows["web-1"]["status"], rows["BACKEND"]["status"], rows["BACKEND"]["act"]) == ("NOLB", "DOWN", "0")
    assert stats_page(all_away, still=True).count("</b>AWAY</span>") == 3  # the server, all servers, the legend


def test_no_server_at_all_is_told_too() -> None:
    nobody = figures_of()
    assert rows_of(haproxy_csv(nobody))["BACKEND"]["status"] == "DOWN"
    assert "0 of 0 ready" in stats_page(nobody, still=True)
    assert render(nobody)


def test_the_page_says_states_in_words_and_loads_itself_anew_without_a_script() -> None:
    """P1, P2."""
    html = stats_page(FIGURES, still=False)
    assert '<meta http-equiv="refresh" content="5">' in html
    assert "<script" not in html
    assert "http-equiv" not in stats_page(FIGURES, still=True)
    for word in ("OPEN", "UP", "UP 1/2", "DRAIN"):
        assert re.search(rf'<span class="state \w+"><b aria-hidden="true">.</b>{word}</span>', html), word
    body = html.partition("<tbody>")[2].partition("</tbody>")[0]
    assert len({row.count("<td") for row in body.split("</tr>")[:-1]}) == 1
    assert html.count('<th scope="row">') == 5


def test_whatever_a_reason_holds_is_text() -> None:
    """P3."""
    event = Event(1_700_000_000.0, "<b>", "UP", "DOWN", '<script>alert("x")</script>', 1, 2)
    html = stats_page(figures_of(server_figures("web-1", UP), events=(event,)), still=True)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "22:13:20" in html


def test_the_metrics_are_valid_and_say_the_same() -> None:
    families = {family.name: family for family in text_string_to_metric_families(render(FIGURES))}
    values = {
        (sample.name, sample.labels.get("server"), sample.labels.get("code")): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert values["load_balancer_server_requests_total", "web-1", None] == 7
    assert values["load_balancer_responses_total", "web-1", "5xx"] == 1
    assert values["load_balancer_server_transitions_total", "web-1", None] == 1
    assert values["load_balancer_access_log_dropped_total", None, None] == 2
    assert values["load_balancer_replies_total", None, "404"] == 2
    assert values["load_balancer_server_received_bytes_total", "web-1", None] == 8_000


def test_figures_are_taken_only_for_a_page_of_ours() -> None:
    def fail() -> Figures:
        raise AssertionError

    assert page("/nothing", fail) is None
    assert page("/stats;csv", lambda: FIGURES) is not None
    told = page("/stats", lambda: FIGURES)
    assert told is not None
    assert b"style-src 'sha256-" in told.security


def test_rates_are_of_the_last_second_that_is_over() -> None:
    rate, mean = Rate(0.0), MeanTime(0.0)
    for at, requests in ((0.5, 10), (1.0, 20), (1.5, 30), (2.0, 25)):
        rate.look(at, requests)
    assert (rate.now, rate.most) == (5, 20)
    mean.look(1.0, 10, 1.0)
    mean.look(2.0, 10, 1.0)
    assert (mean.seconds, mean.longest) == (0.1, 0.1)


def test_old_events_make_room_and_stay_counted() -> None:
    events = Events()
    for number in range(EVENTS_KEPT + 10):
        events.add(Event(number, "a", "UP", "DOWN", "why", 0, 1))
    assert (len(events.kept), events.kept[0].at, events.counted["a", "DOWN"]) == (EVENTS_KEPT, 10, EVENTS_KEPT + 10)


def test_numbers_for_people() -> None:
    assert (count(1_234_567), size(999), size(1_500), size(123_456_789)) == (
        "1\u202f234\u202f567", "999\u202fB", "1.5\u202fkB", "123\u202fMB",
    )  # fmt: skip
    assert (duration(0), duration(59), duration(3_725), duration(90_000)) == ("0s", "59s", "1h2m", "1d1h")


def test_tunnels_are_told_where_there_were_any() -> None:
    assert "<dt>Tunnels</dt><dd>2<small>since the start 3</small>" in stats_page(FIGURES, still=True)
    lines = render(FIGURES).splitlines()
    assert {"load_balancer_tunnels 2", "load_balancer_tunnels_total 3"} <= set(lines)
    assert "Tunnels" not in stats_page(FIGURES._replace(own=Own()), still=True)
