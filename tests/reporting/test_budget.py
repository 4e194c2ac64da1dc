"""A page stays small whatever it is made of, and says what it lacks."""

import dataclasses

import pytest
from markupsafe import Markup

from keras_ccsam.analysis.report import budget
from keras_ccsam.analysis.report.blocks import (
    Cell,
    Code,
    Column,
    Details,
    Figure,
    Section,
    Table,
    Tabs,
    Text,
)
from keras_ccsam.analysis.report.page import Page, Part

pytestmark = pytest.mark.any_backend


def page(*blocks):
    return Page("t", "s", [], [Part("", "", [Section("a", "A", "", list(blocks))])], {})


def figure(panels, weight=1000):
    drawings = [Markup(f"<svg>{number}{'x' * weight}</svg>") for number in range(panels)]
    return Figure(drawings, "What one sees.")


def table(rows):
    return Table([Column("c")], [[Cell(f"row {number}")] for number in range(rows)], "Rows.")


def test_a_small_page_stays_as_it_is():
    small = page(figure(3), table(500))
    made, short = budget.within(small)
    assert made is small and short == 0


def test_the_heaviest_are_cut_and_say_so():
    light, heavy = figure(2), figure(400)
    whole = page(light, Tabs("x", [("a", [heavy]), ("b", [Text("kept")])]))
    limit = len(page().html()) + 150_000
    made, short = budget.within(whole, limit)
    html = made.html()
    assert len(html.encode()) <= limit and short == 1
    assert "of 400 panels are left out: report on fewer runs to see them." in html
    assert "kept" in html
    first, tabs = made.parts[0].sections[0].blocks
    assert first is light
    # What is kept is the beginning, and no more is cut than must be.
    (shown,) = tabs.tabs[0][1]
    assert list(shown.panels) == list(heavy.panels[: len(shown.panels)])
    assert len(shown.panels) == 100


def test_tables_and_texts_within_details_are_cut_too():
    text = Code("y" * 90_000, "recipe")
    whole = page(Details("more", [table(3000), text]), figure(1, 10))
    limit = len(page().html()) + 40_000
    made, short = budget.within(whole, limit)
    html = made.html()
    assert len(html.encode()) <= limit and short == 2
    assert "row 0" in html and "row 2999" not in html and "rows are left out" in html
    assert "recipe (its beginning)" in html


def test_what_cannot_be_cut_is_left():
    whole = page(Text("z" * 5000), table(20))
    made, short = budget.within(whole, 100)
    assert short == 0 and made.html() == whole.html()
    empty, short = budget.within(page(figure(1)), 100)
    assert short == 1 and "1 of 1 panels are left out" in empty.html()


def test_a_page_of_several_data_sets_keeps_its_parts():
    both = dataclasses.replace(page(figure(50)), parts=page(figure(50)).parts * 2)
    made, _ = budget.within(both, len(page().html()) + 60_000)
    assert len(made.parts) == 2


def test_names_from_a_locale_that_is_not_utf_8():
    folder = "köln".encode().decode("ascii", "surrogateescape")  # as LC_ALL=C reads it
    assert "köln" in page(Text(folder)).html()
    page(Text(folder)).html().encode("utf-8")
