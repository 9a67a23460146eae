"""`main.py check RUN_DIR`: print the judgement of a recorded run."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from checker.judgement import Judgement, judge
from checker.verdict import Verdict

COLOURS = {Verdict.VALID: "green", Verdict.INVALID: "red", Verdict.UNKNOWN: "yellow"}


def check(run_dir: Path) -> int:
    """Judge the run again and print it; returns the exit code (0 valid, 1 invalid, 2 unknown)."""
    judgement = judge(run_dir)
    print_judgement(judgement, Console(soft_wrap=True, highlight=False))
    return judgement.exit_code


def print_judgement(judgement: Judgement, console: Console) -> None:
    for found in judgement.checks:
        colour = COLOURS[found.verdict]
        console.print(f"[{colour}]{found.verdict:<8}[/{colour}] {escape(found.name)}: {escape(found.summary)}")
        for piece in found.evidence:
            console.print(f"           {escape(piece)}")
    console.print(f"verdict: [{COLOURS[judgement.verdict]}]{judgement.verdict}[/{COLOURS[judgement.verdict]}]")
