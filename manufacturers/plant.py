"""One manufacturer at work: its ledger, and what its lines need to know of the store without reading the ledger.

P1  Only the event loop's thread touches a plant; ledger work runs in the thread pool, one piece at a time (``_turn``).
P2  The figures here follow the ledger: they change after a commit, never before one. What came off a line but is not in
    the ledger yet (``_finished``) exists in memory only; it may be lost in a crash, for nobody was told of it.
P3  booked + finished units of a product are what the lines see as stored, so a batch is never counted in neither.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

from manufacturers.ledger import Books
from manufacturers.line import Status

Result = TypeVar("Result")


class Plant:
    """The manufacturer ``code``; ``capacity``: units of one product that the store takes."""

    def __init__(self, code: str, name: str, books: Books, capacity: int, pool: Executor) -> None:
        self.code = code
        self.name = name
        self.books = books
        self.statuses: list[Status] = []
        self.urgent: set[str] = set()
        self.something_finished = asyncio.Event()
        self.offers_made = 0
        self._capacity = capacity
        self._pool = pool
        self._turn = asyncio.Lock()
        self._booked: dict[str, int] = {}
        self._finished: dict[str, int] = {}
        self._changed = asyncio.Event()
        self.units_produced = 0

    async def open(self) -> None:
        """Learn from the ledger how things stand."""
        self._booked = await self._in_pool(self.books.units_in_stock)
        self.units_produced = await self._in_pool(self.books.units_produced)

    @property
    def units_in_stock(self) -> int:
        return sum(self._booked.values())

    @property
    def changed(self) -> asyncio.Event:
        """Set at the next change of the stock or of what is urgent that the lines did not cause themselves."""
        return self._changed

    def room(self, sku: str) -> int:
        """Units of the product that still fit into the store."""
        return self._capacity - self._booked.get(sku, 0) - self._finished.get(sku, 0)

    def finish(self, units: Mapping[str, int]) -> None:
        """These came off a line; they lie in stock at the next booking."""
        for sku, number in units.items():
            self._finished[sku] = self._finished.get(sku, 0) + number
            self.urgent.discard(sku)
        if units:
            self.something_finished.set()

    def make_urgent(self, sku: str) -> None:
        """The shop has sold the last one."""
        self.urgent.add(sku)
        self._announce_change()

    async def book(self) -> None:
        """Write into the ledger what came off the lines; on an error it stays to be written."""
        async with self._turn:
            units = dict(self._finished)
            self.something_finished.clear()
            if not units:
                return
            await self._in_pool(lambda: self.books.produce(units))
            for sku, number in units.items():
                self._booked[sku] = self._booked.get(sku, 0) + number
                self._finished[sku] -= number
                if not self._finished[sku]:
                    del self._finished[sku]
            self.units_produced += sum(units.values())

    async def stock(self) -> dict[str, Any]:
        await self.book()
        return await self._in_pool(self.books.stock)

    async def offer(self, month: int) -> str:
        """The offer of the month, as text; raises OfferRefused. What is finished by now is in it."""
        await self.book()
        async with self._turn:
            content, made_now = await self._in_pool(lambda: self.books.offer(month))
            if made_now:
                self._booked = await self._in_pool(self.books.units_in_stock)
                self.offers_made += 1
                self._announce_change()
        return content

    async def accept(self, month: int, sha256: str) -> None:
        await self._in_pool(lambda: self.books.accept(month, sha256))

    async def keep_nonce(self, nonce: str, expires_at: int, now: int) -> None:
        await self._in_pool(lambda: self.books.keep_nonce(nonce, expires_at, now))

    async def nonces(self) -> dict[str, int]:
        return await self._in_pool(self.books.nonces)

    async def report(self, month: int | None) -> dict[str, Any]:
        return await self._in_pool(lambda: self.books.report(month))

    async def _in_pool(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _announce_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
