"""The plot of head_scaling.py: CC-SAM's extra time against the batch, one column a size D."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.record import Row

STYLES = {"gram": "-", "class means": "--"}


def plot(rows: Sequence[Row], path: Path, backend: str) -> None:
    """Writes an SVG: relative to cross-entropy's head above, to the whole step below."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    sizes = sorted({row["features"] for row in rows})
    figure = Figure(figsize=(4.2 * len(sizes), 7), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(2, len(sizes), squeeze=False, sharex=True)
    for column, features in enumerate(sizes):
        mine = [row for row in rows if row["features"] == features]
        draw(axes[0][column], mine, lambda row: row["cpu_ratio"] - 1)
        axes[0][column].set_title(f"{features} features")
        if any("share_of_step" in row for row in mine):
            draw(axes[1][column], mine, lambda row: row.get("share_of_step", 0.0))
            axes[1][column].axhline(3, color="black", linewidth=0.8, linestyle=":")
        else:
            axes[1][column].text(
                0.5, 0.5, "no network", ha="center", transform=axes[1][column].transAxes
            )
        axes[1][column].set_xlabel("batch")
    axes[0][0].set_ylabel("extra time, % of cross-entropy's head")
    axes[1][0].set_ylabel("extra time, % of the whole step (dotted: 3 %)")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=8)
    figure.suptitle(f"CC-SAM on the head, {backend}: processor time; a gap is no extra time")
    with matplotlib.rc_context({"svg.hashsalt": "head_scaling", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})


def draw(axes, rows, value):  # type: ignore[no-untyped-def]
    """One line a number of classes and form, in per cent; what is not above zero is a gap."""
    every = sorted({row["classes"] for row in rows})
    for number, classes in enumerate(every):
        for form, style in STYLES.items():
            own = [r for r in rows if r["classes"] == classes and r["form"] == form]
            if own:
                own.sort(key=lambda row: row["batch"])
                percent = [100 * value(row) for row in own]
                axes.plot(
                    [row["batch"] for row in own],
                    [p if p > 0 else float("nan") for p in percent],
                    style,
                    color=f"C{number}",
                    marker=".",
                    label=f"{classes} classes, {form}",
                )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.grid(alpha=0.3)
