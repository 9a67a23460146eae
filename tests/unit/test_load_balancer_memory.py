"""What is remembered between requests: bounded, and only what comes again."""

from load_balancer.http1.heads import (
    REMEMBERED_LINE_BYTES_MAX,
    REMEMBERED_LINES_MAX,
    REMEMBERED_NAME_BYTES_MAX,
    REMEMBERED_NAMES_MAX,
    KnownLines,
)
from load_balancer.http1.memory import SEEN_PER_KEPT, Memory


def test_only_what_comes_twice_is_kept() -> None:
    """M2."""
    memory: Memory[int] = Memory(10, 100)
    memory.offer(b"a", 1)
    assert memory.known == {}
    memory.offer(b"a", 1)
    assert memory.known == {b"a": 1}


def test_it_stays_bounded_whatever_is_offered() -> None:
    """M1."""
    memory: Memory[int] = Memory(10, 100)
    for number in range(1_000):
        for _ in range(2):
            memory.offer(b"%d" % number, number)
        memory.offer(b"once %d" % number, number)
        assert len(memory.known) <= 10
        assert len(memory._seen) <= 10 * SEEN_PER_KEPT
    memory.known.clear()
    for _ in range(2):
        memory.offer(b"x" * 101, 1)
    assert memory.known == {}


def test_what_comes_once_does_not_push_out_what_is_kept() -> None:
    """M2: a flood of heads that differ leaves those of the other clients where they are."""
    memory: Memory[int] = Memory(10, 100)
    for _ in range(2):
        memory.offer(b"kept", 1)
    for number in range(1_000):
        memory.offer(b"%d" % number, number)
    assert memory.known == {b"kept": 1}


def test_remembered_lines_are_bounded() -> None:
    """N1."""
    known = KnownLines(lambda _: True, frozenset())
    for number in range(3 * REMEMBERED_LINES_MAX):
        known.read([b"X-Number: %d" % number, b"X-Long: %b" % (b"x" * REMEMBERED_LINE_BYTES_MAX)] * 2)
        assert len(known) <= REMEMBERED_LINES_MAX
    assert all(len(text) <= REMEMBERED_LINE_BYTES_MAX for text in known)


def test_remembered_names_are_bounded() -> None:
    """N1."""
    known = KnownLines(lambda _: True, frozenset())
    for number in range(2 * REMEMBERED_NAMES_MAX):
        known.read([b"X-%d: 1" % number, b"X-%b%d: 1" % (b"x" * REMEMBERED_NAME_BYTES_MAX, number)])
        assert len(known._names) <= REMEMBERED_NAMES_MAX
    assert all(len(name) <= REMEMBERED_NAME_BYTES_MAX for name in known._names)
