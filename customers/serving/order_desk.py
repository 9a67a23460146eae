"""Purchases of programs without Flask and, with a strategy that sells in groups, without a thread for each.

Most of what a purchase costs an instance is handing it around. Here the event loop reads the request; one thread looks up
whose sessions came meanwhile, has them sold together and wakes the loop once for all of them.

K1  The answer is that of api/shop_views.py, header for header; a test compares them.
K2  Only what is quite ordinary is read here, and only a purchase that was made is answered here. Everything else, a guest,
    a mistake in the request, a refusal, a failure, goes the usual way, and takes along what was decided already: nothing is
    sold, asked or counted twice.
K3  A session is looked up with every request, in the database (P6); so are the card and the month.
K4  A purchase that the usual way repeats has its key: what was sold here is found again there (P3).
K5  Nobody waits for a thread that is not there: when it ends, whatever the reason, all who wait go the usual way, and so does
    whoever comes later. Its statements are bounded by the database's own limits, and by patience
    (distributor/patience.py) where those stand still.
"""

import asyncio
import hashlib
import json
import logging
import re
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from customers import compression, metrics, purchase, request_id, security_headers
from customers.api.calls import PREFIX
from customers.api.models import NewOrder
from customers.errors import TooManyAttempts
from customers.instance import Instance
from customers.purchase import DECIDED, Decided, Wanted
from customers.rate_limits import Limited, Standing
from customers.serving.lanes import Lane
from customers.serving.wsgi import Answer, Environ, Fields
from distributor.errors import DistributorError
from distributor.sales import Answer as Sold
from distributor.sales import Asked, Line, Unsettled

PATH = f"{PREFIX}/orders"
RAW_PATH = PATH.encode()
# About 400 lines: what waits is bounded by it and WAITING_MAX, and so is a neighbour's patience.
BODY_BYTES_MAX = 16_384
WAITING_MAX = 1_000  # more take the usual way, which tells them to come again
GATHERING_SECONDS = 0.002  # measured: see docs/decisions/0042
GATHERING_FROM = 8  # purchases in the last group; fewer are no crowd, and nobody is made to wait for others

_TYPES = frozenset({b"application/json", b"application/json; charset=utf-8", b"application/json;charset=utf-8"})
_UNUSUAL = frozenset({b"transfer-encoding", b"content-encoding", b"if-match", b"expect"})
_BEARER = re.compile(rb"Bearer ([A-Za-z0-9_-]{43})")

logger = logging.getLogger(__name__)


def _unlike_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        message = "the same key twice"
        raise ValueError(message)
    return found


# Made once: to make them anew for each order takes as long as to use them.
_DECODER = json.JSONDecoder(object_pairs_hook=_unlike_keys)
_ENCODER = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"))


@dataclass(frozen=True)
class _Ticket:
    """One purchase that waits. ``future`` belongs to ``loop``."""

    token_sha256: str
    wanted: Wanted
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Decided | None]"
    since: float


@dataclass(frozen=True)
class _LetIn:
    """A ticket with its customer, counted on the customer's quota; ``position``: among the tickets it came with."""

    position: int
    customer_id: int
    ticket: _Ticket
    standing: Standing | None

    def asked(self) -> Asked:
        wanted = self.ticket.wanted
        return Asked(self.customer_id, wanted.key, wanted.lines, wanted.fingerprint(), self.ticket.since)


def gathering_seconds(last: int, waiting: int, groups_max: int) -> float:
    """How long to wait for more than those who are ``waiting``, after a group of ``last``. Pure.

    In a crowd those who were just answered are about to ask again. A group costs about the same whatever its size, so that
    half as many groups are worth a wait that is short beside the group's own time.
    """
    return GATHERING_SECONDS if last >= GATHERING_FROM and waiting < groups_max else 0.0


class OrderDesk:
    """One object an instance; all but `_work` and `_sell` is called on the event loop."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._groups_max = instance.sales.groups_max
        self._waiting: SimpleQueue[_Ticket | None] = SimpleQueue()
        self._fields = _fields_of_all(instance)
        self._is_open = True
        if self._groups_max > 1:
            threading.Thread(target=self._work, name="order-desk", daemon=True).start()

    @property
    def waiting(self) -> int:
        return self._waiting.qsize()

    def is_for(self, scope: Any) -> bool:
        """By the head alone (K2)."""
        if scope["raw_path"] != RAW_PATH or scope["method"] != "POST" or scope["http_version"] != "1.1":
            return False
        sent = dict(scope["headers"])
        if len(sent) != len(scope["headers"]) or scope["query_string"] or not _UNUSUAL.isdisjoint(sent):
            return False
        length = sent.get(b"content-length", b"0")
        return (
            sent.get(b"content-type") in _TYPES
            and length.isdigit()
            and 0 < int(length) <= BODY_BYTES_MAX
            and self._is_open
            and self.waiting < WAITING_MAX
        )

    async def ask(self, scope: Any, body: bytes, lane: Lane) -> Answer | Environ:
        """The answer, or what the usual way is to know (K2). ``lane``: for strategies that sell one by one."""
        began = time.perf_counter()
        sent = dict(scope["headers"])
        ticket = _read(sent, body)
        decided = None if ticket is None else await self._decide(ticket, lane)
        if decided is None:
            return {}
        answer = self._answer(sent, decided)
        if answer is None:
            return {DECIDED: decided}
        metrics.request_answered(PATH, "POST", answer.status, time.perf_counter() - began)
        return answer

    async def _decide(self, ticket: _Ticket, lane: Lane) -> Decided | None:
        if self._groups_max == 1:
            [decided] = await lane.call(partial(self._sell, [ticket]))
            return decided
        self._waiting.put(ticket)
        if not self._is_open:  # K5
            self._send_away([])
        return await ticket.future

    def _answer(self, sent: dict[bytes, bytes], decided: Decided) -> Answer | None:
        """Of a purchase that was made; None where the usual way says more, or would send it coded (K1, K2)."""
        sold = decided.told
        if not isinstance(sold, Sold) or sold.status != 201:
            return None
        content = _ENCODER.encode(sold.body).encode() + b"\n"
        accepted = sent.get(b"accept-encoding", b"").decode("latin-1")
        if len(content) >= compression.BYTES_MIN and compression.accepts_gzip(accepted):
            return None
        metrics.order_asked("replayed" if sold.replayed else "placed")
        return Answer(201, [*self._fields, *_own_fields(sent, decided, sold, content)], content)

    def end(self) -> None:
        self._waiting.put(None)

    def _work(self) -> None:
        """The thread that sells in groups: whoever came while the last group was sold is the next one."""
        tickets: list[_Ticket] = []
        try:
            while tickets := self._next(len(tickets)):
                _deliver(tickets, self._sell(tickets))
        finally:  # K5: also by what no `except` of ours knows; those of the last group that have their answer keep it
            self._is_open = False
            self._send_away(tickets)

    def _next(self, last: int) -> list[_Ticket]:
        """Waits for the first one; empty when the desk ends. ``last``: how many the last group had."""
        tickets: list[_Ticket] = []
        following = self._waiting.get()
        if seconds := gathering_seconds(last, 1 + self.waiting, self._groups_max):
            time.sleep(seconds)
        while following is not None:
            tickets.append(following)
            if len(tickets) == self._groups_max:
                return tickets
            try:
                following = self._waiting.get_nowait()
            except Empty:
                return tickets
        if tickets:  # these first
            self._waiting.put(None)
        return tickets

    def _send_away(self, tickets: list[_Ticket]) -> None:
        """These, and all who wait: by the thread that ends, and by who came to the queue after it had looked there."""
        with suppress(Empty):
            while True:
                ticket = self._waiting.get_nowait()
                if ticket is not None:
                    tickets.append(ticket)
        if tickets:
            _deliver(tickets, [None] * len(tickets))

    def _sell(self, tickets: Sequence[_Ticket]) -> list[Decided | None]:
        """None: the usual way finds out by itself why not (K2, K4)."""
        try:
            customers = self._instance.accounts.customers_of_tokens([ticket.token_sha256 for ticket in tickets])
        except DistributorError:
            return [None] * len(tickets)
        except Exception:
            logger.exception("%d purchases take the usual way", len(tickets))
            return [None] * len(tickets)
        return self._sold(tickets, customers)

    def _sold(self, tickets: Sequence[_Ticket], customers: Mapping[str, int]) -> list[Decided | None]:
        decided: list[Decided | None] = [None] * len(tickets)
        for group in _groups(self._let_in(tickets, customers)):
            told = self._placed([one.asked() for one in group])
            for one, answer in zip(group, told, strict=True):
                decided[one.position] = Decided(answer, one.standing)
        return decided

    def _let_in(self, tickets: Sequence[_Ticket], customers: Mapping[str, int]) -> Iterator[_LetIn]:
        """Those whose session lives and whose quota has room; to the others the usual way says why not (K2)."""
        for position, ticket in enumerate(tickets):
            customer_id = customers.get(ticket.token_sha256)
            if customer_id is None:
                continue
            try:
                standing = self._instance.rate_limits.spend(Limited.ORDERS, customer_id, "")
            except TooManyAttempts:
                continue
            yield _LetIn(position, customer_id, ticket, standing)

    def _placed(self, asked: Sequence[Asked]) -> Sequence[Sold | DistributorError | Unsettled]:
        """Raises nothing: they were counted already, and others of the same tickets are sold perhaps (K2)."""
        try:
            return self._instance.sales.place_group(asked)
        except Exception:
            logger.exception("%d purchases are placed by themselves", len(asked))
            return [Unsettled(one.since) for one in asked]


def _groups(let_in: Iterable[_LetIn]) -> list[list[_LetIn]]:
    """In as few groups as can be without a customer twice in one, each in the order in which they came. Pure."""
    groups: list[dict[int, _LetIn]] = []
    for one in let_in:
        group = next((group for group in groups if one.customer_id not in group), None)
        if group is None:
            groups.append(group := {})
        group[one.customer_id] = one
    return [list(group.values()) for group in groups]


def _read(sent: dict[bytes, bytes], body: bytes) -> _Ticket | None:
    """None for whatever is not quite ordinary (K2)."""
    bearer = _BEARER.fullmatch(sent.get(b"authorization", b""))
    key = sent.get(b"idempotency-key", b"").decode("latin-1")
    if bearer is None or not purchase.is_key(key):
        return None
    try:
        order = NewOrder.model_validate(_DECODER.decode(body.decode()))
    except (ValueError, RecursionError):
        return None
    lines = [Line(line.stock_id, line.quantity) for line in order.lines] or None
    loop = asyncio.get_running_loop()
    token_sha256 = hashlib.sha256(bearer[1]).hexdigest()
    return _Ticket(token_sha256, Wanted(key, lines), loop, loop.create_future(), time.monotonic())


def _deliver(tickets: Sequence[_Ticket], decided: Sequence[Decided | None]) -> None:
    """Wakes the loop once."""

    def settle() -> None:
        for ticket, one in zip(tickets, decided, strict=True):
            if not ticket.future.done():  # the client may have gone
                ticket.future.set_result(one)

    loop = tickets[0].loop
    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:  # the loop has ended meanwhile, and with it whoever waited
        if not loop.is_closed():
            raise


def _fields_of_all(instance: Instance) -> Fields:
    """What every answer has, made by those who make it for the usual way (K1)."""
    on_all = dict(security_headers.fields(behind_tls=instance.runtime.settings.customers.secure_cookies))
    own = {"Content-Type": "application/json", "Vary": "Accept-Encoding", "X-Served-By": instance.name}
    return [(name.lower().encode(), value.encode()) for name, value in (on_all | own).items()]


def _own_fields(sent: dict[bytes, bytes], decided: Decided, told: Sold, content: bytes) -> Fields:
    number = request_id.chosen(sent.get(b"x-request-id", b"").decode("latin-1"))
    fields = [
        (b"content-length", b"%d" % len(content)),
        (b"location", f"{PATH}/{told.body['id']}".encode()),
        (b"x-request-id", number.encode()),
    ]
    if told.replayed:
        fields.append((b"idempotency-replayed", b"true"))
    if told.contention:
        fields.append((b"server-timing", purchase.timing(told.contention).encode()))
    if decided.standing:
        fields.append((b"ratelimit-policy", decided.standing.policy_item().encode()))
        fields.append((b"ratelimit", decided.standing.item().encode()))
    return fields
