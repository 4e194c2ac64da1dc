"""`ccsam watch`: how runs go on, read from their folders while they are written."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import EXIT_INTERRUPTED, debug_option
from ..watching.watcher import Frame, Watcher

if TYPE_CHECKING:
    from rich.console import Console


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option("--once", is_flag=True, help="Print how it stands, and end.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="Between two looks.",
)
@click.option("--json", "as_json", is_flag=True, help="Print how it stands as JSON, and end.")
@debug_option
def command(runs: tuple[Path, ...], once: bool, interval: float, as_json: bool) -> None:
    """Show how runs go on: stages, losses, accuracy and the time left.

    Each RUN is a run directory, or a folder that holds some: a comparison's, a reproduction's, or
    runs. What begins later is shown too. It reads only, starts without Keras, and ends when all
    runs are over, or with Ctrl-C. Where stdout is no terminal, each change is printed.
    """
    if not 0.1 <= interval <= 86400:  # NaN passes Click's own range
        raise ValueError(f"--interval must be 0.1 to 86400 seconds. Received: interval={interval}")
    watcher = Watcher(runs)
    if as_json:
        click.echo(json.dumps(content(watcher.frame()), indent=2, allow_nan=False))
        return
    from rich.console import Console

    console = Console(highlight=False)
    try:
        if once:
            _print(watcher.frame(), console)
        elif console.is_terminal and not console.is_dumb_terminal:
            _follow(watcher, console, interval)
        else:
            _log(watcher, console, interval)
    except KeyboardInterrupt:  # to leave is no error, and needs no line
        raise click.exceptions.Exit(EXIT_INTERRUPTED) from None


def _follow(watcher: Watcher, console: Console, interval: float) -> None:
    """Draw over what was drawn, until all is over."""
    from rich.console import Group
    from rich.live import Live

    from ..watching.page import Page
    from ..watching.view import lines

    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            frame = watcher.frame()
            page = Page(console.width, console.height - 1, console.encoding)
            live.update(Group(*lines(frame, page)), refresh=True)
            if frame.over:
                return
            time.sleep(interval)


def _log(watcher: Watcher, console: Console, interval: float) -> None:
    """Print each change, until all is over."""
    before: Any = None
    while True:
        frame = watcher.frame()
        # Clocks go on without anything being new.
        now = [(s.look.path, s.look.state, s.look.stages, s.look.scores) for s in frame.runs]
        if now != before:
            if before is not None:
                console.print()
            _print(frame, console)
            before = now
        if frame.over:
            return
        time.sleep(interval)


def _print(frame: Frame, console: Console) -> None:
    from ..watching.page import Page
    from ..watching.view import lines

    for line in lines(frame, Page(console.width, None, console.encoding)):
        console.print(line, no_wrap=True, overflow="crop", soft_wrap=False)


def content(frame: Frame) -> dict[str, Any]:
    """What is known of the runs, as JSON types."""
    return {"kind": "watch", "over": frame.over, "runs": [_run(shown) for shown in frame.runs]}


def _run(shown: Any) -> dict[str, Any]:
    look, stage = shown.look, shown.look.stage
    return {
        "run": look.name,
        "path": str(look.path),
        "recipe": look.recipe,
        "state": look.state,
        "reason": look.reason or None,
        "stage": stage.number if stage else None,
        "stages": [
            {
                "stage": part.number,
                "epochs": part.epochs,
                "done": part.done,
                "loss": part.series("loss"),
                "accuracy": part.series(part.accuracy_key) if part.accuracy_key else [],
                "accuracy_key": part.accuracy_key,
            }
            for part in look.stages
        ],
        "seconds_per_epoch": shown.pace,
        "seconds_left": shown.left,
        "seconds_left_is_a_bound": shown.bounded,
        "test": dict(look.scores),
        "radius": dict(look.radius),
    }
