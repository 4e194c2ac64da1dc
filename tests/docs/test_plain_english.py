""" "per class" is written "per class": never "a class", which has another meaning beside it."""

import re

import pytest

from docs import pages

pytestmark = pytest.mark.any_backend

UNITS = "class|step|sample|epoch|batch|channel|seed|recipe|method|stage|visit|row|pass"
AMOUNTS = (
    "one|two|three|four|once|twice|pass|passes|steps|row|value|number|entry|record|draws?|weights?"
    "|scale|factor|kernel|copy|label|count|[Mm]illiseconds|ms|blocks?|lambda"
)
MEANT_PER = re.compile(rf"\b({AMOUNTS}) an? ({UNITS})\b")
# Sentences in which the words only meet.
OTHERS = ("weights a method perturbs", "without one a pass per")


def found(text):
    """The places where a text says "a" and means "per"."""
    flat = " ".join(text.split())
    for other in OTHERS:
        flat = flat.replace(other, "")
    return [match[0] for match in MEANT_PER.finditer(flat)]


FILES = [
    path
    for folder in ("keras_ccsam", "cli", "examples", "docs", "benchmarks")
    for kind in ("*.py", "*.toml", "*.md")
    for path in sorted((pages.ROOT / folder).rglob(kind))
]


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=pages.name_of)
def test_per_is_written_per(folder):
    texts = {path: path.read_text(encoding="utf-8") for path in FILES if path.parent == folder}
    wrong = {pages.name_of(path): hits for path, text in texts.items() if (hits := found(text))}
    assert not wrong


def test_it_would_be_noticed():
    assert found("One pass per class.") == []
    assert found("Two passes\na class.") == ["passes a class"]
    assert found("one per class, and a class of its own") == []
