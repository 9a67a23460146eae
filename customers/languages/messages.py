"""The catalogues, made ready at import from their .po files: a compiled file beside them could only become stale.

M1  A message that a catalogue lacks, or has as fuzzy only, is shown in English: a missing translation is never an error.
"""

import gettext as standard
import io
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

FOLDER = Path(__file__).parent
DOMAIN = "messages"
DEFAULT = "en"
LANGUAGES = {"en": "English", "pl": "Polski"}
"""Code (BCP 47) -> the language's own name, as the switch shows it."""


def file_of(code: str) -> Path:
    return FOLDER / code / "LC_MESSAGES" / f"{DOMAIN}.po"


def _loaded(code: str) -> standard.NullTranslations:
    if code == DEFAULT:
        return standard.NullTranslations()
    compiled = io.BytesIO()
    with file_of(code).open("rb") as source:
        write_mo(compiled, read_po(source, locale=code))  # leaves fuzzy ones out (M1)
    compiled.seek(0)
    return standard.GNUTranslations(compiled)


CATALOGUES: dict[str, standard.NullTranslations] = {code: _loaded(code) for code in LANGUAGES}
