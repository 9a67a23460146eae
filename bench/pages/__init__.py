"""What the shop's reading side costs with 10,000 products in stock: catalogue pages, a whole journey, open pages.

One system with the default settings and no simulated customers, on this machine, with the client beside it. Time is what
the client waits; CPU is user and system time of the named processes, per page. The products are rows written straight into
the database, for how they get there is not measured here. Months are an hour long, so that no gather falls into a round.

Each catalogue page is measured against one web instance and through the load balancer, in turns, medians over rounds:

  guest           the same list again and again, as on a busy day: an instance reads it once a second
  guest_spread    never the same list twice within a second: every page is read for itself
  customer        signed in, with two lines in the cart
"""

import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from bench.pages import catalogue, journey, open_pages
from bench.pages.large_shop import LargeShop
from bench.running_system import running_system, temporary_state

PORT_BASE = 24_700
SETTINGS = ("customers.simulated=0", "simulation.month_seconds=3600")
REFERENCES = 25
TARGETS = {"p50_ms": 5.0, "web_cpu_ms": 1.5, "journey_ms": 40.0, "open_pages_percent": 10.0}


def run() -> dict[str, Any]:
    """Measure everything in one system; returns the figures."""
    busy_before = machine()
    with (
        temporary_state() as folder,
        running_system(Path(folder) / "state", PORT_BASE, SETTINGS) as system,
    ):
        shop = LargeShop.fill(system)
        pages = catalogue.measure(shop)
        for cell in pages:
            print(json.dumps(cell.document()))
        journeys = journey.measure(shop)
        print(json.dumps(journeys))
        watching = open_pages.measure(shop)
        print(json.dumps(watching))
    return {
        "products": shop.products,
        "machine": {"before": busy_before, "after": machine()},
        "targets": TARGETS,
        "catalogue": [cell.document() for cell in pages],
        "journey": journeys,
        "open_pages": watching,
    }


def machine() -> dict[str, float]:
    """How busy it is, and what it makes of it: CPU time of the same work, which grows when others use the caches too."""
    took = []
    for _time in range(REFERENCES):
        begun = time.thread_time()
        json.loads(json.dumps([{str(n): n} for n in range(2_000)]))
        took.append(1000 * (time.thread_time() - begun))
    return {"load_average": round(os.getloadavg()[0], 2), "reference_cpu_ms": round(statistics.median(took), 2)}
