"""The catalogues, made ready at import from their .po files: a compiled file beside them could only become stale.

M1  A message that a catalogue lacks, or has as fuzzy only, is shown in English: a missing translation is never an error.
M2  No line ends with a word that belongs to the next one: in Polish, one-letter words such as "w" and "z" are followed by a
    space at which no line breaks. Catalogues are written with ordinary spaces.
"""

import gettext as standard
import io
import re
from collections.abc import Sequence
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER = Path(__file__).parent
DOMAIN = "messages"
DEFAULT = "en"
LANGUAGES = {"en": "English", "pl": "Polski"}
"""Code (BCP 47) -> the language's own name, as the switch shows it."""
NO_BREAK = "\N{NO-BREAK SPACE}"
_LONELY = {"pl": re.compile(r"(?<![\w%])([aiouwz]) (?=\S)", re.IGNORECASE)}


def file_of(code: str) -> Path:
    return FOLDER / code / "LC_MESSAGES" / f"{DOMAIN}.po"


def _kept_together(text: str | Sequence[str], code: str) -> str | tuple[str, ...]:
    """M2; for each plural form, if there are several."""
    lonely = _LONELY.get(code)
    if not isinstance(text, str):
        return tuple(str(_kept_together(form, code)) for form in text)
    return lonely.sub(f"\\1{NO_BREAK}", text) if lonely else text


def _loaded(code: str) -> standard.NullTranslations:
    if code == DEFAULT:
        return standard.NullTranslations()
    compiled = io.BytesIO()
    with file_of(code).open("rb") as source:
        catalogue = read_po(source, locale=code)
    for message in catalogue:
        if message.id and message.string:  # not the header
            message.string = _kept_together(message.string, code)
    write_mo(compiled, catalogue)  # leaves fuzzy ones out (M1)
    compiled.seek(0)
    return standard.GNUTranslations(compiled)


CATALOGUES: dict[str, standard.NullTranslations] = {code: _loaded(code) for code in LANGUAGES}
