"""The statistics page: the figures as HTML, one row a server with HAProxy's columns, and what happened last.

P1  It works without a script: the browser loads it anew every few seconds, or only when asked (``?still``).
P2  A state is a word with a mark; its colour only repeats it.
P3  Whatever a server's name or a reason holds is text.
"""

import time
from collections.abc import Iterable
from html import escape
from typing import Final

from load_balancer.balancing.servers import Operation
from load_balancer.stats.events import Event
from load_balancer.stats.figures import Figures, ServerFigures
from load_balancer.stats.haproxy_csv import BACKEND, FRONTEND, status_word
from load_balancer.stats.page_style import STYLE

REFRESH_SECONDS: Final = 5
EVENTS_SHOWN: Final = 30
# Cells that say nothing stay quiet, and are left out where there is little room.
_EMPTY: Final = frozenset({"", "0", "0s", "0.0", "0\u202fB", "0/0/-", "0/0"})
_NOTHING: Final = ' class="nothing"'
# What a state's word looks like: class and mark. Others are on their way: "UP 1/2", "DOWN 1/2".
_LOOKS: Final = {
    "UP": ("up", "●"),
    "no check": ("up", "○"),
    "OPEN": ("up", "●"),
    "DOWN": ("down", "■"),
    "STOP": ("down", "■"),
    "NOLB": ("warn", "▲"),
    "AWAY": ("warn", "▲"),
    "DRAIN": ("calm", "▼"),
    "MAINT": ("calm", "◆"),
}
_ON_THE_WAY: Final = ("warn", "◐")
_LEGEND: Final = (
    ("UP", "gets requests"),
    ("UP 1/2", "has failed a check, or is coming up"),
    ("NOLB", "answers that it wants none"),
    ("AWAY", "cannot work for now: asked where none is UP"),
    ("DRAIN", "gets no new ones"),
    ("MAINT", "out of service"),
    ("DOWN", "does not answer"),
)
_COLUMNS: Final = (
    ("Queue", ("cur/max/lim",)),
    ("Requests", ("cur/max/lim", "Rate", "Total")),
    ("Bytes", ("In", "Out")),
    ("Answers", ("2xx", "3xx", "4xx", "5xx", "ms")),
    ("Errors", ("conn/resp",)),
    ("Again", ("retr/redis",)),
    ("Server", ("Wght", "Kind", "chk/dwn", "Dwntme")),
)
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
{refresh}<meta name="color-scheme" content="light dark"><title>{title}</title>
<style>{style}</style></head>
<body><header><h1>Load balancer</h1>{state}<span class="quiet">balance {algorithm} · up for {uptime}</span></header>
<main><p class="quiet"><small>As of {now} UTC. {refreshing} Also as <a href="/stats;csv">CSV</a>,
<a href="/metrics">Prometheus metrics</a>, <a href="/events">events in JSON</a>.</small></p>
<dl class="tiles">{tiles}</dl>
<h2 id="servers">Servers</h2><div class="frame" tabindex="0" role="region" aria-labelledby="servers">{table}</div>
<ul class="legend" aria-label="States">{legend}</ul>
<h2 id="events">Last changes</h2>{events}</main></body></html>
"""


def stats_page(figures: Figures, *, still: bool) -> str:
    """The whole page; ``still``: it does not load itself anew."""
    ready = f"{figures.ready} of {len(figures.servers)} ready"
    if still:
        refreshing = f'Standing still; <a href="/stats">load anew every {REFRESH_SECONDS} s</a>.'
    else:
        refreshing = f'Loads anew every {REFRESH_SECONDS} s; <a href="/stats?still">stand still</a>.'
    return _PAGE.format(
        refresh="" if still else f'<meta http-equiv="refresh" content="{REFRESH_SECONDS}">\n',
        title=f"{ready} · load balancer",
        style=STYLE,
        state=_state("STOP" if figures.draining else "OPEN", "draining" if figures.draining else "serving"),
        algorithm=escape(figures.algorithm),
        uptime=duration(figures.uptime_seconds),
        now=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(figures.at)),
        refreshing=refreshing,
        tiles=_tiles(figures, ready),
        table=_table(figures),
        legend="".join(f"<li>{_state(word)} {means}</li>" for word, means in _LEGEND),
        events=_events(figures.events),
    )


def _tiles(figures: Figures, ready: str) -> str:
    own, log = figures.own, figures.access_log
    answers = " · ".join(f"{hundred}xx {count(figures.answers(hundred))}" for hundred in (2, 3, 4, 5))
    tiles = [
        ("Servers", ready, f"downs {sum(server.row.downs for server in figures.servers)}"),
        ("Requests a second", _rate(figures.request_rate.now), f"most {_rate(figures.request_rate.most)}"),
        ("Requests", count(figures.requests), answers),
        (
            "Connections",
            count(figures.connections),
            f"most {count(own.connections_most)}, limit {count(figures.connections_limit)}",
        ),
        ("Waiting for a server", count(figures.waiting), f"most {count(figures.waiting_max)}"),
        ("Sent once more", count(own.resends), f"cut off {count(own.truncated)}"),
    ]
    if figures.workers:
        answering = sum(worker.answers for worker in figures.workers)
        shares = " · ".join(count(worker.requests) for worker in figures.workers)
        tiles.append(("Workers", f"{answering} of {len(figures.workers)}", f"requests {shares}"))
    if own.tunnels:
        tiles.append(("Tunnels", count(figures.tunnels), f"since the start {count(own.tunnels)}"))
    if log is not None:
        tiles.append(("Access log lines", count(log.written), f"dropped {count(log.dropped)}"))
    return "".join(f"<div><dt>{name}</dt><dd>{value}<small>{more}</small></dd></div>" for name, value, more in tiles)


def _table(figures: Figures) -> str:
    groups = "".join(f'<th colspan="{len(names)}" scope="colgroup">{group}</th>' for group, names in _COLUMNS)
    names = "".join(f'<th scope="col">{name}</th>' for _, group in _COLUMNS for name in group)
    head = (
        f'<thead><tr><th rowspan="2" scope="col" class="words">Name</th>'
        f'<th rowspan="2" scope="col" class="words">State</th>{groups}</tr><tr>{names}</tr></thead>'
    )
    rows = [
        _frontend_row(figures),
        *(_server_row(server, figures) for server in figures.servers),
        _backend_row(figures),
    ]
    return f'<table class="servers"><caption>Servers</caption>{head}<tbody>{"".join(rows)}</tbody></table>'


def _cells(values: Iterable[str]) -> str:
    labels = [f"{group}: {name}" for group, names in _COLUMNS for name in names]
    return "".join(
        f'<td data-label="{label}"{_NOTHING if value in _EMPTY else ""}>{value}</td>'
        for label, value in zip(labels, values, strict=True)
    )


def _row(name: str, note: str, state: str, told: str, values: Iterable[str], *, total: bool = False) -> str:
    look, _ = _LOOKS.get(state, _ON_THE_WAY)
    return (
        f'<tr class="is-{look}{" sum" if total else ""}"><th scope="row">{escape(name)}<small>{escape(note)}</small></th>'
        f'<td class="words state-cell">{_state(state)}<small>{told}</small></td>{_cells(values)}</tr>'
    )


def _server_row(server: ServerFigures, figures: Figures) -> str:
    row, traffic, rates = server.row, server.traffic, server.rates
    state = status_word(row, figures.check_rise, figures.check_fall)
    told = f"for {duration(row.since_seconds)}: {escape(row.reason)}"
    if row.check is not None:
        code = f"/{row.check.code}" if row.check.code else ""
        told += f" ({escape(row.check.status)}{code}, {row.check.seconds * 1000:.0f} ms)"
    if row.throttle_percent is not None:
        told += f"; slow start at {row.throttle_percent} %"
    classes = (count(traffic.classes[hundred]) for hundred in (2, 3, 4, 5))
    return _row(
        row.name, server.address, state, told,
        [
            _triple(row.queued, row.queued_max, row.maxqueue),
            _triple(row.serving, row.serving_max, row.limit), _rate(rates.requests.now), count(traffic.requests),
            size(traffic.bytes_in), size(traffic.bytes_out),
            *classes, f"{rates.time.seconds * 1000:.1f}",
            _pair(row.connect_errors, row.response_errors), _pair(row.retries, row.redispatches),
            _weight(row.effective_weight, row.weight), "Backup" if row.backup else "Active",
            _pair(row.failed_checks, row.downs), duration(row.down_seconds),
        ],
    )  # fmt: skip


def _frontend_row(figures: Figures) -> str:
    own, traffic = figures.own, [server.traffic for server in figures.servers]
    ours = sum(own.replies.values())
    return _row(
        FRONTEND, "all clients", "STOP" if figures.draining else "OPEN", f"{count(ours)} answered by the balancer itself",
        [
            "",
            _triple(figures.connections, own.connections_most, figures.connections_limit),
            _rate(figures.request_rate.now), count(figures.requests),
            size(sum(one.bytes_in for one in traffic)), size(sum(one.bytes_out for one in traffic)),
            *(count(figures.answers(hundred)) for hundred in (2, 3, 4, 5)), "",
            *[""] * 6,
        ],
        total=True,
    )  # fmt: skip


def _backend_row(figures: Figures) -> str:
    rows, traffic = [server.row for server in figures.servers], [server.traffic for server in figures.servers]
    used = [row for row in rows if row.in_use]
    active = sum(row.word == "UP" and not row.backup for row in rows)
    backup = sum(row.word == "UP" and row.backup for row in rows)
    word = "UP" if any(row.operation is Operation.UP for row in used) else "AWAY" if used else "DOWN"
    return _row(
        BACKEND, "all servers", word, f"{len(used)} of {len(rows)} get requests",
        [
            _triple(figures.waiting + sum(row.queued for row in rows), figures.waiting_max, 0),
            count(sum(row.serving for row in rows)), _rate(sum(one.rates.requests.now for one in figures.servers)),
            count(sum(one.requests for one in traffic)),
            size(sum(one.bytes_in for one in traffic)), size(sum(one.bytes_out for one in traffic)),
            *(count(sum(one.classes[hundred] for one in traffic)) for hundred in (2, 3, 4, 5)), "",
            _pair(sum(row.connect_errors for row in rows), sum(row.response_errors for row in rows)),
            _pair(sum(row.retries for row in rows), sum(row.redispatches for row in rows)),
            f"{sum(row.effective_weight for row in used):g}", f"{active}/{backup}",
            _pair(sum(row.failed_checks for row in rows), sum(row.downs for row in rows)), "",
        ],
        total=True,
    )  # fmt: skip


def _events(events: tuple[Event, ...]) -> str:
    if not events:
        return '<p class="quiet">No server has changed its state yet.</p>'
    rows = "".join(
        f'<tr><td class="words">{time.strftime("%H:%M:%S", time.gmtime(event.at))}</td>'
        f'<th scope="row">{escape(event.server)}</th>'
        f'<td class="words">{_state(event.after) if event.after else "removed"}'
        f"<small>{f'was {escape(event.before)}' if event.before else 'new'}</small></td>"
        f'<td class="words">{escape(event.reason)}</td><td class="of">{event.ready} of {event.servers}</td></tr>'
        for event in list(reversed(events))[:EVENTS_SHOWN]
    )
    head = "".join(f'<th scope="col" class="words">{name}</th>' for name in ("UTC", "Server", "State", "Reason"))
    return (
        f'<div class="frame" tabindex="0" role="region" aria-labelledby="events">'
        f'<table class="events"><caption>Last changes of servers, newest first</caption><thead><tr>{head}'
        f'<th scope="col" class="of">Ready</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _state(word: str, shown: str = "") -> str:
    """P2."""
    look, mark = _LOOKS.get(word, _ON_THE_WAY)
    return f'<span class="state {look}"><b aria-hidden="true">{mark}</b>{escape(shown or word)}</span>'


def _pair(one: int, other: int) -> str:
    return f"{count(one)}/{count(other)}"


def _triple(now: int, most: int, limit: int) -> str:
    return f"{count(now)}/{count(most)}/{count(limit) if limit else '-'}"


def _weight(effective: float, wanted: int) -> str:
    return f"{wanted}" if effective == wanted else f"{effective:g} of {wanted}"


def _rate(value: float) -> str:
    return f"{value:.1f}" if 0 < value < 10 else count(round(value))


def count(value: int) -> str:
    """With thin spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def size(value: float) -> str:
    """Bytes in the unit that gives one to three digits before the point."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f}\u202f{unit}" if unit == "B" or value >= 100 else f"{value:.1f}\u202f{unit}"
        value /= 1000
    return f"{value:.1f}\u202fTB"


def duration(seconds: float) -> str:
    """The two largest units, as HAProxy has it: ``2d5h``, ``3m12s``."""
    left = round(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        number, left = divmod(left, length)
        if number or parts or unit == "s":
            parts.append(f"{number}{unit}")
    return "".join(parts[:2])
