"""The cards are those that the methods declare, and every recipe is on one."""

import pytest

from docs import cards
from keras_ccsam import recipes

pytestmark = pytest.mark.any_backend


@pytest.fixture(scope="module")
def written():
    return cards.written()


def test_the_cards_are_up_to_date(written):
    there = {path.name: path.read_text(encoding="utf-8") for path in cards.FOLDER.glob("*.md")}
    assert there.keys() == written.keys(), "make docs"
    for name, text in written.items():
        assert there[name] == text, f"make docs: {name}"


def test_every_recipe_is_on_a_card():
    shown = {name for card in cards.cards() for name in card.recipes}
    assert shown == set(recipes.names())


@pytest.mark.parametrize("card", cards.cards(), ids=lambda card: card.name)
def test_a_card_says_what_it_has_to(card, written):
    text = written[f"{card.name}.md"]
    # The plain gradient is its own formula.
    titles = ["Formula"] * (card.name != "cross-entropy")
    for title in ("What it does", "Cost", "Source", "Measured", *titles):
        assert f"\n## {title}\n" in text, title
    if card.recipes:
        assert f"ccsam train {card.recipes[0]}" in text
    for entry in card.parts if "tables" not in card.said else ():
        for option in entry.options:
            assert f"| `{option.name}` | {option.expected} |" in text
            assert option.description
