"""Ctrl-C and its like while a command trains: what is done is saved, and how to go on is said."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from . import devices
from .errors import EXIT_STOPPED, one_line
from .typed import typed


def resume_command(run: str) -> str:
    """What goes on with a run that was begun by `ccsam train`."""
    return shlex.join(["ccsam", "train", "--resume", run]) if run else typed()


def same_command(run: str) -> str:
    """What goes on with one that finds its folder by itself: the same again."""
    return typed()


def same_folder(run: str) -> str:
    """What goes on with one whose folder, in which the run lies, may have been named by the time.

    One that nothing was written into yet is begun again.
    """
    return typed(out=str(Path(run).parent)) if run else typed()


@contextmanager
def stoppable(again: Callable[[str], str]) -> Iterator[None]:
    """Let a signal stop what runs in the block, once it has saved what it did.

    Keras is imported for it, so the block is entered when that is due.

    Args:
        again: takes the run that was stopped, "" where none was begun; returns the command that
            goes on.

    Raises:
        click.exceptions.Exit: with `EXIT_STOPPED`, after the line that says so.
    """
    from keras_ccsam import stopping

    with stopping.stoppable():
        try:
            yield
        except stopping.Stopped as stopped:
            if not devices.is_first():
                raise click.exceptions.Exit(EXIT_STOPPED) from None
            message = f"ccsam: {one_line(str(stopped))}; this goes on: {again(stopped.run)}"
            click.echo(message, err=True)
            raise click.exceptions.Exit(EXIT_STOPPED) from None
