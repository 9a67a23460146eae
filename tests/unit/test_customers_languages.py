"""Which language is chosen, and that its catalogue is whole. Numbers (Q1 …) are those of customers/languages."""

import re
from collections.abc import Iterator

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po
from flask import Flask

from customers.languages import DEFAULT, LANGUAGES, gettext, install, language, lazy_gettext, ngettext
from customers.languages.accepted import best
from customers.languages.formats import LOCALES, plural_category
from customers.languages.messages import CATALOGUES, file_of
from customers.languages.texts import plural_forms
from customers.pages.filters import time_left, times
from deploy.messages import extracted, updated

OFFERED = tuple(LANGUAGES)
TRANSLATED = [code for code in LANGUAGES if code != DEFAULT]
PLACE = re.compile(r"%\((\w+)\)s|\{(\w+)\}")  # filled by us, or by a script in the browser


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "en"),
        ("pl", "pl"),
        ("PL", "pl"),
        ("pl-PL,pl;q=0.9,en-US;q=0.8,en;q=0.7", "pl"),
        ("en-US,en;q=0.9,pl;q=0.8", "en"),
        ("de-DE,de;q=0.9,pl;q=0.2,en;q=0.1", "pl"),
        ("en;q=0.1, pl;q=0.2", "pl"),
        ("pl ; q = 0.5 , en ; q=0.4", "pl"),
        ("pl,en", "pl"),
        ("en,pl", "en"),
        ("de, fr;q=0.5", "en"),
        ("*", "en"),
        ("de, *;q=0.5", "en"),
        ("en;q=0, *", "pl"),
        ("en;q=0", "pl"),
        ("en;q=0, pl;q=0", "en"),
        ("pl;q=0.0, *;q=0.1", "en"),
        ("pl-PL;q=0, pl;q=0.3, en;q=0.2", "pl"),
    ],
)
def test_the_best_offered_language_is_taken(header: str, code: str) -> None:
    """RFC 9110, 12.5.4; Q2."""
    assert best(header, OFFERED, DEFAULT) == code


@pytest.mark.parametrize(
    "header",
    ["pl;q=2", "pl;q=", "pl;q=1.5", "pl;q=-1", "pl;q=0.1234", "pl;q=nan", "pl;level=1", "p l e", ",,,;;;", "\x00", "pł",
     "polski-polski", "pl_PL", "q=1", "pl" * 5_000, "de," * 5_000 + "pl", "*-PL;q=x"],
)  # fmt: skip
def test_what_cannot_be_read_is_passed_over(header: str) -> None:
    """Q1."""
    assert best(header, OFFERED, DEFAULT) == "en"


def test_outside_of_a_request_everything_is_english() -> None:
    """C2."""
    assert language() == "en"
    assert gettext("%(count)s left", count=3) == "3 left"
    assert ngettext("%(num)s unit", "%(num)s units", 1) == "1 unit"
    assert ngettext("%(num)s unit", "%(num)s units", 1_234, num="1,234") == "1,234 units"
    assert str(lazy_gettext("100 % cotton")) == "100 % cotton"


def catalogue(code: str) -> Catalog:
    with file_of(code).open("rb") as source:
        return read_po(source, locale=code)


def texts(code: str) -> list[Message]:
    return [message for message in catalogue(code) if message.id]


def pairs(message: Message) -> Iterator[tuple[str, str]]:
    """A message's English texts beside its translations; each plural form beside the English plural."""
    if isinstance(message.id, str):
        yield message.id, str(message.string)
    else:
        for form in message.string or ():
            yield message.id[1], form


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_has_every_text_of_the_code_and_no_other(code: str) -> None:
    """If this fails: run `.venv/bin/python deploy/messages.py`, then translate what is new in customers/languages."""
    assert file_of(code).read_text(encoding="utf-8") == updated(code, extracted())


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_text_is_translated(code: str) -> None:
    untranslated = [message.id for message in texts(code) if not all(text for _, text in pairs(message))]
    fuzzy = [message.id for message in texts(code) if message.fuzzy]
    assert untranslated + fuzzy == []


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_has_the_places_of_its_text(code: str) -> None:
    """Only the form for exactly one may leave the number out."""
    wrong = [
        (english, text)
        for message in texts(code)
        for index, (english, text) in enumerate(pairs(message))
        if set(PLACE.findall(text)) != set(PLACE.findall(english))
        and not (message.pluralizable and index == 0 and set(PLACE.findall(text)) <= set(PLACE.findall(message.id[0])))
    ]
    assert wrong == []


def test_no_polish_line_ends_with_a_one_letter_word() -> None:
    """M2, in plural forms, too; English keeps its spaces, and a letter that begins a longer word is left alone."""
    polish, english = CATALOGUES["pl"], CATALOGUES["en"]
    assert polish.gettext("In stock now") == "Teraz w\xa0sprzedaży"
    assert polish.gettext("%(left)s of %(wanted)s left") == "dostępne: %(left)s z\xa0%(wanted)s"
    assert polish.ngettext("This order and %(count)s other", "This order and %(count)s others", 2).startswith(
        "To zamówienie i\xa0"
    )
    assert polish.gettext("Go to the cart") == "Przejdź do koszyka"
    assert english.gettext("A price changed") == "A price changed"
    singular = {
        english_text: polish.gettext(english_text) for message in texts("pl") for english_text, _ in pairs(message)
    }
    found = {text for english_text, text in singular.items() if text != english_text}
    assert len(found) > 300
    assert [text for text in found if re.search(r"(?<![\w%])[aiouwz] ", text, re.IGNORECASE)] == []


ABBREVIATED = re.compile(r"\bszt\.$")  # units, as Polish shops write them: short, and the same in every case


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_translation_ends_as_its_text_does(code: str) -> None:
    """A sentence stays a sentence and a label a label."""
    ends = re.compile(r"[.!?:…]?$")
    wrong = [
        (english, text)
        for message in texts(code)
        for english, text in pairs(message)
        if ends.findall(ABBREVIATED.sub("", text))[0] != ends.findall(english)[0] or text != text.strip()
    ]
    assert wrong == []


@pytest.mark.parametrize("code", LANGUAGES)
def test_plural_forms_are_those_of_cldr(code: str) -> None:
    """The browser chooses by CLDR (Intl.PluralRules), the server by the catalogue's own rule."""
    forms: dict[str, set[str]] = {}
    one, many = "%(count)s product", "%(count)s products"
    for number in range(1_001):
        forms.setdefault(plural_category(number, code), set()).add(CATALOGUES[code].ngettext(one, many, number))
    assert all(len(found) == 1 for found in forms.values())
    assert len(set.union(*forms.values())) == len(forms)


def test_polish_counts_as_poles_do() -> None:
    assert [plural_category(n, "pl") for n in (0, 1, 2, 4, 5, 12, 14, 21, 22, 25, 101, 102, 112)] == [
        "many", "one", "few", "few", "many", "many", "many", "many", "few", "many", "many", "few", "many",
    ]  # fmt: skip


def test_every_language_has_formats() -> None:
    assert {code: locale.language for code, locale in LOCALES.items()} == {code: code for code in LANGUAGES}


def test_a_script_gets_every_plural_form_and_the_words_of_times_left() -> None:
    app = Flask(__name__)
    install(app, lambda: "pl")
    with app.test_request_context():
        assert plural_forms("%(count)s left", "%(count)s left", count="{count}") == {
            "many": "zostało {count} szt.",
            "one": "została {count} szt.",
            "few": "zostały {count} szt.",
        }
        assert times()["hours"] == "{hours} godz. {minutes} min"
        assert time_left(2 * 3_600 + 5 * 60) == "2 godz. 05 min"


def test_templates_escape_values_and_not_texts() -> None:
    """T1, T2: as Jinja's own wrappers do, which are slower."""
    app = Flask(__name__)
    install(app, lambda: "en")
    template = app.jinja_env.from_string(
        '{% autoescape true %}{{ _("%(a)s & 100 %%", a="<i>") }}|{{ ngettext("%(num)s <b>", "%(num)s <b>s", 2) }}|'
        '{% trans name="<u>" %}  Hello\n  {{ name }} 5% {% endtrans %}|{{ "<" + _("Cart") }}{% endautoescape %}'
    )
    with app.test_request_context():
        assert template.render() == "&lt;i&gt; & 100 %|2 <b>s|Hello &lt;u&gt; 5%|&lt;Cart"
