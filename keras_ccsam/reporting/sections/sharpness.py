"""How sharp the loss is at the trained weights: one-step gaps, and the Hessian's spectrum."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from keras_ccsam.analysis.report.blocks import Block, Cell, Column, Figure, Section, Table, Tabs
from keras_ccsam.analysis.report.line_chart import Line, line_chart
from keras_ccsam.reporting.found_runs import Runs
from keras_ccsam.reporting.wording import NONE, cell, legend, plural

FILE = "sharpness.json"
COMMAND = "ccsam sharpness RUN..."
# A method's name to what was measured of each of its seeds.
Found = Mapping[str, Sequence[dict[str, Any]]]


def section(runs: Runs) -> Section:
    """Gaps per class and group, and eigenvalues where they were asked for."""
    name, title = f"sharpness{runs.id}", "Sharpness"
    found: dict[str, list[dict[str, Any]]] = {}
    for method in runs.methods:
        for run in method.runs:
            content = run.analysis(FILE)
            if content and content.get("kind") == "sharpness" and content.get("format") == 1:
                found.setdefault(method.name, []).append(content)
    if not found:
        return Section(
            name,
            title,
            "The sharpness of these networks was not measured. That is done by",
            command=COMMAND,
        )
    blocks: list[Block] = [_gap_chart(runs, found), _gap_table(found)]
    spectra = _spectra(found)
    if spectra is not None:
        blocks.append(spectra)
    density = _density(runs, found)
    if density is not None:
        blocks.append(density)
    return Section(
        name,
        title,
        "By how much the loss of a class can rise within a small step of the weights, and how it "
        "curves. Rare classes often lie on saddles: directions in which their loss still falls.",
        blocks,
    )


def _gap_chart(runs: Runs, found: Found) -> Figure:
    settings = next(iter(found.values()))[0]["settings"]
    titles = {
        "gap_sam": f"gap at SAM's radius, {settings['rho']:g}",
        "gap_characteristic": f"gap at CC-SAM's radius, r = {settings['radius_scale']:g}",
    }
    panels = []
    for key, title in titles.items():
        lines = []
        for index, method in enumerate(runs.methods):
            values = _per_class(found.get(method.name, ()), key)
            order = [c for c in reversed(runs.by_count) if values.get(c) and runs.class_counts[c]]
            if order:
                counts = [float(runs.class_counts[c]) for c in order]
                means = [sum(values[c]) / len(values[c]) for c in order]
                low, high = [min(values[c]) for c in order], [max(values[c]) for c in order]
                band = len(found[method.name]) > 1
                lines.append(
                    Line(method.name, counts, means, low * band, high * band, series=index)
                )
        if lines:
            known = [v for line in lines for v in line.y]
            log = min(known) > 0 and max(known) > 20 * min(known)
            panels.append(
                line_chart(
                    title,
                    lines,
                    "training images of the class",
                    log_x=True,
                    log_y=log,
                    include_y=() if log else (0.0,),
                )
            )
    keys = [key for key in legend(runs.methods) if key.name in found]
    return Figure(panels, f"One point per class. {_how(found)}", keys, COMMAND)


def _per_class(many: Sequence[dict[str, Any]], key: str) -> dict[int, list[float]]:
    values: dict[int, list[float]] = {}
    for content in many:
        for each in content["sets"]:
            if each["kind"] == "class" and each[key] is not None:
                values.setdefault(int(each["classes"][0]), []).append(float(each[key]))
    return values


def _gap_table(found: Found) -> Table:
    names = _sets(found)
    rows = []
    for method, many in found.items():
        row = [Cell(method)]
        for name in names:
            row.append(cell([_set(content, name).get("gap_sam") for content in many], digits=4))
        rows.append(row)
    columns = [Column("method", numeric=False), *(Column(name) for name in names)]
    return Table(
        columns,
        rows,
        "The gap at SAM's radius in nats, per group: the loss one ascent step away, less the loss. "
        f"{_seeds(found)}",
    )


def _spectra(found: Found) -> Tabs | None:
    tabs: list[tuple[str, list[Block]]] = []
    for name in _sets(found):
        rows = []
        for method, many in found.items():
            spectra = [h for content in many if (h := _set(content, name).get("hessian"))]
            if not spectra:
                continue
            saddles = sum(bool(h["negative_curvature"]) for h in spectra)
            words = f"{saddles} of {len(spectra)}" if len(spectra) > 1 else ("no", "yes")[saddles]
            rows.append(
                [
                    Cell(method),
                    _sized([_first(h["largest_eigenvalues"]) for h in spectra]),
                    _sized([_first(h["smallest_eigenvalues"]) for h in spectra]),
                    _sized([h["trace"] for h in spectra]),
                    Cell(words, saddles),
                ]
            )
        if rows:
            columns = [
                Column("method", numeric=False),
                Column("largest eigenvalue"),
                Column("smallest eigenvalue", note="Below 0: the loss curves downwards"),
                Column("trace", note="The sum of all eigenvalues, estimated"),
                Column("saddle", note="Surely negative curvature, beyond rounding"),
            ]
            caption = f"The Hessian of the loss of {name}. {_seeds(found)}"
            tabs.append((name, [Table(columns, rows, caption)]))
    return Tabs("Set of classes", tabs) if tabs else None


def _density(runs: Runs, found: Found) -> Figure | None:
    panels = []
    for name in _sets(found):
        lines = []
        for index, method in enumerate(runs.methods):
            for content in found.get(method.name, ())[:1]:
                spectrum = _set(content, name).get("hessian") or {}
                if spectrum.get("density"):
                    floor = max(spectrum["density"]) * 1e-6
                    density = [v if v > floor else math.nan for v in spectrum["density"]]
                    lines.append(
                        Line(
                            method.name, spectrum["density_grid"], density, series=index, thin=True
                        )
                    )
        if lines:
            panels.append(line_chart(name, lines, "eigenvalue", "density", log_y=True))
    if not panels:
        return None
    keys = [key for key in legend(runs.methods) if key.name in found]
    return Figure(
        panels, "The share of the Hessian's eigenvalues per unit, of the first seed.", keys
    )


def _sets(found: Found) -> list[str]:
    """The sets of several classes and the head's and the tail's, in the order of the file."""
    first = next(iter(found.values()))[0]
    return [s["name"] for s in first["sets"] if s["kind"] != "class" and s["samples"]]


def _set(content: dict[str, Any], name: str) -> dict[str, Any]:
    return next((s for s in content["sets"] if s["name"] == name and s["kind"] != "class"), {})


def _first(values: Sequence[float]) -> float | None:
    return values[0] if values else None


def _sized(values: Sequence[float | None]) -> Cell:
    """A number of any size, to three digits."""
    made = cell(values)
    if made.text == NONE:
        return made
    digits = min(5, max(0, 2 - math.floor(math.log10(max(abs(float(made.value or 0)), 1e-3)))))
    return cell(values, digits=digits)


def _how(found: Found) -> str:
    contents = [content for many in found.values() for content in many]
    settings = contents[0]["settings"]
    split = contents[0].get("run", {}).get("split", "train")
    alike = ("rho", "radius_scale", "weights", "samples", "hessian")
    mixed = any(c["settings"].get(k) != settings.get(k) for c in contents for k in alike)
    text = (
        f"On {plural(int(settings['samples']), 'sample')} of the {split} set, of "
        f"{'all' if settings['weights'] == 'all' else settings['weights']} weights, "
        f"{settings.get('loss', 'cross-entropy')}."
    )
    return text + " The runs were not all measured alike, so compare with care." * mixed


def _seeds(found: Found) -> str:
    most = max(map(len, found.values()))
    return "One seed each." if most == 1 else f"Mean ± standard deviation over up to {most} seeds."
