"""Texts that are written into templates when these are compiled, and cards that are made of stencils."""

import pytest
from flask import Flask
from markupsafe import Markup

from customers.languages import LANGUAGES, LanguageEnvironment, install, language, macros, render_template
from customers.languages.current import speaking
from customers.languages.templates import environment
from customers.pages import filters
from customers.pages.product_cards import cards
from distributor.queries import Item, Maker

WORDS = Markup("<b>")
TEXTS = (
    '{{ _("Cart") }} & {{ gettext("Log in") }}',
    '{{ _("Results for “%(words)s”", words=words) }}{{ _("Page %(page)s of %(pages)s", pages=2, page=words) }}',
    '{{ "<" + _("Cart") }}{{ _("Cart") if words else _("Orders") }}<p lang="{{ language() }}">',
    '{% trans name="<u>" %}  Hello\n  {{ name }} 5% {% endtrans %}{{ _("%(a)s & 100 %%", a="<i>") }}{{ _("%(a)s", a=none) }}',
    '{{ ngettext("%(num)s <b>", "%(num)s <b>s", 2) }}{{ _(words) }}{{ _("%(a)s %(a)s", **{"a": 1}) }}',
    '{{ plural_forms("%(count)s left", "%(count)s left", count="{count}") | tojson | forceescape }}',
    '{% macro m(name) %}{{ _("Served by %(instance)s", instance=name) }}{% endmacro %}<a title="{{ m("\'<>") }}">',
)


@pytest.fixture(scope="module")
def app() -> Flask:
    class Shop(Flask):
        jinja_environment = LanguageEnvironment

    shop = Shop(__name__, template_folder="../../customers/pages/templates")
    install(shop, lambda: "en")
    shop.jinja_env.filters["number"] = filters.number
    return shop


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("source", TEXTS)
def test_a_folded_template_says_what_looking_up_every_text_says(app: Flask, source: str, code: str) -> None:
    """F1: also of what cannot be folded, and escaped in the same way."""
    source = "{% autoescape true %}" + source + "{% endautoescape %}"
    with app.test_request_context(), speaking(code):
        expected = app.jinja_env.from_string(source).render(words="<i>&")
        assert environment(app).from_string(source).render(words="<i>&") == expected
        assert language() == code


def test_texts_lie_in_the_compiled_template(app: Flask) -> None:
    """What F1 is for: nothing is looked up when the page is made."""
    source = (
        '{% autoescape true %}{{ _("Cart") }}{{ _("Page %(page)s of %(pages)s", page=1, pages=n) }}{% endautoescape %}'
    )
    with app.test_request_context(), speaking("pl"):
        compiled = str(environment(app).compile(source, raw=True))
        assert "Koszyk" in compiled
        assert "gettext" not in compiled
        assert "'_'" not in compiled


def test_each_language_has_its_templates(app: Flask) -> None:
    """F2: neither takes what the other compiled."""
    with app.test_request_context():
        made = []
        for code in ("en", "pl", "en"):
            with speaking(code):
                made.append(
                    (macros("parts.html").label_of("quantity"), render_template("catalogue_title.html", wanted={}))
                )
    assert made == [("Quantity", "Catalogue"), ("Liczba sztuk", "Katalog"), ("Quantity", "Catalogue")]


def test_nothing_that_is_read_from_a_good_becomes_code(app: Flask) -> None:
    """cards.D2, and no text of a good opens a hole or is taken for one."""
    names = ("<script>", "100 % %(price)s %s", "\ue000price\ue001", '" onload="x')
    with app.test_request_context():
        for name in names:
            made = str(cards((_item(name),), can_add=True))
            assert made.count(str(Markup.escape(name))) == 2, "as the card's name and in its button's label"
            assert "<script>" not in made
            assert made.count('class="price"') == 1


def test_a_card_says_what_there_is(app: Flask) -> None:
    """Badges, makers and the button, apart by language and by what can be added (D1)."""
    with app.test_request_context():
        assert "<button" not in cards((_item("Kettle"),), can_add=False)
        assert "<button" not in cards((_item("Kettle", available=0),), can_add=True)
        assert "sold out" in cards((_item("Kettle", available=0),), can_add=True)
        assert "held" in cards((_item("Kettle", available=0, in_other_carts=3),), can_add=True)
        assert 'class="left few" data-stock="7">2 left<' in cards((_item("Kettle", available=2),), can_add=True)
        assert "also from" not in cards((_item("Kettle"),), can_add=True)
        assert "1,200 left" in cards((_item("Kettle", available=1_200),), can_add=True)
        assert "also from 2 others" in cards((_item("Kettle", makers=3),), can_add=True)
        with speaking("pl"):
            assert "zostało 12 szt." in cards((_item("Kettle", available=12),), can_add=True)


def _item(name: str, available: int = 9, in_other_carts: int = 0, makers: int = 1) -> Item:
    return Item(7, "SKU-1", name, Maker("m1", "Works & Co"), 1250, "GBP", available, in_other_carts, name, makers)
