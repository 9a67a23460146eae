"""`main.py bench NAME`."""

import importlib
import json

BENCHMARKS = {
    "startup": "start times, memory and idle CPU with either broker",
    "gather": "200 manufacturers with 50 products each, gathered while customers buy",
    "gather_large": "1,000,000 offers of 100 manufacturers, booked while customers buy: time, purchases, CPU, memory",
    "holds": "what timed holds cost a purchase and a cart, beside the same without them",
    "pages": "catalogue pages, a whole journey and 500 open pages, with 10,000 products in stock",
    "accounts": "whether time tells who has an account; what sessions and rate limits cost",
    "purchase": "purchases a second by strategy, beside pgbench on the same server; writes docs/strategies-measured.md",
    "scale": "purchases and pages in a small shop and in one of a million goods and five million orders, in turns",
    "balancer": "the load balancer beside HAProxy, nginx and an aiohttp proxy: speed, latency, idle connections",
    "balancer_choice": "what the choice of a server costs with 3 servers and with 1,000, by algorithm",
    "balancer_log": "what the access log costs, in either format, beside the same balancer without one",
    "balancer_rows": "malformed requests and answers, sent to the load balancer, HAProxy and nginx; writes docs/http-rows.md",
    "balancer_leaks": "memory and descriptors of the load balancer over 1,000,000 requests",
}


class UnknownOption(Exception):
    """This benchmark does not have that option."""


OPTIONS_OF = {"purchase": ("headline", "orders", "strategy"), "scale": ("rows",)}
"""Benchmarks whose ``run`` takes options."""


def bench_list() -> None:
    """What can be measured."""
    for name, words in BENCHMARKS.items():
        print(f"{name}: {words}")


def bench(name: str, **options: object) -> None:
    """Run one benchmark and print its figures as one JSON object on the last line; raises KeyError for an unknown name.

    ``options`` that are None or False were not given; UnknownOption for one that this benchmark does not have.
    """
    if name not in BENCHMARKS:
        raise KeyError(name)
    given = {option: value for option, value in options.items() if value}
    if unknown := given.keys() - set(OPTIONS_OF.get(name, ())):
        message = f"bench {name} has no option --{min(unknown)}"
        raise UnknownOption(message)
    figures = importlib.import_module(f"bench.{name}").run(**given)
    print(json.dumps({"benchmark": name} | figures))
