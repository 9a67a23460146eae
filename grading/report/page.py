"""The report as one HTML page: no script, no network, light and dark, readable from 320 px on, printable.

It looks like the reports of runs (scenarios/report), whose style it uses.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import scenarios.report.page as runs
from grading.checks import GROUPS
from grading.report.terminal import TITLES, points, thoroughness, verdict
from scenarios.report.pictures import number

PAGE_FILE, REPORT_FILE = "index.html", "report.json"
_STYLE = (Path(runs.__file__).parent / "page.css").read_text(encoding="utf-8")
_OWN_STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")
_LOOKS = {"passed": ("valid", "✓"), "failed": ("invalid", "✗"), "cannot be graded": ("unknown", "?")}
_SENTENCES = {
    "passed": "Every check holds, and every mark is passed.",
    "failed": "What was found stands below, with the line to look at where it is known.",
    "cannot be graded": "The strategy could not be loaded; nothing of it was tried.",
}
_LOADS = {"hot": "all on one good", "spread": "on many goods", "mixed": "large baskets among small ones"}


def render(report: Mapping[str, Any]) -> str:
    """The whole page."""
    name = report["file"] or report["strategy"]
    parts = [_head(report, name), _marks(report), _figures(report)]
    parts += [_checks(report, group) for group in GROUPS]
    parts.append(_made_with(report))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{escape(name)}: {verdict(report)}</title><style>{_STYLE}{_OWN_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _head(report: Mapping[str, Any], name: str) -> str:
    word = verdict(report)
    look, symbol = _LOOKS[word]
    failed = [check for check in report["checks"] if not check["passed"]]
    first = "".join(
        f"<li>{escape(check['sentence'])}<br><code>{escape(check['seen'])}</code>{_where(check)}</li>"
        for check in sorted(failed, key=lambda check: check["group"] != "conduct")[:3]
    )
    total = f"{report['total']:.1f} of 100 points. " if report["loaded"] else ""
    return (
        f"<header><h1>Grade of {escape(name)}</h1>"
        f'<p class="folder">seed {report["seed"]}, {escape(thoroughness(report))}</p>'
        f'<section class="verdict {look}"><p class="word"><span aria-hidden="true">{symbol}</span> {word}</p>'
        f"<p>{total}{_SENTENCES[word]}</p>{f'<ul>{first}</ul>' if first else ''}</section></header>"
    )


def _where(check: Mapping[str, Any]) -> str:
    return f'<br><span class="look">look at <code>{escape(check["where"])}</code></span>' if check["where"] else ""


def _marks(report: Mapping[str, Any]) -> str:
    if not report["loaded"]:
        return ""
    return f'<section><h2>Marks</h2><ul class="points">{"".join(map(_mark, report["marks"]))}</ul></section>'


def _mark(mark: Mapping[str, Any]) -> str:
    look = "valid" if mark["passed"] else "invalid" if mark["points"] is not None else "unknown"
    word = {"valid": "✓ passed", "invalid": "✗ failed", "unknown": "? not measured"}[look]
    width = mark["points"] or 0
    return (
        f'<li class="{look}"><div class="line"><strong>{escape(mark["name"])}</strong>'
        f'<span class="of">{points(mark)} of 100, weight {mark["weight"]}</span><span class="chip">{word}</span></div>'
        f'<svg viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="bar" width="{width:.1f}" height="4"/></svg><p class="note">{escape(mark["told"])}</p></li>'
    )


def _figures(report: Mapping[str, Any]) -> str:
    figures = report["figures"]
    if not figures["own"]:
        return ""
    tables = "".join(_load(figures, load, caption) for load, caption in _LOADS.items())
    note = (
        '<p class="note">Last round, in one process, without HTTP. Marks are made of the ratios to row_lock, medians over '
        "the rounds; naive protects nothing and shows what safety costs.</p>"
    )
    return f"<section><h2>Figures</h2>{tables}{note}</section>"


def _load(figures: Mapping[str, Any], load: str, caption: str) -> str:
    head = ("", "sold per second", "p50 ms", "p99 ms", "repeated", "not sold", "evenness")
    rows = []
    for label, name in (("own", "yours"), ("row_lock", "row_lock"), ("naive", "naive")):
        last = figures[label][-1][load]
        repeats = sum(last["repeats"].values())
        refused = last["purchases"] - last["sold"]
        rows.append(
            (
                name,
                number(last["per_second"]),
                f"{last['p50_ms']:.1f}",
                f"{last['p99_ms']:.1f}",
                number(repeats),
                number(refused),
                f"{last['evenness']:.2f}",
            )
        )
    return f"<h3>{escape(caption)}</h3>{_table(head, rows)}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    titles = "".join(f'<th scope="col" class="{"n" if title else ""}">{escape(title)}</th>' for title in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td class=n>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _checks(report: Mapping[str, Any], group: str) -> str:
    checks = [check for check in report["checks"] if check["group"] == group]
    if not checks:
        return ""
    shown = "".join(
        f'<li class="{"valid" if check["passed"] else "invalid"}">'
        f'<span class="chip">{"✓ holds" if check["passed"] else "✗ failed"}</span> {escape(check["sentence"])}'
        f' <span class="note">{escape(check["clause"])}</span>'
        + ("" if check["passed"] else f"<pre>{escape(check['seen'])}</pre>{_where(check)}")
        + "</li>"
        for check in checks
    )
    return f'<section><h2>{escape(TITLES[group].capitalize())}</h2><ul class="checks">{shown}</ul></section>'


def _made_with(report: Mapping[str, Any]) -> str:
    rows = [("strategy", report["strategy"]), ("seed", str(report["seed"])), ("machine", report["machine"])]
    rows += [(f"repeated after {cause}", str(count)) for cause, count in report["repeats"].items()]
    body = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in rows)
    again = f"python main.py grade {report['file'] or report['strategy']} --seed {report['seed']}"
    again += " --quick" if report["quick"] else ""
    return (
        f'<section><h2>Made with</h2><div class="scroll" tabindex="0"><table class="facts"><tbody>{body}</tbody></table></div>'
        f"<p>Again: <code>{escape(again)}</code></p></section>"
    )
