#!/usr/bin/env python3
"""Bring the shop's catalogues up to date with its texts: `.venv/bin/python deploy/messages.py`, after any text has changed.

New texts come in untranslated (msgstr ""), texts that are gone go out, translations stay. Then fill in what is new: in
customers/languages/*/LC_MESSAGES/messages.po. A test fails until everything is translated.
"""

import io
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from customers.languages.messages import DEFAULT, LANGUAGES, file_of  # noqa: E402 - found only now

WIDTH = 110
HEADER = """msgid ""
msgstr ""
"Language: {code}\\n"
"Plural-Forms: {forms}\\n"
"Content-Type: text/plain; charset=utf-8\\n"

"""  # no dates and no versions: the file changes with its texts only
# The distributor speaks to programs; of its texts only the rules for a basket reach people.
KEYWORDS = DEFAULT_KEYWORDS | {"lazy_gettext": None, "plural_forms": (1, 2), "InvalidBasket": (2,)}
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2.ext:babel_extract")]
OPTIONS = {"**/templates/**.html": {"trimmed": "true", "newstyle_gettext": "true", "silent": "false"}}
FOLDERS = ("customers", "distributor")


def extracted() -> Catalog:
    """Every text of the code, in the order of its files."""
    found = Catalog()
    for folder in FOLDERS:
        messages = extract_from_dir(ROOT / folder, METHODS, OPTIONS, KEYWORDS, comment_tags=("For translators:",))
        for _, _, message, comments, context in messages:
            found.add(message, auto_comments=comments, context=context)
    return found


def updated(code: str, texts: Catalog) -> str:
    """The language's file as it has to be for ``texts``."""
    with file_of(code).open("rb") as source:
        catalogue = read_po(source, locale=code)
    catalogue.update(texts, no_fuzzy_matching=True)
    written = io.BytesIO()
    write_po(
        written, catalogue, width=WIDTH, no_location=True, omit_header=True, sort_output=True, ignore_obsolete=True
    )
    return HEADER.format(code=code, forms=catalogue.plural_forms) + written.getvalue().decode().lstrip()


def main() -> None:
    texts = extracted()
    for code in LANGUAGES:
        if code == DEFAULT:
            continue
        file_of(code).write_text(updated(code, texts), encoding="utf-8")
        with file_of(code).open("rb") as source:
            empty = [message.id for message in read_po(source, locale=code) if message.id and not message.string]
        print(f"{file_of(code).relative_to(ROOT)}: {len(texts)} texts, {len(empty)} not translated")  # noqa: T201


if __name__ == "__main__":
    main()
