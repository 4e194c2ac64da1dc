"""The tables of the pages are those of the recorded results, and so is the picture."""

import re

import pytest

from benchmarks import page_tables
from docs import pages

pytestmark = pytest.mark.any_backend


def test_the_tables_are_those_of_the_results():
    assert not page_tables.stale(), "make docs"


@pytest.mark.parametrize("name", page_tables.LAYOUTS)
def test_every_layout_is_shown(name):
    assert any(f"<!-- table: {name} -->" in page.read_text() for page in page_tables.pages())


def test_a_changed_figure_would_be_noticed():
    text = (pages.ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"\| ce \| (\d+\.\d+)", text)
    changed = text.replace(shown[1], "99.99", 1)
    assert page_tables.filled(changed) == text != changed


def test_no_table_stands_outside_its_marks():
    """Accuracies and times come from results, wherever a page shows them."""
    for page in page_tables.pages():
        if page.parent.name == "methods":  # test_cards.py
            continue
        rest = page_tables.REGION.sub("", page.read_text(encoding="utf-8"))
        assert not re.findall(r"^\|.*\d ± \d", rest, re.MULTILINE), page


def test_a_comparison_names_every_recipe_or_none():
    with pytest.raises(ValueError, match="every recipe"):
        page_tables.comparison("digits-lt", order=("ce",))
