"""What a command prints: its result on stdout, and beside it what a person wants to see."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Output:
    """Where the parts of a command's output go.

    Attributes:
        as_json: the result is JSON, and stdout holds nothing else; notes and progress go to stderr.
        quiet: the result alone is printed; warnings still go to stderr.
    """

    as_json: bool = False
    quiet: bool = False

    @property
    def progress(self) -> str:
        """How the library is to show a run."""
        return "none" if self.quiet else "auto"

    @contextmanager
    def working(self) -> Iterator[None]:
        """Print what is no result: to stderr, where stdout is for JSON."""
        if not self.as_json:
            yield
            return
        with redirect_stdout(sys.stderr):
            yield

    def note(self, text: str) -> None:
        """Print what a user should know."""
        if not self.quiet:
            click.echo(f"note: {text}")

    def warning(self, text: str) -> None:
        """Print what is probably not meant."""
        click.echo(f"warning: {text}", err=self.quiet)

    def result(self, text: Callable[[], str], content: Callable[[], Any]) -> None:
        """Print the result.

        Args:
            text: makes what people read.
            content: makes the same as JSON types; NaN and infinity are not among them.
        """
        if self.as_json:
            click.echo(json.dumps(content(), indent=2, allow_nan=False))
        else:
            click.echo(text())


def json_option(function: F) -> F:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(
        function
    )


def quiet_option(function: F) -> F:
    """Add `--quiet`."""
    return click.option(
        "--quiet", "-q", is_flag=True, help="Print the result alone: no progress, no notes."
    )(function)
