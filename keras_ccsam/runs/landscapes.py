"""Landscapes of finished runs: the same directions and one scale for all of them."""

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

from keras_ccsam.analysis.landscapes import Landscape, LandscapePlan, plan_landscape
from keras_ccsam.analysis.landscapes.checked import check_options
from keras_ccsam.analysis.landscapes.cost import Standing
from keras_ccsam.analysis.landscapes.directions import check_shared
from keras_ccsam.analysis.landscapes.trajectory import require_trajectory, trajectory_directions
from keras_ccsam.data.batches.labelled_parts import Split
from keras_ccsam.duration import duration
from keras_ccsam.runs.compiled_programs import programs_of
from keras_ccsam.runs.folders import PathLike, named, require_writable
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.trained_run import TrainedRun, open_run

Stage = Literal["stage1", "final"]

_LINE_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class RunLandscapes:
    """The landscapes of runs, and where they are.

    Attributes:
        found: by the run's name.
        files: the .npz of each.
        pictures: the .png of each, and of all of them under "all", where there are several.
    """

    found: Mapping[str, Landscape]
    files: Mapping[str, Path]
    pictures: Mapping[str, Path]


class PlannedLandscapes:
    """Landscapes of runs that have not been computed.

    Args:
        run_dirs: run directories; their landscapes share directions.
        split: the samples: `"train"` (default), `"validation"` or `"test"`.
        of: `"final"`, the trained network (default), or `"stage1"`, as stage 1 left it.
        trajectory: take the plane of the training's path, of a run that kept it, in place of
            random directions. It is that of stage 1.
        out: a folder for all files; by default each run's own folder `analysis`.
        overwrite: write over landscapes of other options.
        data: where the images of all these runs lie now; see `open_run`.
        trust_code: see `open_run`.
        **options: of `analysis.plan_landscape`.

    Attributes:
        plans: by the run's name.

    Raises:
        ValueError: a folder is no finished run, an option does not fit, nothing may be written, a
            file holds another landscape, or the networks cannot share directions.
    """

    def __init__(
        self,
        run_dirs: Sequence[PathLike],
        *,
        split: Split = "train",
        of: Stage = "final",
        trajectory: bool = False,
        out: PathLike | None = None,
        overwrite: bool = False,
        data: PathLike | None = None,
        trust_code: bool = False,
        **options: Any,
    ) -> None:
        if not run_dirs:
            raise ValueError("Name at least one run. Received: no run")
        if trajectory and options.get("directions", "filter") != "filter":
            raise ValueError(
                "The plane of a training's path has no random directions: leave one out. "
                f"Received: trajectory=True, directions={options['directions']!r}"
            )
        if out is not None and Path(out).exists() and not Path(out).is_dir():
            raise ValueError(f"`out` must be a folder. Received: out={str(out)!r}, a file")
        # Before a network is read, which takes longer.
        check_options(**options)
        self._folders = _named(run_dirs)
        if trajectory:
            for folder in self._folders.values():
                require_trajectory(RunDirectory(folder).trajectory_file)
        self._out = None if out is None else Path(out)
        for folder in self._folders.values():
            place = folder / "analysis" if self._out is None else self._out
            require_writable(place, "name another folder (--out)")
        self._overwrite = overwrite
        of = "stage1" if trajectory else of
        parts = ["landscape", *(["trajectory"] if trajectory else [])]
        parts += ["lines"] if options.get("dimensions") == 1 else []
        parts += ["stage1"] if of == "stage1" and not trajectory else []
        parts += [split] if split != "train" else []
        self._stem = "-".join(parts)
        self.plans: dict[str, LandscapePlan] = {}
        with self._programs():
            for name, folder in self._folders.items():
                run = open_run(folder, data=data, trust_code=trust_code)
                self.plans[name] = _plan(run, name, split, of, trajectory, options)
        if not trajectory:
            check_shared({name: plan.directions for name, plan in self.plans.items()})
        for name, plan in self.plans.items():
            if not overwrite:
                plan.finished(self.file(name))

    def file(self, name: str) -> Path:
        """The .npz of a run."""
        if self._out is None:
            return self._folders[name] / "analysis" / f"{self._stem}.npz"
        return self._out / f"{self._stem}-{name}.npz"

    def costs(self) -> dict[str, Standing]:
        """What each takes, by one point."""
        with self._programs():
            return {name: plan.cost() for name, plan in self.plans.items()}

    def compute(self, progress: str | Progress = "auto") -> RunLandscapes:
        """Compute, or read, all landscapes; write them, and draw them on one scale."""
        # Matplotlib takes a second to import.
        from keras_ccsam.analysis import plots

        found, files = {}, {}
        with Progress.of(progress) as shown, self._programs():
            for number, (name, plan) in enumerate(self.plans.items(), start=1):
                place = f"{number}/{len(self.plans)}  {name}" if len(self.plans) > 1 else name
                path = self.file(name)
                if self._overwrite and plan.differs(path):
                    path.unlink()
                found[name] = plan.compute(path, _Shown(shown, place).tell)
                files[name] = path
        scale = list(found.values())
        pictures = {
            name: plots.landscape(each, files[name].with_suffix(".png"), scale_of=scale)
            for name, each in found.items()
        }
        if len(found) > 1:
            together = self._together() / f"{self._stem.replace('landscape', 'landscapes', 1)}.png"
            pictures["all"] = plots.landscape(found, together)
        return RunLandscapes(found, files, pictures)

    def _programs(self) -> AbstractContextManager[None]:
        """What training the first run compiled is at hand, and what is compiled here is kept."""
        return programs_of(next(iter(self._folders.values())))

    def _together(self) -> Path:
        """The folder of the picture of all runs."""
        if self._out is not None:
            return self._out
        parents = [str(folder.absolute().parent) for folder in self._folders.values()]
        return Path(os.path.commonpath(parents))


class _Shown:
    """Prints how far a landscape is: a line that is drawn over, or one every ten seconds."""

    def __init__(self, progress: Progress, place: str) -> None:
        self._progress = progress
        self._place = place
        self._told = 0.0

    def tell(self, standing: Standing) -> None:
        if not self._progress.shown:
            return
        count = f"{standing.done}/{standing.total} points of {standing.samples} samples"
        if standing.done == standing.total:
            text = f"{self._place}  {count}"
        else:
            text = f"{self._place}  {count}  about {duration(standing.seconds_left)} left"
        now = time.perf_counter()
        if self._progress.kind == "bar":
            self._progress.draw(text)
            if standing.done == standing.total:
                self._progress.end_line()
        elif standing.done == standing.total or now - self._told >= _LINE_SECONDS:
            self._told = now
            self._progress.say(text)


def _plan(
    run: TrainedRun, name: str, split: Split, of: Stage, trajectory: bool, options: dict[str, Any]
) -> LandscapePlan:
    """The landscape of one run; BatchNorm learns from its training images."""
    data = run.images.split_arrays(split)
    model = run.stage1_model() if of == "stage1" else run.model()
    about = {
        "run": name,
        "recipe": run.recipe.name,
        "seed_of_run": run.recipe.seed,
        "stage": of,
        "split": split,
    }
    if trajectory:
        directions = trajectory_directions(run.directory.trajectory_file, model)
        options = {**options, "directions": directions}
    return plan_landscape(
        model,
        data,
        class_counts=run.images.class_counts,
        class_names=run.images.class_names,
        groups=run.groups(),
        batch_norm_data=run.images.x_train,
        about=about,
        from_logits=True,  # both are, and to find out would compile each layer by itself
        **options,
    )


def _named(run_dirs: Sequence[PathLike]) -> dict[str, Path]:
    """The runs by the names of their folders; by more of the path where that is not enough.

    Raises:
        ValueError: a run is named twice.
    """
    paths = [named(folder, "run") for folder in run_dirs]
    whole = [path.absolute() for path in paths]
    if len(set(whole)) < len(whole):
        raise ValueError(f"A run is named twice. Received: runs={[str(path) for path in paths]}")
    for depth in range(1, max(len(path.parts) for path in whole) + 1):
        names = ["-".join(path.parts[-depth:]).replace(os.sep, "") for path in whole]
        if len(set(names)) == len(names):
            break
    return dict(zip(names, paths, strict=True))
