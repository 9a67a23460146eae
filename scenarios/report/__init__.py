"""Report: what a run leaves for people: report.json, CSV tables, one self-contained HTML page, tables on the terminal.

Promises: made from the run folder alone, so it can be made again; the page needs nothing else, no network, no script.
"""

from scenarios.report.contents import build
from scenarios.report.page import render
from scenarios.report.terminal import show

__all__ = ["build", "render", "show"]
"""``build``: run folder -> report. ``render``: report -> HTML. ``show``: report -> terminal."""
