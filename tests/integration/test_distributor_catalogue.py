"""The catalogue's lists and its search on a real database: what they mean, and by which index they are read.

Numbers (L1 …) are those of distributor/queries/catalogue.py.
"""

import re
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, text

from distributor import queries
from distributor.database import reading, transaction
from tests.distributor_world import World, make_world, rows

CATALOGUE = sys.modules["distributor.queries.catalogue"]
"""The module, whose name is that of a function of the package, too."""


@pytest.fixture
def world(engine: Engine) -> World:
    """Rows 1..5 hold 5, 3, 0, 40 and 1 units; the odd ones are m1's."""
    return make_world(engine, [5, 3, 0, 40, 1])


def change(engine: Engine, statement: str, **parameters: object) -> None:
    with transaction(engine) as connection:
        connection.execute(text(statement), parameters)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("tea", ["Black TEA 100% pure", "Tea_pot"]),
        ("pure black", ["Black TEA 100% pure"]),
        ("100%", ["Black TEA 100% pure"]),
        ("tea-100", ["Black TEA 100% pure"]),
        ("te BL", ["Black TEA 100% pure"]),
        ("pot", ["Tea_pot"]),
        ("eapot", []),
        ("%", []),
        ("_ \\ ☃", []),
        ("tea ☃", ["Black TEA 100% pure", "Tea_pot"]),
        ("back\\slash", ["Back\\slash"]),
        ("éclair", ["ÉCLAIR"]),
        ("p004", ["ÉCLAIR"]),
        ("p004 écl", ["ÉCLAIR"]),
        ("a b c d e f g h i", []),
        ("'; DROP TABLE stock; --", []),
    ],
)
def test_a_search_means_the_beginnings_of_words_and_nothing_else(
    engine: Engine, world: World, q: str, found: list[str]
) -> None:
    named = ["Black TEA 100% pure", "Tea_pot", "Tea for nobody", "ÉCLAIR", "Back\\slash"]
    for stock_id, name in zip(world.stock, named, strict=True):
        change(engine, "UPDATE stock SET name = :name WHERE id = :id", name=name, id=stock_id)
    with transaction(engine) as connection:
        page = queries.catalogue(connection, q=q)
        assert sorted(item.name for item in page.items) == found
        assert (page.total, queries.catalogue_total(connection, q=q)) == (len(found), len(found))


def test_a_word_is_a_longest_run_of_letters_and_digits(engine: Engine) -> None:
    """Also one that looks like a number with an exponent, which PostgreSQL's own parser takes apart."""
    found = rows(engine, "SELECT words_in('9E1951E3 Tea—pot_2 ÉCLAIR+2 ')")
    assert [list(row) for row in found] == [[["9e1951e3", "tea", "pot", "2", "éclair", "2"]]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=100))
def test_any_text_can_be_searched_for(engine: Engine, world: World, q: str) -> None:
    """P7"""
    with transaction(engine) as connection:
        assert queries.catalogue(connection, q=q, sort="price").total <= 4


def test_a_total_that_was_counted_before_is_taken_unless_the_page_knows_better(engine: Engine, world: World) -> None:
    """L3."""
    with transaction(engine) as connection:
        totals = [
            queries.catalogue(connection, page=page, per_page=3, total=total).total
            for page, total in ((1, 9), (1, 2), (2, 9), (3, 9))
        ]
        assert totals == [9, 3, 4, 9]
        assert queries.catalogue_total(connection) == 4


@pytest.mark.parametrize("sort", ["name", "price", "-price"])
def test_a_page_is_the_same_from_whichever_end_it_is_looked_up(engine: Engine, world: World, sort: Any) -> None:
    """L2: with the total at hand, pages behind the middle are read from the end; also among equal prices and names."""
    change(engine, "UPDATE stock SET name = 'Same', price_minor = 500 WHERE id <= :id", id=world.stock[1])
    with transaction(engine) as connection:
        for per_page in (1, 2, 3, 4):
            for page in range(1, 6):
                counted = queries.catalogue(connection, sort=sort, page=page, per_page=per_page)
                given = queries.catalogue(connection, sort=sort, page=page, per_page=per_page, total=4)
                assert given == counted


def test_of_a_long_list_only_its_beginning_has_pages(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L1: what a page and a count cost is bounded, whatever page is asked for and however much there is."""
    monkeypatch.setattr(CATALOGUE, "LISTED_MAX", 3)
    with transaction(engine) as connection:
        assert queries.catalogue_total(connection) == 3
        pages = [
            queries.catalogue(connection, page=page, per_page=2, total=total)
            for page, total in ((1, 3), (2, None), (3, None))
        ]
    assert [(len(page.items), page.total, page.cut) for page in pages] == [(2, 3, True), (1, 3, True), (0, 3, True)]
    monkeypatch.setattr(CATALOGUE, "LISTED_MAX", 5)
    with transaction(engine) as connection:
        page = queries.catalogue(connection, page=2, per_page=3)
    assert (len(page.items), page.total, page.cut) == (1, 4, False)


def test_a_search_of_very_many_goods_is_of_some_of_them_and_says_so(
    engine: Engine, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of its pages costs what so many goods cost; page by page they are the same ones, in the order that is asked for."""
    monkeypatch.setattr(CATALOGUE, "SEARCHED_MAX", 3)
    with transaction(engine) as connection:
        assert queries.catalogue_total(connection, q="product") == 3
        pages = [
            queries.catalogue(connection, q="product", page=page, per_page=2, total=total)
            for page, total in ((1, 3), (2, None), (3, None))
        ]
    assert [(len(page.items), page.total, page.cut) for page in pages] == [(2, 3, True), (1, 3, True), (0, 3, True)]
    names = [item.name for page in pages for item in page.items]
    assert names == sorted(set(names))
    monkeypatch.setattr(CATALOGUE, "SEARCHED_MAX", 5)
    with transaction(engine) as connection:
        page = queries.catalogue(connection, q="product", page=2, per_page=3)
    assert (len(page.items), page.total, page.cut) == (1, 4, False)


def test_a_search_never_walks_through_the_list(engine: Engine, world: World) -> None:
    """Whatever PostgreSQL believes of a word's frequency: words that nothing has would be sought in every row."""
    for q in ("product", "zzz", "p001 zzz", "1"):
        for sort in ("name", "price", "-price"):
            plan = plan_of_the_catalogue(engine, {"q": q, "sort": sort})
            assert not re.search(r"using stock_(name|price)", plan), (q, sort)


def test_the_catalogue_and_its_search_are_read_by_index(engine: Engine, world: World) -> None:
    """Expressions of index and query must stay the same letter by letter, or PostgreSQL silently reads everything."""
    change(
        engine,
        """WITH good AS (INSERT INTO product (sku) SELECT 'S-' || n FROM generate_series(1, 3000) n RETURNING id)
           INSERT INTO stock (product_id, manufacturer_id, name, price_minor, currency, supplied)
           SELECT good.id, m.id, 'Thing ' || good.id, good.id, 'GBP', 1 FROM good, manufacturer m WHERE m.code = 'm1'""",
    )
    change(engine, "ANALYZE")
    for options, index in (
        ({}, "stock_name"),
        ({"sort": "price"}, "stock_price"),
        ({"sort": "-price"}, "stock_price"),
        ({"manufacturer": "m2"}, "stock_manufacturer_name"),
        ({"manufacturer": "m2", "sort": "price"}, "stock_manufacturer_price"),
        ({"manufacturer": "m2", "sort": "-price"}, "stock_manufacturer"),
        ({"q": "thing 2999"}, "stock_words"),
        ({"q": "thing s 2999"}, "stock_words"),
    ):
        assert index in plan_of_the_catalogue(engine, options), options


def test_first_pages_are_not_planned_again_and_again(engine: Engine, world: World) -> None:
    """To plan a page takes PostgreSQL twice as long as to read it. A statement that depends on nothing it plans once,
    another one five times, and compares then."""
    change(engine, "INSERT INTO product (sku) SELECT 'S-' || n FROM generate_series(1, 3000) n")
    change(
        engine,
        """INSERT INTO stock (product_id, manufacturer_id, name, price_minor, currency, supplied)
           SELECT p.id, m.id, 'Thing ' || p.id, p.id, 'GBP', 1 FROM product p, manufacturer m
           WHERE m.code = 'm1' AND p.sku LIKE 'S-%'""",
    )
    change(engine, "ANALYZE")
    with reading(engine) as connection:
        for options in ({}, {"sort": "price"}, {"manufacturer": "m1"}):
            for _time in range(20):
                assert queries.catalogue(connection, total=3_000, **options).items  # type: ignore[arg-type]
        plans = connection.exec_driver_sql(
            "SELECT custom_plans FROM pg_prepared_statements WHERE statement LIKE 'SELECT anon%%'"
        )
        assert sorted(plans.scalars()) == [0, 0, 5], "one depends on something: a manufacturer"


def plan_of_the_catalogue(engine: Engine, options: dict[str, str]) -> str:
    statements: list[tuple[str, object]] = []
    note = lambda _connection, _cursor, statement, parameters, *_more: statements.append((statement, parameters))  # noqa: E731
    with transaction(engine) as connection:
        event.listen(engine, "before_cursor_execute", note)
        queries.catalogue(connection, **options)  # type: ignore[arg-type]
        event.remove(engine, "before_cursor_execute", note)
        plan = connection.exec_driver_sql("EXPLAIN " + statements[0][0], statements[0][1])  # type: ignore[arg-type]
        return "\n".join(row[0] for row in plan)


def test_no_sale_touches_an_index_of_the_catalogue(engine: Engine, world: World) -> None:
    """Otherwise every sale would write all of them: PostgreSQL's HOT updates need that no indexed column changes."""
    change(engine, "UPDATE stock SET sold = sold + 1 WHERE id = :id", id=world.stock[0])
    change(engine, "SELECT pg_stat_force_next_flush()")
    written = rows(engine, "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'stock'")
    assert [tuple(row) for row in written] == [(1, 1)]
