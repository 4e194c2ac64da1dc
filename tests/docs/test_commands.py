"""The command lines of every page are right: they parse, and their recipes load."""

import contextlib
import re
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import COMMANDS, cli
from keras_ccsam_cli.options import Choices, parse_seeds

from docs import pages
from keras_ccsam import recipes
from keras_ccsam.recipes import known
from tests import made_images

pytestmark = pytest.mark.any_backend

TEXTS = {page: page.read_text(encoding="utf-8") for page in pages.pages()}
LINES = [
    pytest.param(page, words[1:], id=f"{pages.name_of(page)}: {' '.join(words[1:])}")
    for page, text in TEXTS.items()
    for words in pages.commands(text)
    if words[0] == "ccsam" and not any("*" in word for word in words)
]
# In a sentence, where what is named need not be there.
INLINE = [
    pytest.param(words[1:], id=" ".join(words[1:]))
    for text in TEXTS.values()
    for words in pages.inline_commands(text)
]
OUTPUTS = [
    pytest.param(block, id=block.command)
    for text in TEXTS.values()
    for block in pages.blocks(text)
    if block.command
]
LOOPS = [
    pytest.param(block, id=block.text.splitlines()[0])
    for text in TEXTS.values()
    for block in pages.blocks(text)
    if block.language == "sh" and re.search(r"^for ", block.text, re.MULTILINE)
]


def parse(arguments):
    """The parameters of the command that `ccsam` would run; nothing is run."""
    command, words = cli, list(arguments)
    context = None
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context, **command.context_settings)
        if not words or words[0].startswith("-"):
            break
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, f"there is no command {name}"
    else:
        context = command.make_context(name, words, parent=context)
    return context.params


def check(arguments):
    """Parses a line, and loads the recipes that it names with what it changes in them."""
    chosen = parse(arguments)
    overrides = chosen.get("overrides", ())
    if "settings" in chosen:
        choices = {key: chosen[key] for key in chosen if key in Choices.__dataclass_fields__}
        overrides = Choices(**choices).overrides()
    names = chosen.get("recipe_names") or ([chosen["recipe"]] if "recipe" in chosen else [])
    if names:
        data = chosen.get("dataset")
        if data is not None and known.is_path(data):
            own_images(Path(data))
        recipes.load_several(names, data=data, overrides=overrides)
    if "seeds" in chosen:
        parse_seeds(chosen["seeds"])


def own_images(path):
    """What a page calls the reader's own images."""
    if path.suffix == ".csv":
        path.write_text("path,label\n")
    else:
        made_images.folder(path, (1, 1))


def write_files(page, folder):
    """The TOML files that a page shows."""
    for block in pages.blocks(TEXTS[page]):
        if block.file:
            (folder / block.file).write_text(block.text, encoding="utf-8")


@pytest.mark.parametrize(("page", "arguments"), LINES)
def test_a_command_line_parses(page, arguments, tmp_path, monkeypatch):
    # A line that names a file of this repository is typed in its folder.
    own = any((pages.ROOT / word).is_file() for word in arguments)
    monkeypatch.chdir(pages.ROOT if own else tmp_path)
    write_files(page, tmp_path)
    for word in arguments:  # a file of the reader's
        if word.endswith(".toml") and not Path(word).exists():
            (tmp_path / word).write_text('base = "ccsam"\n', encoding="utf-8")
    check(arguments)


@pytest.mark.parametrize("arguments", INLINE)
def test_a_command_in_a_sentence_parses(arguments):
    with contextlib.suppress(click.exceptions.Exit):  # --help
        parse(arguments)


@pytest.mark.parametrize("block", LOOPS)
def test_a_loop_of_the_shell_ends_in_a_line_that_parses(block, tmp_path, monkeypatch):
    # In place of `ccsam` stands a function that writes its arguments down, one per line.
    script = 'ccsam() { printf "%s\\n" "$@" > arguments; }\n' + block.text
    subprocess.run(["bash", "-euc", script], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    check((tmp_path / "arguments").read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("block", OUTPUTS)
def test_a_command_prints_what_a_page_says(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, block.command.split()[1:])
    printed = [line.rstrip() for line in result.output.strip().splitlines()]
    shown = [line.rstrip() for line in block.text.strip().splitlines()]
    if block.in_part:
        assert [line for line in shown if line and line not in printed] == []
    else:
        assert shown == printed


def test_the_pages_show_every_command():
    assert {words.values[1][0] for words in LINES} >= set(COMMANDS)


@pytest.mark.parametrize(
    "line", ["train --epoch 3", "compare", "evaluate run --split all", "train ccsam --seed x"]
)
def test_a_wrong_line_would_be_noticed(line):
    with pytest.raises(click.UsageError):
        check(line.split())


@pytest.mark.parametrize("line", ["train ccsamm", "compare ce sam --set stage1.epoch=3"])
def test_a_wrong_recipe_would_be_noticed(line):
    with pytest.raises(ValueError, match="Received"):
        check(line.split())


@pytest.mark.parametrize("page", TEXTS, ids=pages.name_of)
def test_make_has_the_targets(page):
    makefile = (pages.ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {"test-jax", "test-torch", "test-tensorflow"}
    targets |= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", TEXTS[page], re.MULTILINE)) <= targets


def test_the_demo_is_the_command_above_its_table():
    makefile = (pages.ROOT / "Makefile").read_text(encoding="utf-8")
    readme = TEXTS[pages.ROOT / "README.md"]
    above = readme[: readme.index("<!-- table: demo -->")]
    command = pages.commands(above)[-1]
    assert f"$(DEMO)/bin/{' '.join(command)}" in makefile
