"""The loss around the trained networks: maps on one colour scale, lines, and what they say."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from keras_ccsam.analysis.landscapes import Landscape
from keras_ccsam.analysis.landscapes.valley import Reach
from keras_ccsam.analysis.report.blocks import (
    Block,
    Cell,
    Column,
    Figure,
    Section,
    Surface,
    Surfaces,
    Table,
    Tabs,
)
from keras_ccsam.analysis.report.contour import contour, level_bar, shared_levels
from keras_ccsam.analysis.report.line_chart import Line, line_chart
from keras_ccsam.reporting.found_runs import Runs
from keras_ccsam.reporting.wording import cell, legend

# One landscape per seed of a method.
Found = Mapping[str, Sequence[Landscape]]


def section(runs: Runs) -> Section:
    """Maps of the first seed of each method, lines, and numbers over the seeds that have them."""
    name, title = f"landscape{runs.id}", "Landscapes"
    kinds = {stem: found for stem in _stems(runs) if (found := _load(runs, stem))}
    if not kinds:
        return Section(
            name,
            title,
            "Nobody looked at the loss around these networks yet. That is done by",
            command="ccsam landscape RUN...",
        )
    blocks: list[Block] = []
    for found in kinds.values():
        first = next(iter(found.values()))[0]
        blocks += _planes(runs, found) if first.dimensions == 2 else [_lines(runs, found)]
        blocks += _numbers(found)
    return Section(
        name,
        title,
        "The mean cross-entropy of a group's samples at weights away from the trained ones. All "
        "methods of a row are drawn on one colour scale. Two random directions of thousands say "
        "little of the others; the numbers below tell how far one can walk.",
        blocks,
    )


def _stems(runs: Runs) -> list[str]:
    found = {
        path.name for run in runs.all for path in run.directory.analysis.glob("landscape*.npz")
    }
    return sorted(found, key=lambda name: (len(name), name))


def _load(runs: Runs, stem: str) -> dict[str, list[Landscape]]:
    """The landscapes of one kind; one that cannot be read, or is of other groups, is left out."""
    found: dict[str, list[Landscape]] = {}
    for method in runs.methods:
        for run in method.runs:
            path = run.directory.analysis / stem
            if path.is_file():
                try:
                    landscape = Landscape.load(path)
                except ValueError:
                    continue
                found.setdefault(method.name, []).append(landscape)
    return found


def _planes(runs: Runs, found: Found) -> list[Block]:
    firsts = {name: many[0] for name, many in found.items()}
    some = next(iter(firsts.values()))
    groups = some.shown_groups()
    levels = shared_levels([each.loss(group) for each in firsts.values() for group in groups])
    labels = ("along the first direction", "second")
    tabs: list[tuple[str, list[Block]]] = []
    for group, what in groups.items():
        panels = [
            contour(
                name,
                each.steps[0].tolist(),
                each.steps[1].tolist(),
                # The first direction goes across.
                each.loss(group).T,
                levels,
                x_label=labels[0],
                y_label=labels[1],
                trajectory=[] if each.path is None else [(a, b) for a, b in each.path.tolist()],
            )
            for name, each in firsts.items()
        ]
        caption = (
            f"{group} ({what}): the loss around each network, which is the cross. {_how(firsts)}"
        )
        bar = level_bar(levels, "loss (nats)")
        figure = Figure(panels, caption, command=_command(some), beside=bar)
        tabs.append((group, [figure, *_surfaces(runs, firsts, group)]))
    return [Tabs("Group", tabs)]


def _surfaces(runs: Runs, firsts: Mapping[str, Landscape], group: str) -> list[Surfaces]:
    if not runs.surface:
        return []
    made = []
    for name, each in firsts.items():
        heights = np.log10(np.maximum(each.loss(group).T, 1e-12))
        z = [[v if math.isfinite(v) else None for v in row] for row in heights.round(4).tolist()]
        x, y = ([round(v, 5) for v in steps.tolist()] for steps in each.steps)
        made.append(Surface(f"{name}, {group}: the logarithm of the loss", x, y, z, "log10 loss"))
    return [Surfaces(made)]


def _lines(runs: Runs, found: Found) -> Figure:
    some = next(iter(found.values()))[0]
    series = {method.name: index for index, method in enumerate(runs.methods)}
    panels = []
    for group in some.shown_groups():
        lines = []
        for name, many in found.items():
            each = many[0]
            loss = np.where(np.isfinite(each.loss(group)), each.loss(group), np.nan)
            lines.append(
                Line(
                    name,
                    each.steps[0].tolist(),
                    np.median(loss, axis=0).tolist(),
                    np.quantile(loss, 0.25, axis=0).tolist(),
                    np.quantile(loss, 0.75, axis=0).tolist(),
                    series[name],
                )
            )
        panels.append(line_chart(group, lines, "step", "loss (nats)", include_y=(0.0,)))
    count = len(some.loss_sum)
    keys = [key for key in legend(runs.methods) if key.name in found]
    caption = (
        f"The loss along {count} lines through each network: their median, with a band over the "
        f"middle half of them. {_how({name: many[0] for name, many in found.items()})}"
    )
    return Figure(panels, caption, keys, _command(some))


def _numbers(found: Found) -> list[Table]:
    """How far one can walk until the loss doubles, and how lopsided the valley is."""
    some = next(iter(found.values()))[0]
    groups = [g for g in some.shown_groups() if all(_has(m, g) for m in found.values())]
    if not groups:
        return []
    walks, sides = [], []
    for name, many in found.items():
        walks.append([Cell(name), *(_walk([each.doubling(g) for each in many]) for g in groups)])
        lopsided = [cell([each.asymmetry(g).mean for each in many]) for g in groups]
        sides.append([Cell(name), *lopsided])
    columns = [Column("method", numeric=False), *(Column(group) for group in groups)]
    seeds = max(map(len, found.values()))
    over = "One seed each." if seeds == 1 else f"Mean ± standard deviation, up to {seeds} seeds."
    return [
        Table(
            columns,
            walks,
            "How far one can walk from the network until the group's loss has doubled: in norms "
            f"of the weights, on average over the rays; > where some ray ends before. {over}",
        ),
        Table(
            columns,
            sides,
            "How lopsided the valley is: 0 where the loss rises alike on both sides of the "
            f"network, 1 where it rises on one side alone. {over}",
        ),
    ]


def _walk(walks: Sequence[Reach]) -> Cell:
    made = cell([walk.mean for walk in walks], digits=3)
    text = f"> {made.text}" if any(walk.open for walk in walks) else made.text
    return Cell(text, made.value, made.spread)


def _has(many: Sequence[Landscape], group: str) -> bool:
    return all(group in each.shown_groups() for each in many)


def _how(firsts: Mapping[str, Landscape]) -> str:
    """What was drawn, as the files say it, and whether it is the same for all methods."""
    texts = {name: _one(each) for name, each in firsts.items()}
    if len(set(texts.values())) > 1:
        text = " ".join(f"{name}: {own}" for name, own in texts.items())
    else:
        text = next(iter(texts.values()))
    if len(firsts) < 2:
        return text
    draws = {each.about.get("draws_sha256") for each in firsts.values()}
    if len(draws) == 1 and all(draws):
        return f"{text} All methods share the draws of the directions, each at its own scale."
    return f"{text} The methods do not share directions: compare numbers rather than shapes."


def _one(some: Landscape) -> str:
    """What was drawn of one network."""
    about = some.about
    kind = {
        "filter": "random directions with each filter's norm",
        "layer": "random directions with each layer's norm",
        "none": "random directions",
        "uniform": "directions with positive entries",
        "pca": "the two principal directions of the training's path, which is white",
    }.get(str(about.get("directions")), str(about.get("directions")))
    seed = "" if about.get("seed") is None else f", seed {about['seed']}"
    stage = "after stage 1" if about.get("stage") == "stage1" else "after the last epoch"
    span = float(max(some.steps[0]))
    return (
        f"{about.get('samples')} samples of the {about.get('split', 'train')} set, weights "
        f"{stage}, {kind}{seed}, up to {span:.3g} of the weights' norm; "
        f"{about.get('batch_norm', '')}."
    )


def _command(some: Landscape) -> str:
    """The command, with what differs from its defaults and the file knows."""
    about = some.about
    words = ["ccsam landscape RUN..."]
    words += ["--one-dimensional"] if some.dimensions == 1 else []
    if about.get("directions") == "pca":
        words.append("--trajectory")
    else:
        words += ["--of stage1"] if about.get("stage") == "stage1" else []
        kind = about.get("directions", "filter")
        words += [f"--directions {kind}"] if kind != "filter" else []
        words += [f"--seed {about['seed']}"] if about.get("seed") else []
    words += [f"--split {about['split']}"] if about.get("split", "train") != "train" else []
    return " ".join(words)
