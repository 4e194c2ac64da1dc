"""What can be wrong with a command line and is known before Keras is imported.

An error should not take the seconds of that import. The library checks all of this again, in the
same words: they stand once, in files of the library that need the standard library alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from . import light


def check_recipes(
    names: Sequence[str], data: str | None = None, settings: Sequence[str] = ()
) -> None:
    """Refuse recipes that cannot be read, unknown data, and keys and values that recipes have not.

    Args:
        names: recipes or TOML files.
        data: the value of `--data`, or None.
        settings: overrides, as `--set` has them.

    Raises:
        ValueError: the first that is wrong.
    """
    if light.imported():
        return
    known, toml = light.library("recipes.known"), light.library("recipes.toml")
    for name in names:
        path = known.user_file(name)
        if path is not None:
            toml.parse(known.read(path), str(path))
    if data is not None and known.is_path(data):
        light.library("data.sources.recognise").recognise(data)
    elif data is not None and not known.is_own_data(data):
        known.check("data", data, "settings")
    for text in settings:
        toml.assignment(text)
    light.library("recipes.shipped").check([(name, data, ()) for name in names], settings)


def check_table(
    name: str | None,
    scale: str,
    settings: Sequence[str] = (),
    data: str | None = None,
    protocol: str | None = None,
) -> None:
    """Refuse an unknown table of `ccsam reproduce`, scale, set or protocol, and wrong settings.

    Raises:
        ValueError: the first that is wrong.
    """
    if light.imported():
        return
    for text in settings:
        light.library("recipes.toml").assignment(text)
    if name is None:
        return
    light.library("recipes.known").check("table", name, "tables")
    scales = light.library("reproduction.scales")
    scales.check_scale(scale)
    light.library("recipes.known").with_protocol("cifar10-lt", protocol)
    if data is not None:
        light.library("recipes.known").check("data", data, "settings")
    table = light.library("recipes.tables").load(name)
    protocol = protocol or table.protocol
    scales.check_protocol(protocol, scale, data)
    recipes = [
        (
            row.recipe,
            data or scales.setting(row.data, scale, protocol),
            (*(() if data else (scales.ratio(row.imbalance_ratio, scale),)), *row.overrides),
        )
        for row in table.rows
    ]
    light.library("recipes.shipped").check(recipes, settings)


def check_auto(
    names: Sequence[str],
    data: str | None,
    settings: Sequence[str],
    out: str | None,
    budget: str,
    backbone: str | None = None,
    export_format: str | None = None,
) -> None:
    """Refuse what `ccsam auto` cannot begin with.

    Args:
        names: the values of `--recipe`.
        data: the dataset.
        settings: overrides, as `--set` has them.
        out: the value of `--out`, or None.
        budget: the value of `--budget`.
        backbone: the value of `--backbone`, or None.
        export_format: the value of `--export`, or None.

    Raises:
        ValueError: the first that is wrong.
    """
    light.library("duration").seconds_of(budget)
    if light.imported():
        return
    light.library("auto.extra").require_optuna()
    if export_format is not None:
        light.library("deployment.formats").find(export_format).route()
    if backbone is not None and backbone != "none":
        light.library("auto.at_hand").network(backbone)
    kinds = light.library("auto.kinds").KINDS
    chosen = names or tuple(kinds)
    check_recipes(
        [kinds[name].recipe if name in kinds else name for name in chosen], data, settings
    )
    check_out(out, "auto")


def check_trackers(names: Iterable[str]) -> None:
    """Refuse unknown trackers, and those that are not installed.

    Raises:
        ValueError: with the closest name, or with what to install.
    """
    light.library("trackers.known").check(names)


def record(text: str, settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read `--record`, names separated by commas, and `--record-set`.

    Returns:
        Each recorder's options, by its name.

    Raises:
        ValueError: there is no such recorder or option, or a value is outside its range.
    """
    options = light.library("runs.record_options")
    names = [part.strip() for part in text.split(",") if part.strip()]
    options.check_record(names)
    found: dict[str, dict[str, Any]] = options.check_record(options.with_options(names, settings))
    return found


def check_out(out: str | None, kind: str | None = None) -> None:
    """Refuse an output folder that is not free.

    Args:
        out: the value of `--out`, or None.
        kind: what the folder may already be: `"comparison"` or `"reproduction"`.

    Raises:
        ValueError: it holds anything else.
    """
    if out is None or light.imported():
        return
    folders = light.library("runs.folders")
    path = folders.named(out)
    if kind is None or folders.kind_of(path) != kind:
        folders.require_free(path)


def check_room() -> None:
    """Refuse to begin where the folder for what `--out` does not name cannot be made.

    Raises:
        ValueError: as said.
    """
    if not light.imported():
        folders = light.library("runs.folders")
        folders.require_room(Path(folders.PARENT))


def interval(save_every: str) -> str | int:
    """The value of `--save-every`: a number where it is one.

    Raises:
        ValueError: it is no number of steps, no time and not "epoch".
    """
    is_number = save_every.isascii() and save_every.isdigit()
    every = int(save_every) if is_number else save_every
    if not light.imported():
        light.library("resuming.interval").Interval(every, "--save-every")
    return every
