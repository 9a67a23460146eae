"""A small shop for tests of the simulated customers: the shop's API, faults on demand, no database."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from settings.addresses import Addresses
from tests.conftest import free_port

PRICE = 250
PUBLIC = {"customers", "session", "products", "month"}


@dataclass
class Books:
    """The fake shop's state, under one lock."""

    stock: dict[int, int]
    lock: threading.Lock = field(default_factory=threading.Lock)
    customers: dict[str, int] = field(default_factory=dict)
    answers: dict[tuple[str, str], tuple[int, dict[str, Any]]] = field(default_factory=dict)
    sold: dict[int, int] = field(default_factory=dict)
    carts: dict[str, dict[int, int]] = field(default_factory=dict)
    finished: list[str] = field(default_factory=list)
    orders: int = 0
    lose_answer_every: int = 0
    busy_every: int = 0
    requests: int = 0
    cut_answer_every: int = 0
    answers_given: int = 0
    month: int = 1

    def buy(self, customer: str, key: str, lines: dict[int, int]) -> tuple[int, dict[str, Any]]:
        known = self.answers.get((customer, key))
        if known:
            return known
        short = [
            {"stock_id": stock_id, "wanted": quantity, "available": self.stock[stock_id]}
            for stock_id, quantity in lines.items()
            if self.stock[stock_id] < quantity
        ]
        if short:
            answer: tuple[int, dict[str, Any]] = (409, {"type": "urn:cds:problem:not-enough-stock", "lines": short})
        else:
            for stock_id, quantity in lines.items():
                self.stock[stock_id] -= quantity
                self.sold[stock_id] = self.sold.get(stock_id, 0) + quantity
            self.orders += 1
            total = sum(lines.values()) * PRICE
            answer = (201, {"id": self.orders, "month": 1, "total": {"amount": total, "currency": "GBP"}})
        self.answers[(customer, key)] = answer
        return answer


Answer = tuple[int, dict[str, Any]]


class Handler(BaseHTTPRequestHandler):
    """The shop's API over the books of its server."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        return

    @property
    def books(self) -> Books:
        books: Books = self.server.books  # type: ignore[attr-defined]
        return books

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        first, *rest = self.path.replace("/api/v1", "").removeprefix("/").partition("?")[0].split("/")
        customer = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        with self.books.lock:
            if first == "nowhere":
                status, answer = 404, {}
            elif first in PUBLIC or customer in self.books.customers:
                status, answer = getattr(self, f"_{first}")(customer, rest, body)
            else:
                status, answer = 401, {"type": "urn:cds:problem:not-signed-in"}
        if status == 0:
            self.close_connection = True
            return
        raw = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        if status == 503:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.books.answers_given += 1
        cut = self.books.cut_answer_every and self.books.answers_given % self.books.cut_answer_every == 0
        self.wfile.write(raw[: len(raw) // 2] if cut else raw)
        if cut:
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - the base class's names

    def _customers(self, customer: str, rest: list[str], body: dict[str, Any]) -> Answer:
        return 201, {"id": self.books.customers.setdefault(body["email"], len(self.books.customers) + 1)}

    def _session(self, customer: str, rest: list[str], body: dict[str, Any]) -> Answer:
        if body["email"] not in self.books.customers:
            return 401, {"type": "urn:cds:problem:wrong-credentials"}
        return 200, {"token": body["email"]}

    def _me(self, customer: str, rest: list[str], body: dict[str, Any]) -> Answer:
        if rest == ["finished"]:
            self.books.finished.append(customer)
        return 200, {"month": 1}

    def _month(self, customer: str, rest: list[str], body: dict[str, Any]) -> Answer:
        return 200, {"number": self.books.month, "state": "open"}

    def _products(self, customer: str, rest: list[str], body: dict[str, Any]) -> Answer:
        return 200, {"items": [_product(number, left) for number, left in self.books.stock.items() if left]}

    def _orders(self, customer: str, rest: list[str], body: dict[str, Any]) -> Answer:
        books = self.books
        if self.command == "GET":
            return 200, {}
        books.requests += 1
        if books.busy_every and books.requests % books.busy_every == 0:
            return 503, {"type": "urn:cds:problem:busy"}
        cart = books.carts.get(customer, {})
        lines = {line["stock_id"]: line["quantity"] for line in body["lines"]} if "lines" in body else dict(cart)
        answer = books.buy(customer, self.headers["Idempotency-Key"], lines)
        if answer[0] == 201 and "lines" not in body:
            cart.clear()
        lost = books.lose_answer_every and books.requests % books.lose_answer_every == 0
        return (0, {}) if lost else answer

    def _cart(self, customer: str, rest: list[str], body: dict[str, Any]) -> Answer:
        cart = self.books.carts.setdefault(customer, {})
        stock_id = int(rest[0]) if rest else 0
        if self.command == "PUT":
            left = self.books.stock[stock_id]
            if body["quantity"] > left:
                return 409, {"lines": [{"stock_id": stock_id, "wanted": body["quantity"], "available": left}]}
            cart[stock_id] = body["quantity"]
        elif self.command == "DELETE":
            del cart[stock_id]
        return 200, {"lines": [{"stock_id": number, "quantity": count} for number, count in cart.items()]}


class FakeShop(ThreadingHTTPServer):
    """On a port whose system could have customers."""

    daemon_threads = True

    def __init__(self, books: Books) -> None:
        super().__init__(("127.0.0.1", free_port(Addresses(0).traffic)), Handler)
        self.books = books


def _product(number: int, left: int) -> dict[str, Any]:
    price = {"amount": PRICE, "currency": "GBP"}
    return {"stock_id": number, "sku": f"{10000 + number}", "name": "Lantern", "price": price, "available": left}


@dataclass
class Running:
    books: Books
    url: str


@contextlib.contextmanager
def running_shop() -> Iterator[Running]:
    books = Books(stock=dict.fromkeys(range(1, 6), 20))
    server = FakeShop(books)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield Running(books, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()
