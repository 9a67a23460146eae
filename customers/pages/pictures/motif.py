"""What a picture shows, as its address says it: kind of thing, its colour, and the good's own number."""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from customers.pages.pictures.drawings import DRAWINGS
from customers.pages.pictures.words import TINTS, kind_in, tint_in, usual_tint, words_of

MOSAIC = "mosaic"
"""The kind of a good whose name says nothing that we can draw."""

_NUMBER_DIGITS = 8
_ADDRESS = re.compile(rf"([a-z]{{2,20}})-([a-z]{{2,20}})-([0-9a-f]{{{_NUMBER_DIGITS}}})")
_NAMES_KEPT = 20_000  # twice the goods of a large shop; about 4 MB


@dataclass(frozen=True)
class Motif:
    """``number``: eight hexadecimal digits of the sku's digest, from which all that no word decides is taken."""

    kind: str
    tint: str
    number: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.tint}-{self.number}"


@lru_cache(_NAMES_KEPT)
def motif_of(sku: str, name: str) -> Motif:
    digest = hashlib.sha256(sku.encode()).digest()
    words = words_of(name)
    kind = kind_in(words) or MOSAIC
    return Motif(kind, tint_in(words) or usual_tint(kind, digest[-1]), digest[: _NUMBER_DIGITS // 2].hex())


def read_motif(address: str) -> Motif | None:
    """What `str` wrote, or None for anything else."""
    found = _ADDRESS.fullmatch(address)
    if not found or (found[1] not in DRAWINGS and found[1] != MOSAIC) or found[2] not in TINTS:
        return None
    return Motif(found[1], found[2], found[3])
