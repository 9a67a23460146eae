"""What goods look like: one small drawing a kind of thing, in the SVG files of the folder beside this file.

Each is a <symbol> on 160 by 120 units that stands on the table's edge at 102. Colours are named by letter and filled in
later: ``#m`` the good's own colour, ``#d`` darker, ``#l`` lighter, ``#w`` wood and ``#v`` darker wood, ``#k`` ink, ``#c``
cream, ``#g`` leaf green, ``#f`` flame yellow.
"""

import re
from pathlib import Path

FOLDER = Path(__file__).parent / "drawings"

_SYMBOL = re.compile(r'<symbol id="([a-z]+)">(.*?)</symbol>', re.DOTALL)


def _read() -> dict[str, str]:
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.svg")))
    return {kind: drawing.replace("\n", "") for kind, drawing in _SYMBOL.findall(text)}


DRAWINGS = _read()
"""Kind to drawing."""
