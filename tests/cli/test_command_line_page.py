"""docs/command-line.md: every command is there, and every line of it is one that parses."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from keras_ccsam_cli.main import COMMANDS, cli

pytestmark = pytest.mark.any_backend

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "command-line.md").read_text("utf-8")
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


def test_every_command_has_a_section_with_an_example() -> None:
    for name in COMMANDS:
        assert f"\n## ccsam {name}\n" in PAGE
        assert any(line.startswith(f"ccsam {name}") for line in LINES)


@pytest.mark.parametrize("line", LINES)
def test_an_example_parses(line: str) -> None:
    program, *words = shlex.split(line)
    assert program == "ccsam"
    command: click.Command | None = cli
    context: click.Context | None = None
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context, **command.context_settings)
        name = words.pop(0)
        command = command.get_command(context, name)
    assert command is not None
    command.make_context(name, words, parent=context)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_a_shell_is_there(shell: str) -> None:
    assert f"_CCSAM_COMPLETE={shell}_source ccsam" in PAGE
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("Click asks Bash for its version")
    source = kind(cli, {}, "ccsam", "_CCSAM_COMPLETE").source()
    assert "_CCSAM_COMPLETE" in source
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=source, text=True, check=True)
