"""Report: what a grading leaves for people: text for the terminal, JSON, one self-contained HTML page to hand in.

Promises: made from the report object alone; the page needs nothing else, no network, no script.
"""

from grading.report.page import render
from grading.report.terminal import text

__all__ = ["render", "text"]
