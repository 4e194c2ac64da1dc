"""One recipe at several values of one of its keys, and which value the validation split prefers."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any

from keras_ccsam import text_table as table
from keras_ccsam.comparison.check_models import check_models
from keras_ccsam.comparison.compare import NothingTrained, train
from keras_ccsam.comparison.comparison import Comparison, Row, summary
from keras_ccsam.comparison.sweep_plan import SweepPlan, plan_sweep
from keras_ccsam.comparison.time_left import TimeLeft
from keras_ccsam.launching import Launcher
from keras_ccsam.runs.asked import check_validate_every
from keras_ccsam.runs.folders import PathLike
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.record_options import Record, check_record
from keras_ccsam.runs.run_directory import write_json
from keras_ccsam.trackers import check

FORMAT = 1
# Columns of a comparison's row, with their headings.
_COLUMNS = {
    "validation_balanced": "val. balanced",
    "validation": "validation",
    "balanced": "test balanced",
    "overall": "test",
}


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What was trained at each value.

    Attributes:
        plan: what was asked for.
        comparison: of the variants, one row per value.
    """

    plan: SweepPlan
    comparison: Comparison

    @property
    def recommended(self) -> str:
        """The value of the highest mean balanced validation accuracy; the first of several."""
        means = [self._mean(row) for row in self.comparison.rows]
        return self.plan.values[means.index(max(means))]

    @property
    def within_spread(self) -> tuple[str, ...]:
        """The other values that one standard deviation over the seeds does not tell from it."""
        best = self.comparison.rows[self.plan.values.index(self.recommended)]
        spread = summary(best.values("validation_balanced"))["std"] or 0.0
        return tuple(
            value
            for value, row in zip(self.plan.values, self.comparison.rows, strict=True)
            if row is not best and self._mean(row) >= self._mean(best) - spread
        )

    def table(self) -> str:
        """Return the table and what it recommends, as plain text."""
        header = [self.plan.key.rpartition(".")[2], *_COLUMNS.values()]
        rows = [
            [value, *(table.mean_std(row.values(column), 100.0) for column in _COLUMNS)]
            for value, row in zip(self.plan.values, self.comparison.rows, strict=True)
        ]
        for cells, row in zip(rows, self.comparison.rows, strict=True):
            cells[1] = self.comparison.lack(row) or cells[1]
        whole = [table.text_table(header, rows), self.verdict(), *self.comparison.reasons()]
        return "\n\n".join(whole)

    def verdict(self) -> str:
        """Say which value is recommended, by what, and how sure that is."""
        seeds = self.comparison.seeds
        n = len(seeds)
        size = self.comparison.results[0]["validation"]["num_samples"]
        spread = f"mean ± standard deviation over {n} seeds" if n > 1 else "one seed"
        text = (
            f"Recommended: {self.plan.key} = {self.recommended}, by the balanced accuracy on the "
            f"{size} images of the validation split ({spread}); the test set took no part. "
        )
        if n == 1:
            return text + "One seed says nothing of the spread: take three or more."
        if self.within_spread:
            others = ", ".join(self.within_spread)
            return text + f"Not told from it by one standard deviation: {others}."
        return text + "The others lie more than one standard deviation below."

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types; accuracies are fractions in 0..1."""
        return {
            "kind": "sweep",
            "format": FORMAT,
            "about": "One recipe at several values of one key; mean and standard deviation over "
            "the seeds, accuracies as fractions.",
            "key": self.plan.key,
            "recipe": self.plan.base.name,
            "data": self.comparison.data,
            "setting": self.plan.base.setting,
            "class_counts": list(self.comparison.class_counts),
            "seeds": list(self.comparison.seeds),
            "validation_fraction": self.plan.base.data.validation_fraction,
            "validation_cut_by_sweep": self.plan.cut_here,
            "recommended": self.recommended,
            "recommended_by": "mean balanced accuracy on the validation split",
            "within_one_deviation": list(self.within_spread),
            "rows": [
                {
                    "value": value,
                    "recipe": row.recipe,
                    "digest": row.digest,
                    **{column: summary(row.values(column)) for column in _COLUMNS},
                }
                for value, row in zip(self.plan.values, self.comparison.rows, strict=True)
            ],
            "missing": [dataclasses.asdict(run) for run in self.comparison.missing],
        }

    def _mean(self, row: Row) -> float:
        return float(summary(row.values("validation_balanced"))["mean"] or 0.0)


def sweep(
    key: str,
    values: Sequence[str | float] | None = None,
    recipe: str = "ccsam",
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    seeds: Sequence[int] | int = 3,
    out: PathLike | None = None,
    progress: str = "auto",
    compile_cache: PathLike = "auto",
    record: Record = (),
    trackers: Sequence[str] = (),
    launcher: Launcher | None = None,
    validate_every: int = 1,
) -> Sweep:
    """Train a recipe at several values of one key, and recommend one by the validation split.

    It is a comparison (`compare`) of the variants: the same call goes on where it was interrupted,
    and variants with the same first stage share it.

    Args:
        key: of the recipe, as in `"stage1.method.radius_scale"`; the last part alone will do for
            values of the method, of the two stages and of the loss.
        values: two or more; of `radius_scale` those of the appendix' Figure 1 by default, 1e-1 to
            1e-7.
        recipe, data, overrides: as in `recipes.load`. A recipe without a validation split gets one:
            a tenth of each training class.
        seeds: as in `compare`; 3 by default.
        out: as in `compare`; `runs/sweep-<key>-<recipe>-<data>` by default. Gets `sweep.json` and
            `sweep.png`, too.
        progress, compile_cache, record, trackers, launcher, validate_every: as in `compare`.

    Raises:
        ValueError: as `plan_sweep`, or data that cannot be had. Nothing has been written then.
        FloatingPointError: every run diverged; one that did is no reason to end, as in `compare`.
        NothingTrained: each value lacks a run that failed in the hands of the launcher.
    """
    shown = Progress(progress)
    record = check_record(record)
    check(trackers)
    check_validate_every(validate_every)
    chosen = plan_sweep(key, values, recipe, data=data, overrides=overrides, seeds=seeds, out=out)
    check_models(chosen.plan.recipes, record)
    plan = chosen.plan
    clock = TimeLeft(plan.runs)
    options: Any = {"launcher": launcher, "validate_every": validate_every}
    compared = train(plan, shown, clock, compile_cache, record, trackers, **options)
    if launcher is not None and all(None in row.results for row in compared.rows):
        raise NothingTrained(f"each value lacks a run: {'; '.join(compared.reasons())}")
    found = Sweep(chosen, compared)
    write_json(plan.path / "sweep.json", found.to_dict())
    _plot(found)
    return found


def _plot(found: Sweep) -> None:
    from keras_ccsam.analysis import plots  # matplotlib takes a second to import

    try:
        plots.sweep(found.to_dict(), found.comparison.path / "sweep.png")
    except (OSError, RuntimeError, ValueError) as error:
        warnings.warn(f"the plot could not be drawn: {error}", stacklevel=3)
