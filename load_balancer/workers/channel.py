"""Messages over a socket pair between the manager and one worker, in their order.

Pickled: nobody but these two, the parent and its child, holds an end of the pair.
"""

import asyncio
import pickle
import socket
from typing import Generic, Self, TypeVar

Sent = TypeVar("Sent")
Received = TypeVar("Received")

_LENGTH_BYTES = 4


class Channel(Generic[Sent, Received]):
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, one: socket.socket) -> Self:
        return cls(*await asyncio.open_unix_connection(sock=one))

    def send(self, message: Sent) -> None:
        """Waits for nothing; what the other end does not read stays here (``unread_bytes``)."""
        data = pickle.dumps(message)
        self._writer.write(len(data).to_bytes(_LENGTH_BYTES, "big") + data)

    async def receive(self) -> Received | None:
        """The next message; None once the other end is gone."""
        try:
            length = int.from_bytes(await self._reader.readexactly(_LENGTH_BYTES), "big")
            message: Received = pickle.loads(await self._reader.readexactly(length))  # noqa: S301 - our own child or parent
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return message

    @property
    def unread_bytes(self) -> int:
        return self._writer.transport.get_write_buffer_size()

    def close(self) -> None:
        self._writer.close()
