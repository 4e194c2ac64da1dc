"""The group: quick help, lazy commands, exit codes."""

import io
import os
import subprocess
import sys
import warnings

import click
import pytest
from click.testing import CliRunner
from keras_ccsam_cli import runtime
from keras_ccsam_cli.errors import ReportingGroup, describe
from keras_ccsam_cli.main import COMMANDS, cli, main
from pydantic import BaseModel, ValidationError

pytestmark = pytest.mark.any_backend

HEAVY = ("keras", "numpy", "pydantic", "rich", "jax", "torch", "tensorflow", "keras_ccsam")


@pytest.mark.parametrize("flag", ["--help", "-h", "--version"])
def test_help_and_version_import_nothing_heavy(flag: str) -> None:
    script = (
        "import sys\n"
        "from keras_ccsam_cli.main import main\n"
        f"sys.argv = ['ccsam', {flag!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as stop:\n    assert not stop.code, stop.code\n"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines()[-1] == "[]"


def test_help_takes_less_than_three_tenths_of_a_second() -> None:
    def seconds() -> float:
        start = os.times()
        subprocess.run(
            [sys.executable, "-m", "keras_ccsam_cli", "--help"], capture_output=True, check=True
        )
        end = os.times()
        return end.children_user + end.children_system - start.children_user - start.children_system

    # Of the processor: other processes may be busy, and make it wait. The fastest of a few.
    assert min(seconds() for _ in range(3)) < 0.3


def test_the_listed_help_is_the_help_of_the_command() -> None:
    for name, text in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert (command.help or "").split("\n\n")[0].replace("\n", " ") == text, name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_and_a_debug_option(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "-h"])
    assert result.exit_code == 0, result.output
    assert "--debug" in result.stdout


def test_no_command_prints_the_help() -> None:
    result = CliRunner().invoke(cli, [])
    assert result.exit_code == 0
    assert result.stdout == CliRunner().invoke(cli, ["--help"]).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["traim"], "Did you mean 'train'?"),
        (["wibble"], "Choose from train,"),
        (["doctor", "--bakend", "jax"], "Did you mean '--backend'?"),
        (["compare", "ce", "--seeds", "many"], "--seeds=many"),
        (["reproduce", "table1", "--seeds", "many"], "--seeds=many"),
        (["data", "describe"], "Missing argument"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_code_2(arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    # Click quotes the option since 8.4.
    assert words in result.stderr.replace("mean --backend?", "mean '--backend'?")


def raising(error: BaseException) -> click.Group:
    """A group with one command, `fail`, that raises `error`."""

    @click.group(cls=ReportingGroup)
    @click.option("--debug", is_flag=True)
    @click.pass_context
    def group(context: click.Context, debug: bool) -> None:
        context.meta["keras_ccsam_cli.errors"] = debug

    @group.command()
    def fail() -> None:
        raise error

    return group


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("r must be positive.\nReceived: r=-1"), 2),
        (FileNotFoundError(2, "No such file or directory", "x.npz"), 2),
        (FileExistsError(17, "File exists", "runs/a"), 2),
        (PermissionError(13, "Permission denied", "/root/a"), 2),
        (RuntimeError("out of memory\n  at line 3"), 1),
        (OSError(28, "No space left on device"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_a_failure_is_one_line_with_its_code(error: BaseException, code: int) -> None:
    result = CliRunner().invoke(raising(error), ["fail"])
    assert result.exit_code == code
    # Click ends the line that the terminal's ^C is on.
    assert len(result.stderr.strip().splitlines()) == 1
    assert "Traceback" not in result.output


def test_debug_shows_the_traceback_and_still_ends_in_the_line() -> None:
    result = CliRunner().invoke(raising(RuntimeError("boom")), ["--debug", "fail"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("ccsam: error: RuntimeError: boom")


def test_a_validation_error_names_field_and_value() -> None:
    class Schedule(BaseModel):
        epochs: int

    with pytest.raises(ValidationError) as caught:
        Schedule.model_validate({"epochs": "soon"})
    text = describe(caught.value)
    assert text.startswith("epochs: ") and text.endswith("Received: 'soon'")


def test_a_letter_that_cannot_be_printed_ends_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for encoding, letter in (("utf-8", "caf\udce9"), ("latin-1", "\u2588")):
        stream = io.TextIOWrapper(io.BytesIO(), encoding, errors="strict")
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(SystemExit):
            main(args=["--help"])
        stream.write(letter)


def test_an_error_without_a_message_is_named_by_its_type() -> None:
    assert describe(RuntimeError()) == "RuntimeError"
    assert describe(FileNotFoundError(2, "No such file", "a b.npz")) == "No such file: 'a b.npz'"


def test_a_warning_is_one_line_and_names_no_line_of_ours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @click.group(cls=ReportingGroup)
    def group() -> None:
        pass

    @group.command()
    def warn() -> None:
        for place in (runtime.__file__, "/elsewhere/theirs.py"):
            click.echo(warnings.formatwarning("first\nsecond", UserWarning, place, 7), nl=False)

    before = warnings.formatwarning
    with pytest.raises(SystemExit):
        group.main(["warn"])
    assert warnings.formatwarning is before
    assert capsys.readouterr().out.splitlines() == [
        "warning: first second",
        "warning: UserWarning of /elsewhere/theirs.py, line 7: first second",
    ]
