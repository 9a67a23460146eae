"""Paints a motif: a wall with a pattern, a table, and the thing on it. A pure function, about 1.3 KB of SVG.

By day the wall is pale. On a dark page the same picture is an evening: wall and table deep, the thing as bright as before in
front of a quiet disc of light. The picture follows the page's scheme by itself, so that it has one address for both.
"""

import base64
import hashlib
from functools import lru_cache
from pathlib import Path

from customers.pages.pictures.drawings import DRAWINGS, FOLDER
from customers.pages.pictures.motif import MOSAIC, Motif
from customers.pages.pictures.words import TINTS

_VERSION_DIGITS = 12
_PAINTED_KEPT = 4_096  # about 4 MB

_SOURCES = [*sorted(Path(__file__).parent.glob("*.py")), *sorted(FOLDER.glob("*.svg"))]
VERSION = hashlib.sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:_VERSION_DIGITS]

WALLS = (
    "#ecdcc8", "#d3e2d4", "#d0dfe9", "#f1d8cc", "#e3d9eb", "#f2e2b4", "#cbe4de", "#edd6dc", "#dedfd0", "#d6dbf0",
    "#f3dabb", "#dae6c4", "#a9c4b6", "#d8b79f", "#b3c7dc", "#c9b7d6",
)  # fmt: skip
_FIXED = {"#w": "#b98a57", "#v": "#94683c", "#k": "#35393b", "#c": "#faf3e3", "#g": "#578c5e", "#f": "#edb537"}
_WALLS_FAR = 9  # of all walls, those most unlike the thing's colour may stand behind it

# One tile of the wall's pattern, S wide; the stroke or fill comes with the group around it.
_PATTERNS = (
    '<circle cx="{h}" cy="{h}" r="{q}"/>',
    '<path d="M0 0h{h}v{s}H0z"/>',
    '<path d="M0 0h{h}v{h}H0zM{h} {h}h{h}v{h}H{h}z"/>',
    '<path d="M0 {s}A{h} {h} 0 0 1 {s} {s}z"/>',
    '<path d="M{h} 0 {s} {h} {h} {s} 0 {h}z"/>',
    '<path d="M0 0h{s}v{e}H0zM0 0h{e}v{s}H0z"/>',
    '<path d="M0 0h{s}L{h} {h}z"/>',
    '<path d="M{q} 0h{e}v{q}h{q}v{e}H{h}v{q}H{q}v-{q}H0v-{e}h{q}z"/>',
    '<path d="M0 0a{h} {h} 0 0 0 {h} {h}A{h} {h} 0 0 0 0 0z"/>',
)
_SIZES = (10, 14, 18, 24, 32, 44)
_ANGLES = 12
_STYLE = "@media(prefers-color-scheme:dark){.n{display:inline}.s{opacity:.46}}"
"""Shows what is drawn for the evening (``n``) and dims the disc of light (``s``). What knows no such rule shows the day."""
STYLE_SOURCE = f"'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
"""By which a content policy allows exactly this style and no other."""
_NIGHT_LIGHT = 0.4  # of the wall by day that is left of it in the evening
_NIGHT_DEPTH = 3.2  # exponent that makes a pale colour a full one
_MOSAIC_CELL = 40  # four by three of them
# Each subpath: where it begins in its cell, and the rest in relative commands.
_MOSAIC_SHAPES: tuple[tuple[tuple[int, int, str], ...], ...] = (
    ((0, 0, "h40v40z"),),
    ((0, 0, "h40l-40 40z"),),
    ((0, 0, "a40 40 0 0 1 40 40h-40z"),),
    ((40, 0, "a40 40 0 0 0-40 40h40z"),),
    ((0, 20, "a20 20 0 0 1 40 0 20 20 0 0 1-40 0z"),),
    ((0, 0, "h20v40h-20z"),),
    ((0, 20, "h40v20h-40z"),),
    ((20, 0, "l20 20-20 20-20-20z"),),
    ((0, 0, "a20 20 0 0 0 40 0z"), (0, 40, "a20 20 0 0 1 40 0z")),
)


class _Choices:
    """Numbers for one picture, taken one after the other from the good's digest."""

    def __init__(self, motif: Motif) -> None:
        self._rest = int.from_bytes(hashlib.sha256(motif.number.encode()).digest(), "big")

    def below(self, count: int) -> int:
        self._rest, choice = divmod(self._rest, count)
        return choice


@lru_cache(_PAINTED_KEPT)
def paint(motif: Motif) -> str:
    choices = _Choices(motif)
    colour = TINTS[motif.tint]
    wall = sorted(WALLS, key=lambda wall: -_distance(wall, colour))[choices.below(_WALLS_FAR)]
    inside = _mosaic(choices, wall, colour) if motif.kind == MOSAIC else _scene(motif, choices, wall, colour)
    ground = f'<path fill="{wall}" d="M0 0h160v120H0z"/>'
    style = f"<style>{_STYLE}</style>"
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 120">{style}{ground}{inside}</svg>'


def _scene(motif: Motif, choices: _Choices, wall: str, colour: str) -> str:
    tones = _FIXED | {"#m": colour, "#d": _mixed(colour, "#20120a", 0.28), "#l": _mixed(colour, "#fffaf0", 0.42)}
    drawing = DRAWINGS[motif.kind]
    for letter, tone in tones.items():
        drawing = drawing.replace(f'"{letter}"', f'"{tone}"')
    turned = ' transform="matrix(-1 0 0 1 160 0)"' if choices.below(2) else ""
    pattern, sun = _pattern(choices, wall), _sun(choices, wall)
    table, board = _mixed(wall, "#7a5230", 0.2), f"M0 {95 + choices.below(4)}h160v30H0z"
    return (
        f"{pattern}{_evening(wall, 'M0 0h160v120H0z')}{sun}"
        f'<path fill="{table}" d="{board}"/>{_evening(table, board)}'
        f'<ellipse cx="80" cy="105" fill="#20120a" fill-opacity=".16" rx="46" ry="4"/><g{turned}>{drawing}</g>'
    )


def _pattern(choices: _Choices, wall: str) -> str:
    size = _SIZES[choices.below(len(_SIZES))]
    measures = {"s": size, "h": size // 2, "q": size // 4, "e": max(2, size // 8)}
    tile = _PATTERNS[choices.below(len(_PATTERNS))].format(**measures)
    angle = choices.below(_ANGLES) * 180 // _ANGLES
    fill = _mixed(wall, "#fffdf8", 0.4) if choices.below(2) else _mixed(wall, "#6b4a2e", 0.08)
    return (
        f'<pattern id="p" width="{size}" height="{size}" x="{choices.below(size)}" patternTransform="rotate({angle})" '
        f'patternUnits="userSpaceOnUse"><g fill="{fill}">{tile}</g></pattern><path fill="url(#p)" d="M0 0h160v120H0z"/>'
    )


def _sun(choices: _Choices, wall: str) -> str:
    """A quiet disc behind the thing, so that it stands out from the pattern."""
    x, y, radius = 68 + choices.below(25), 50 + choices.below(15), 42 + choices.below(12)
    return f'<circle class="s" cx="{x}" cy="{y}" r="{radius}" fill="{_mixed(wall, "#fffdf8", 0.45)}"/>'


def _evening(colour: str, shape: str, opacity: float = 0.82) -> str:
    """Lies over the shape in the evening, and lets a little of it through."""
    return f'<path class="n" display="none" fill="{_deep(colour)}" fill-opacity="{opacity:g}" d="{shape}"/>'


@lru_cache(2 * len(WALLS))
def _deep(colour: str) -> str:
    """What a wall or a table by day is in the evening."""
    return "#" + "".join(f"{round(255 * _NIGHT_LIGHT * (part / 255) ** _NIGHT_DEPTH):02x}" for part in _rgb(colour))


def _mosaic(choices: _Choices, wall: str, colour: str) -> str:
    """Four by three tiles of plain shapes in the good's colours: for what has no drawing."""
    tones = (colour, _mixed(colour, "#fffaf0", 0.5), _mixed(wall, "#6b4a2e", 0.16), _mixed(colour, "#20120a", 0.3))
    paths = ["" for _ in tones]
    for row in range(3):
        for column in range(4):
            shape = _MOSAIC_SHAPES[choices.below(len(_MOSAIC_SHAPES))]
            left, top = column * _MOSAIC_CELL, row * _MOSAIC_CELL
            paths[choices.below(len(tones))] += "".join(f"M{left + x} {top + y}{rest}" for x, y, rest in shape)
    tiles = "".join(f'<path fill="{tone}" d="{path}"/>' for tone, path in zip(tones, paths, strict=True) if path)
    return tiles + _evening(wall, "M0 0h160v120H0z", 0.4)


def _distance(one: str, other: str) -> int:
    """Of two colours, squared, in RGB."""
    return sum((a - b) * (a - b) for a, b in zip(_rgb(one), _rgb(other), strict=True))


def _mixed(colour: str, other: str, part: float) -> str:
    """``part`` of the other colour mixed in."""
    mixed = (round(a + (b - a) * part) for a, b in zip(_rgb(colour), _rgb(other), strict=True))
    return "#" + "".join(f"{value:02x}" for value in mixed)


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
