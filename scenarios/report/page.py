"""The report as one HTML page: no script, no network, light and dark, readable from 320 px on, printable."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from scenarios.month_table import COLUMNS
from scenarios.report import pictures
from scenarios.report.pictures import number

PAGE_FILE = "index.html"
VERDICTS = {
    "valid": ("✓", "The books agree: every check holds."),
    "invalid": ("✗", "At least one check found what must not be; the evidence stands below."),
    "unknown": ("?", "Not everything could be judged; never take this for valid."),
}
_STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


def render(report: Mapping[str, Any]) -> str:
    """The whole page."""
    body = "".join(
        part
        for part in (
            _head(report),
            _figures(report),
            _pictures(report),
            _months(report),
            _checks(report),
            _requests(report["load"]),
            _faults(report["run"].get("faults", [])),
            _left_out(report["left_out"]),
            _made_with(report),
        )
    )
    title = escape(f"{report['title']}: {report['verdict']}")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )


def write(run_dir: Path, report: Mapping[str, Any]) -> None:
    (run_dir / PAGE_FILE).write_text(render(report), encoding="utf-8")


def _head(report: Mapping[str, Any]) -> str:
    verdict = report["verdict"]
    symbol, sentence = VERDICTS[verdict]
    if not report["drained"]:
        sentence = f"The system was not quiet at the end: {report['drain_reason']}."
    faults = [check for check in report["checks"] if check["verdict"] != "valid"]
    evidence = "".join(
        f"<li><strong>{escape(check['name'])}</strong>: {escape(check['summary'])}"
        + (f"<br><code>{escape(check['evidence'][0])}</code>" if check["evidence"] else "")
        + "</li>"
        for check in faults
    )
    return (
        f'<header><h1>{escape(report["title"])}</h1><p class="folder">{escape(report["folder"])}</p>'
        f'<section class="verdict {escape(verdict)}"><p class="word"><span aria-hidden="true">{symbol}</span> '
        f"{escape(verdict)}</p><p>{escape(sentence)}</p>{f'<ul>{evidence}</ul>' if evidence else ''}</section></header>"
    )


def _figures(report: Mapping[str, Any]) -> str:
    load, baskets = report["load"], report["baskets"]
    orders = load.get("requests", {}).get("POST /orders", {})
    counters = load.get("counters", {})
    sold, supplied, refused = (number(report["totals"][column]) for column in ("sold", "supplied", "refused"))
    resolved = f"{number(counters.get('unknown answers resolved', 0))} resolved with the same key"
    slow = f"p95 {orders.get('p95_ms', 0):.0f} ms, p99 {orders.get('p99_ms', 0):.0f} ms"
    rate, seconds = f"{load.get('baskets_per_second', 0):.1f}", f"in {load.get('shopping_seconds', 0):.1f} s"
    tiles = [
        ("baskets", number(baskets["count"]), _words(baskets["outcomes"])),
        ("baskets per second", rate, seconds),
        ("answer to an order", f"{orders.get('p50_ms', 0):.0f} ms", slow),
        ("units sold", sold, f"of {supplied} supplied; {refused} refused"),
        ("revenue", _money(report["totals"]["revenue_minor"]), "over all months"),
        ("unknown answers", number(counters.get("unknown answers", 0)), resolved),
        ("customers", number(load.get("customers", 0)), f"signed up in {load.get('set_up_seconds', 0):.1f} s"),
    ]
    if locks := load.get("waits", {}).get("locks"):
        tiles.append(
            ("waited for locks, p99", f"{locks['p99_ms']:.0f} ms", f"{_repeats(load)}; p50 {locks['p50_ms']:.0f} ms")
        )
    if report["rounds"]:
        tiles.insert(1, ("rounds", number(sum(report["rounds"].values())), _words(report["rounds"])))
    shown = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd><dd class=note>{escape(note)}</dd></div>"
        for name, value, note in tiles
    )
    return f'<dl class="tiles">{shown}</dl>'


def _repeats(load: Mapping[str, Any]) -> str:
    repeats = load.get("repeats", {})
    return f"repeated: {_words(repeats)}" if repeats else "no transaction repeated"


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number(count)} {name}" for name, count in counts.items())


class _Right(str):
    """A text that stands to the right, as numbers do."""


def _money(minor: int) -> str:
    return _Right(f"{number(minor // 100)}.{minor % 100:02}")


def _pictures(report: Mapping[str, Any]) -> str:
    load = report["load"]
    orders = load.get("requests", {}).get("POST /orders", {})
    percentiles = {name: orders[f"{name}_ms"] for name in ("p50", "p95", "p99") if f"{name}_ms" in orders}
    parts = []
    if report["months"]:
        rows = pictures.month_rows(report["months"])
        parts.append(pictures.bars(rows, pictures.STOCK, "Units per month and manufacturer"))
    if report["baskets"].get("lines_wanted"):
        parts.append(_lines_picture(report["baskets"]))
    parts.append(pictures.latency(report["latency_bins"], percentiles))
    parts.append(pictures.throughput(load.get("per_second", []), report["run"].get("faults", [])))
    return f'<section class="pictures"><h2>Pictures</h2>{"".join(parts)}</section>'


def _lines_picture(baskets: Mapping[str, Any]) -> str:
    series = (pictures.Series("bought", "bought", "c1"), pictures.Series("not bought", "not", "c3"))
    rows = [
        (unit, {"bought": baskets[f"{unit}_bought"], "not": baskets[f"{unit}_wanted"] - baskets[f"{unit}_bought"]})
        for unit in ("lines", "units")
    ]
    # each row has a scale of its own: lines and units do not compare
    each = "".join(pictures.bars([row], series, caption) for row, caption in zip(rows, _LINES_CAPTIONS, strict=True))
    return f'<div class="pair">{each}</div>'


_LINES_CAPTIONS = ("What became of the lines wanted", "What became of the units wanted")


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], foot: Sequence[object] | None = None) -> str:
    """Numbers to the right; wide tables scroll within themselves."""
    rows = list(rows)
    first = rows[0] if rows else head
    kinds = ["n" if isinstance(cell, int | float | _Right) else "w" for cell in first]
    titles = "".join(
        f'<th scope="col" class="{kind}">{escape(title)}</th>' for title, kind in zip(head, kinds, strict=True)
    )
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows)
    last = f"<tfoot><tr>{_cells(foot)}</tr></tfoot>" if foot else ""
    return f'<div class="scroll" tabindex="0"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody>{last}</table></div>'


def _cells(row: Sequence[object]) -> str:
    return "".join(_cell(cell) for cell in row)


def _cell(cell: object) -> str:
    match cell:
        case int():
            return f'<td class="n">{number(cell)}</td>'
        case float():
            return f'<td class="n">{cell:.1f}</td>'
        case _Right():
            return f'<td class="n">{escape(cell)}</td>'
    return f"<td>{escape(str(cell))}</td>"


def _months(report: Mapping[str, Any]) -> str:
    months = report["months"]
    if not months:
        return ""
    head = ("month", "ended", "manufacturer", *COLUMNS[:-1], "revenue")
    rows = [
        (
            row["month"],
            row["reason"],
            row["manufacturer"],
            *(row[c] for c in COLUMNS[:-1]),
            _money(row["revenue_minor"]),
        )
        for row in months
    ]
    totals = report["totals"]
    foot = ("", "", "all", *(totals[column] for column in COLUMNS[:-1]), _money(totals["revenue_minor"]))
    note = (
        "<p class=note>ordered = sold + refused; refused counts units that an answer 409 named as missing, also when the "
        "customer then asked for less; unsold units stay on sale (last row: those of the last month).</p>"
    )
    return f"<section><h2>Months</h2>{_table(head, rows, foot)}{note}</section>"


def _checks(report: Mapping[str, Any]) -> str:
    shown = "".join(
        f'<li class="{escape(check["verdict"])}"><span class="chip">{VERDICTS[check["verdict"]][0]} '
        f"{escape(check['verdict'])}</span> <strong>{escape(check['name'])}</strong><br>{escape(check['summary'])}"
        + "".join(f"<pre>{escape(piece)}</pre>" for piece in check["evidence"])
        + "</li>"
        for check in report["checks"]
    )
    return f'<section><h2>Checks</h2><ul class="checks">{shown}</ul></section>'


def _requests(load: Mapping[str, Any]) -> str:
    requests = load.get("requests")
    if not requests:
        return ""
    head = ("request", "count", "errors", "mean ms", "p50 ms", "p95 ms", "p99 ms", "max ms", "first error")
    keys = ("count", "failures", "mean_ms", "p50_ms", "p95_ms", "p99_ms", "max_ms")
    rows = [(name, *(row[key] for key in keys), row["first_failure"] or "") for name, row in requests.items()]
    statuses = _table(("answer", "count"), load["statuses"].items())
    cpu = load.get("client_cpu_ms_per_request", 0)
    note = (
        f"<p class=note>Measured by the customers, through the load balancer; {cpu:.2f} ms of client CPU a request.</p>"
    )
    return f"<section><h2>Requests</h2>{_table(head, rows)}{note}{statuses}</section>"


def _faults(faults: Sequence[Mapping[str, Any]]) -> str:
    if not faults:
        return ""
    rows = [(float(fault["second"]), fault["fault"], fault["name"], fault["outcome"]) for fault in faults]
    return f"<section><h2>Faults</h2>{_table(('second', 'fault', 'process', 'outcome'), rows)}</section>"


def _left_out(left_out: Mapping[str, int]) -> str:
    if not left_out:
        return ""
    table = _table(("reason", "lines"), left_out.items())
    return f"<section><h2>Left out of the file</h2>{table}<p class=note>Each line stands in left_out.csv.</p></section>"


def _made_with(report: Mapping[str, Any]) -> str:
    run = report["run"]
    facts = {
        "command": run.get("command", ""),
        "seed": run.get("seed", ""),
        "strategy": run.get("strategy", ""),
        "started": run.get("started_at", ""),
        "finished": run.get("finished_at", ""),
        **{str(key): value for key, value in run.get("facts", {}).items()},
        **{f"seconds: {name}": value for name, value in run.get("phases_seconds", {}).items()},
        **run.get("versions", {}),
    }
    rows = "".join(f"<tr><th scope=row>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>" for k, v in facts.items())
    settings = escape(json.dumps(run.get("settings", {}), indent=2))
    return (
        f'<section><h2>Made with</h2><div class="scroll" tabindex="0"><table class="facts">{rows}</table></div>'
        f"<details><summary>All settings</summary><pre>{settings}</pre></details></section>"
    )
