"""The code of the README and of every page runs, and prints what the page says it prints."""

import re

import keras
import pytest

from docs import outputs, pages
from keras_ccsam import declare, recipes

WITH_CODE = [
    page
    for page in pages.pages()
    if any(block.language == "python" for block in pages.blocks(page.read_text(encoding="utf-8")))
]


# What these show is the network's and the step's, so it runs on every backend. The other pages
# show how the same is asked for, which is the same words on each.
ON_EVERY_BACKEND = ("README.md", "mixed-precision.md")


def form(text):
    """A text without its numbers, which differ between backends, its spacing and its rules."""
    plain = re.sub(r"-{3,}", "---", re.sub(r"\d+(\.\d+)?", "#", text))
    return [" ".join(line.split()) for line in plain.splitlines()]


def run(page, folder):
    """Runs a page's code block by block; returns its variables and all that it printed."""
    variables, printed, last = {"__name__": "page"}, "", ""
    for block in pages.blocks(page.read_text(encoding="utf-8")):
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            last = outputs.printed(block.text, variables)
            printed += last
        elif block.output_of:
            assert form(last) == form(block.text), f"it prints:\n{last}"
    return variables, printed


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=() if page.name in ON_EVERY_BACKEND else pytest.mark.any_backend)
        for page in WITH_CODE
    ],
    ids=pages.name_of,
)
def test_the_python_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    variables, printed = run(page, tmp_path)
    if page.name == "README.md" and page.parent == pages.ROOT:
        for word in ("many", "medium", "few", "balanced"):
            assert word in printed
        data, cc = variables["data"], variables["cc"]
        plain = keras.saving.load_model("classifier.keras")
        x, _ = data.test.arrays()
        assert cc.evaluate(plain, (x, data.y_test), data.class_counts).overall > 0.6


@pytest.mark.any_backend
def test_the_readme_has_a_dozen_lines_of_python():
    readme = (pages.ROOT / "README.md").read_text(encoding="utf-8")
    (code,) = (block.text for block in pages.blocks(readme) if block.language == "python")
    assert len(code.splitlines()) <= 12


@pytest.mark.any_backend
@pytest.mark.parametrize("page", pages.pages(), ids=pages.name_of)
def test_a_recipe_that_a_page_shows_is_one(page, tmp_path):
    for block in pages.blocks(page.read_text(encoding="utf-8")):
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
            recipes.load(tmp_path / block.file)


@pytest.mark.any_backend
def test_another_output_would_be_noticed(tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint('a', 1)\n```\n\n```text\na 7.25\n```\n", encoding="utf-8")
    run(page, tmp_path)
    page.write_text("```python\nprint('a', 1)\n```\n\n```text\nb 7.25\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="it prints"):
        run(page, tmp_path)


@pytest.mark.any_backend
def test_outputs_are_written_below_their_code():
    text = "```python\nx = 3\n```\n\n```python\nprint(x)\n```\n\n```text\n?\n```\nend\n"
    assert outputs.filled(text) == text.replace("?", "3")


def test_what_a_page_declares_is_forgotten():
    """The page on methods runs before this test, and the suites find methods by themselves."""
    assert "my_gsam" not in declare.parts("sharpness")
