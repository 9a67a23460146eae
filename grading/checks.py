"""Values that travel from the tried strategy's process to its grader: checks, and figures. As JSON, one event a line."""

from dataclasses import dataclass

CONTRACT, RACES, FAULTS, CONDUCT = GROUPS = ("contract", "races", "faults", "conduct")


@dataclass(frozen=True)
class Check:
    """One thing that was tried. ``seen``: what was found wrong; ``where``: file and line to look at, if known.

    ``clause``: of the contract (C1 to C5) or of the promises (P1 …); empty where there is none.
    """

    group: str
    name: str
    sentence: str
    passed: bool
    seen: str = ""
    where: str = ""
    clause: str = ""
