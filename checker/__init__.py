"""Checker: judges the recorded history and the final books of a run: valid, invalid or unknown.

Promises: it shares no code with what it judges; a check that could not read its data is unknown, never valid; an invalid
verdict names the smallest piece of evidence (which orders, which rows). Imports nothing of ours.
"""

from checker.evidence import collect
from checker.judgement import Check, Judgement, Verdict, judge

__all__ = ["Check", "Judgement", "Verdict", "collect", "judge"]
