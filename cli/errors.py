"""How a failure looks: one line on stderr and an exit code, never a traceback unless asked for.

| code | meaning                                                              |
| ---- | -------------------------------------------------------------------- |
| 0    | done                                                                 |
| 1    | something failed while running, or a run's files are damaged         |
| 2    | the input was wrong: the line says what, and what would be right     |
| 75   | asked to stop by a signal; what was done is saved, and can go on     |
| 130  | interrupted with Ctrl-C while nothing was trained                    |
"""

from __future__ import annotations

import functools
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import click

from . import light

_HERE = os.path.dirname(__file__)

_LONGEST = 2000  # characters of a message

EXIT_RUNTIME = 1
EXIT_INPUT = 2
EXIT_STOPPED = 75  # EX_TEMPFAIL of sysexits.h: worth another try
EXIT_INTERRUPTED = 130


# Click 8.1 prints a group's help itself and ends with 0.
_NO_ARGUMENTS: tuple[type[click.UsageError], ...] = tuple(
    filter(None, [getattr(click.exceptions, "NoArgsIsHelpError", None)])
)


class Failure(click.ClickException):
    """A failure that is already worded for the user.

    Args:
        message: The one line to print.
        exit_code: The exit status, one of the codes at the top of this module.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.code = exit_code


def one_line(text: str) -> str:
    """A message as one line: white space collapsed, what is no text escaped, the middle left out
    of one that is very long, as a message that repeats a file's line may be.
    """
    line: str = light.library("text_table").shown(" ".join(text.split()))
    if len(line) <= _LONGEST:
        return line
    return f"{line[: _LONGEST // 2]} ... {line[-_LONGEST // 2 + 5 :]}"


def describe(error: BaseException) -> str:
    """The message of any exception as one line.

    Args:
        error: Any exception. Pydantic's list of problems is joined with semicolons; an `OSError`
            loses its error number and keeps the file it is about.

    Returns:
        One line, never empty: an exception without a message is named by its type.
    """
    problems = getattr(error, "errors", None)
    if isinstance(error, ValueError) and callable(problems):  # pydantic.ValidationError
        return "; ".join(_describe_problem(problem) for problem in problems())
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return one_line(f"{error.strerror}: {os.fspath(error.filename)!r}")
    return one_line(str(error)) or type(error).__name__


def _describe_problem(problem: dict[str, Any]) -> str:
    place = ".".join(str(part) for part in problem["loc"])
    words = light.library("recipes.words").requirement(problem)
    message = one_line(f"{place}: {words}" if place else words)
    return f"{message}. Received: {problem['input']!r}"


def as_failure(error: Exception) -> Failure:
    """Turn an exception of the library into a worded failure with its exit code."""
    place = _own_code(error)
    if place is not None:
        return Failure(
            f"{type(error).__name__} in {place}: {describe(error)} (add --debug for the traceback)",
            EXIT_RUNTIME,
        )
    wrong_input = light.library("wrong_input")
    code = wrong_input.exit_code(error)
    if _follows(error):
        return Failure("", code)
    # `Damaged` and a training that diverged, which `OnNonfinite` words, are worded, too.
    worded = (*wrong_input.INPUT_ERRORS, FloatingPointError)
    if hasattr(error, "exit_code") or isinstance(error, worded):
        return Failure(describe(error), code)
    return Failure(
        f"{type(error).__name__}: {describe(error)} (add --debug for the traceback)", EXIT_RUNTIME
    )


def fail_if_missing(runs: int) -> None:
    """End a command with `EXIT_RUNTIME` where runs have no results, once it has told the rest.

    Raises:
        Failure: as said.
    """
    if runs:
        said = "1 run has" if runs == 1 else f"{runs} runs have"
        raise Failure(f"{said} no results; the reason is below the table", EXIT_RUNTIME)


# What is said where the process at the other end is gone.
_GONE = ("Connection closed by peer", "Connection reset by peer", "Broken pipe")


def _follows(error: Exception) -> bool:
    """Whether it is an error of this process because another one failed, which says why."""
    failed = sys.modules.get("keras_ccsam.processes")
    if failed is not None and isinstance(error, failed.FailedElsewhere):
        return True
    is_of_several = failed is not None and failed.backend.process_count() > 1
    return is_of_several and any(words in str(error) for words in _GONE)


def _own_code(error: Exception) -> str | None:
    """Where code of the user's own failed, as file, line and function; None where none did.

    What a constructor, or a function that makes a part, says of its arguments is said of the input.
    """
    outside = sys.modules.get("keras_ccsam.recipes.outside")
    files = outside.files() if outside is not None else ()
    if not files:
        return None
    from keras_ccsam.declare import Part

    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        code = frame.f_code
        if code is Part.build.__code__:
            return None
        if code.co_filename in files:
            found = f"{code.co_filename}, line {line}, in {code.co_name}"
    return found


def debug_option(function: Any) -> Any:
    """Add `--debug`, which prints the traceback of a failure before its one line."""

    def remember(context: click.Context, _: click.Parameter, value: bool) -> None:
        if value:
            context.meta[__name__] = True

    return click.option(
        "--debug",
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=remember,
        help="Show the Python traceback of a failure.",
    )(function)


class ReportingGroup(click.Group):
    """A Click group whose failures follow the table at the top of this module.

    Click prints three lines for a wrong option and lets every other exception through as a
    traceback. Overriding `main`, which is also what Click's test runner calls, makes all of them
    alike.
    """

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; word whatever it raises."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise  # Click knows them; the last one is `ccsam recipes list | head -1`
        except Exception as error:
            if ctx.meta.get(__name__):
                traceback.print_exc()
            raise as_failure(error) from error

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Parse the command line, run it, and exit with the right code."""
        run: Callable[[], Any] = functools.partial(
            super().main, args, prog_name, complete_var, standalone_mode=False, **extra
        )
        if not standalone_mode:
            return run()
        code = 0
        as_python_has_them = warnings.formatwarning
        warnings.formatwarning = _worded_warning
        try:
            code = run()
        except _NO_ARGUMENTS as error:
            # A group without a command: its help is no error, there as for `ccsam` alone.
            click.echo(error.format_message())
        except click.UsageError as error:
            _complain(one_line(error.format_message()) + _pointer_to_help(error))
            code = EXIT_INPUT
        except click.ClickException as error:
            _complain(one_line(error.format_message()))
            code = error.code if isinstance(error, Failure) else error.exit_code
        except (KeyboardInterrupt, click.Abort):
            _complain("interrupted")
            code = EXIT_INTERRUPTED
        finally:
            warnings.formatwarning = as_python_has_them
        sys.exit(code if isinstance(code, int) else 0)


def _worded_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    """A warning of this package as one line; where somebody else's comes from is told, too."""
    words = one_line(str(message))
    if f"{os.sep}keras_ccsam{os.sep}" in filename or filename.startswith(_HERE):
        return f"warning: {words}\n"
    return f"warning: {category.__name__} of {filename}, line {lineno}: {words}\n"


def _complain(message: str) -> None:
    """Print an error; of several processes, the first one needs not say which it is."""
    if message:
        click.echo(f"ccsam: error: {_process()}{message}", err=True)


def _process() -> str:
    try:
        found = light.library("backend.launched").launched(os.environ)
    except ValueError:
        return ""
    return "" if found is None or found.place == 0 else f"process {found.place}: "


def _pointer_to_help(error: click.UsageError) -> str:
    return f" (see {error.ctx.command_path} --help)" if error.ctx is not None else ""
