"""Request bodies that are collected before a server is chosen, and the memory that all of them together may take."""

from typing import Final

BODY_BUFFER_BYTES: Final = 1_048_576  # of one request
BODY_BUFFERS_BYTES_MAX: Final = 67_108_864  # of all requests together; then new bodies are refused


class BodyMemory:
    """How much all collected bodies take."""

    def __init__(self) -> None:
        self.bytes = 0


class CollectedBody:
    """One body, piece by piece; ``take`` or ``forget`` it, else its memory stays counted."""

    __slots__ = ("_memory", "_pieces", "_size")

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        self._memory.bytes += len(data)

    @property
    def large(self) -> bool:
        """Whether it is no longer collected, but streamed."""
        return self._size > BODY_BUFFER_BYTES

    @property
    def too_much(self) -> bool:
        """Whether all bodies together take too much memory."""
        return self._memory.bytes > BODY_BUFFERS_BYTES_MAX

    def take(self) -> bytes:
        """The body; it is no longer counted here."""
        if not self._size:
            return b""
        data = b"".join(self._pieces)
        self.forget()
        return data

    def forget(self) -> None:
        if self._size:
            self._memory.bytes -= self._size
            self._pieces = []
            self._size = 0
