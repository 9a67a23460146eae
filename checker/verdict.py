"""Three-valued verdicts, as Jepsen's: valid, invalid, and unknown for what could not be read."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

EVIDENCE_MAX = 5  # pieces shown per check: the smallest first; the count of all is in the summary


class Verdict(StrEnum):
    """VALID: held. INVALID: did not hold, with evidence. UNKNOWN: could not be judged; never to be taken for valid."""

    VALID = "valid"
    INVALID = "invalid"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Check:
    """What one check found: its name as a sentence, its verdict, a summary, and up to EVIDENCE_MAX pieces of evidence."""

    name: str
    verdict: Verdict
    summary: str
    evidence: tuple[str, ...] = ()


def conclude(name: str, looked_at: str, faults: Iterable[str], *, otherwise: Verdict = Verdict.INVALID) -> Check:
    """Valid if there is no fault; else ``otherwise``, with the first faults as evidence.

    ``looked_at`` says over what the check ran ("2025 orders"), so that an empty run is seen to be empty.
    """
    found = list(faults)
    if not found:
        return Check(name, Verdict.VALID, f"holds for {looked_at}")
    return Check(name, otherwise, f"{len(found)} faults among {looked_at}", tuple(islice(found, EVIDENCE_MAX)))
