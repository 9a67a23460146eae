"""A run that was broken off proves nothing: what would have come next is not known, even if all that came is in order."""

from checker.evidence import Evidence
from checker.verdict import Check, Verdict


def the_run_came_to_its_end(evidence: Evidence) -> Check:
    """Unknown unless the driver saw the load end and every event arrive."""
    name = "the run came to its end"
    if evidence.drained:
        return Check(name, Verdict.VALID, "holds for a run that was drained")
    reason = evidence.run.get("drain_reason") or "the run was not drained"
    return Check(name, Verdict.UNKNOWN, f"it did not: {reason}")
