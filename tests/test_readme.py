"""What README.md and CONTRIBUTING.md show is true: the code runs, commands parse, files exist."""

import re
import shlex
from pathlib import Path

import click
import keras
import pytest
from keras_ccsam_cli.main import COMMANDS, cli
from keras_ccsam_cli.options import Choices, parse_seeds

from keras_ccsam import recipes

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def blocks(language, text=README):
    """The fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text=README):
    """The lines of the shell blocks as words, comments and environment variables left out."""
    lines = (line for block in blocks("sh", text) for line in block.splitlines())
    for line in lines:
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words.pop(0)
        if words:
            yield words


CCSAM = [words[1:] for words in commands() if words[0] == "ccsam"]
# In a sentence, too, what is more than the name of a command.
INLINE = [inline.split()[1:] for inline in re.findall(r"`(ccsam [^`]+)`", README)]
CCSAM += [words for words in INLINE if len(words) > 1 and words not in CCSAM]


def parse(arguments):
    """The parameters of the command that `ccsam` would run; nothing is run."""
    command, words = cli, list(arguments)
    context = None
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context)
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, f"there is no command {name}"
    return command.make_context(name, words, parent=context).params


def test_the_python_code_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    variables = {}
    for code in blocks("python"):
        exec(compile(code, "README.md", "exec"), variables)
    printed = capsys.readouterr().out
    for word in ("many", "medium", "few", "balanced", "class_conditional"):
        assert word in printed
    plain = keras.saving.load_model("classifier.keras")
    x, _ = variables["data"].test.arrays()
    ours = variables["cc"].evaluate(
        plain, (x, variables["data"].y_test), variables["train"].class_counts
    )
    assert ours.overall > 0.6


def test_the_shell_lines_show_every_command():
    assert {words[0] for words in CCSAM} == set(COMMANDS)


@pytest.mark.parametrize("arguments", CCSAM, ids=" ".join)
def test_a_command_line_parses(arguments):
    chosen = parse(arguments)
    overrides = chosen.get("overrides", ())
    if "settings" in chosen:
        choices = {key: chosen[key] for key in chosen if key in Choices.__dataclass_fields__}
        overrides = Choices(**choices).overrides()
    names = chosen.get("recipe_names") or ([chosen["recipe"]] if "recipe" in chosen else [])
    for recipe in names:
        recipes.load(recipe, data=chosen.get("dataset"), overrides=overrides)
    if "seeds" in chosen:
        parse_seeds(chosen["seeds"])


@pytest.mark.parametrize("line", ["train --epoch 3", "compare", "evaluate run --split all"])
def test_a_wrong_line_would_be_noticed(line):
    with pytest.raises(click.UsageError):
        parse(line.split())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_is_named_exists(document):
    text = (ROOT / document).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    named = re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", text)
    scripts = [word for words in commands(text) for word in words if word.endswith(".py")]
    missing = [
        path
        for path in (*links, *named, *scripts)
        if not path.startswith("runs/") and not (ROOT / path).exists() and ".venv" not in path
    ]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_make_has_the_targets(document):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {"test-jax", "test-torch", "test-tensorflow"}
    targets |= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    text = (ROOT / document).read_text(encoding="utf-8")
    assert set(re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)) <= targets


def test_the_test_command_is_on_the_first_screen():
    assert README.index("make test") < 500


def test_every_recipe_of_the_methods_table_exists():
    rows = [line.split("|") for line in README.splitlines() if line.startswith("| ")]
    rows = [row for row in rows if "keras_ccsam/" in row[-3]]
    named = {name for row in rows for name in re.findall(r"`([a-z0-9-]+)`", row[-2])}
    assert named == {name for name in recipes.names() if not name.endswith("published")}


def test_no_document_names_a_place_of_ones_own_machine():
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        assert not re.findall(r"(?<![\w.])/(?:home|root|work|tmp|Users)/\S*", text)
