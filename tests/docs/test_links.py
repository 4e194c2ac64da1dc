"""What the pages link to and name exists, and the README is short."""

import re

import pytest

from docs import pages

pytestmark = pytest.mark.any_backend

TEXTS = {page: page.read_text(encoding="utf-8") for page in pages.pages()}


def anchors_of(target):
    """The titles of a page."""
    return pages.anchors(target.read_text(encoding="utf-8"))


def missing(page, text):
    """The links and files of a page that lead nowhere."""
    found = []
    for link in pages.links(text):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            found.append(link)
    scripts = [w for words in pages.commands(text) for w in words if w.endswith(".py")]
    for path in (*pages.named_files(text), *scripts):
        if path.startswith(("runs/", ".venv")):
            continue
        if not (pages.ROOT / path).exists():
            found.append(path)
    return found


@pytest.mark.parametrize("page", TEXTS, ids=pages.name_of)
def test_what_is_named_exists(page):
    assert missing(page, TEXTS[page]) == []


@pytest.mark.parametrize(
    "text",
    [
        "[x](nowhere.md)",
        "[x](README.md#no-such-title)",
        "`keras_ccsam/nowhere.py`",
        "```sh\npython benchmarks/nowhere.py\n```",
    ],
)
def test_a_dead_link_would_be_noticed(text):
    assert missing(pages.ROOT / "page.md", text)


@pytest.mark.parametrize("page", TEXTS, ids=pages.name_of)
def test_every_page_is_linked(page):
    linked = {
        (other.parent / link.partition("#")[0]).resolve()
        for other, text in TEXTS.items()
        for link in pages.links(text)
        if other != page and "://" not in link
    }
    assert page.name == "README.md" or page in linked


def test_the_readme_is_one_page():
    readme = TEXTS[pages.ROOT / "README.md"]
    assert len(readme.splitlines()) <= 150
    assert readme.index("make test") < 500  # on the first screen


@pytest.mark.parametrize("page", TEXTS, ids=pages.name_of)
def test_no_page_names_a_place_of_ones_own_machine(page):
    assert not re.findall(r"(?<![\w.])/(?:home|root|work|tmp|Users)/\S*", TEXTS[page])
