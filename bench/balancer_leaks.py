"""Whether the load balancer keeps anything of 1,000,000 requests: memory and descriptors, on new connections all the time.

Heads come again in half of the runs and never do in the other half; a connection ends after its 1,000 requests, so some
thousand of them come and go. The first half fills what is remembered, which is bounded, so the comparison begins behind it.
"""

import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.balancer import programs
from bench.balancer.client import ask, script
from bench.balancer.programs import Program

REQUESTS = 1_000_000
WARM_UP_REQUESTS = 500_000
RUN_SECONDS = 3.0
CONNECTIONS = 100
GROWTH_MB_MAX = 3.0
SETTLE_SECONDS_MAX = 30.0


def run() -> dict[str, Any]:
    """Memory and descriptors when warm and at the end; ``leaks`` is what the run is about."""
    missing = [package for package in programs.missing_packages() if package != "haproxy"]
    if missing:
        print(f"skipped: apt install {' '.join(missing)}")
        return {"skipped": f"not installed: {', '.join(missing)}"}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker may run as another user
        stack.enter_context(programs.page_servers(folder))
        program = stack.enter_context(programs.ours(folder))
        scripts = [script(folder, kind) for kind in ("visitors", "never_same")]
        at_rest = program.descriptors()
        asked = 0
        warm = 0.0
        while asked < REQUESTS:
            result = ask(program.port, scripts[0], connections=CONNECTIONS, seconds=RUN_SECONDS)
            scripts.reverse()
            asked += result.requests
            memory = program.rss_mb()
            if not warm and asked >= WARM_UP_REQUESTS:
                warm = memory
            print(f"{asked} requests: {memory:.1f} MB, {program.descriptors()} descriptors {result.errors}", flush=True)
        left = _descriptors_left(program, at_rest)
        growth = program.rss_mb() - warm
    return {
        "requests": asked,
        "rss_mb_warm": round(warm, 1),
        "growth_mb": round(growth, 2),
        "descriptors_at_rest": at_rest,
        "descriptors_left_over": left,
        "leaks": growth > GROWTH_MB_MAX or left > 0,
    }


def _descriptors_left(program: Program, at_rest: int) -> int:
    """Idle connections to the servers end 20 s after their last use; a check may hold one at any time."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while (left := program.descriptors() - at_rest) > 0 and time.monotonic() < deadline:
        time.sleep(0.5)
    return max(0, left)
