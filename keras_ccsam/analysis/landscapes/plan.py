"""Landscapes of the loss around a trained model, per class, in one pass per point.

    L_c(i, j) = mean over the samples of class c of  -log p_y(x; w + a_i d_1 + a_j d_2)

with w the trained weights, d the directions (`directions`) and a the steps, symmetric around 0. The
network runs as in inference and without augmentation, and the loss is plain cross-entropy whatever
the model was trained with. Weights are passed to the network, never written.

References:
    Li et al., Visualizing the Loss Landscape of Neural Nets, NeurIPS 2018.
    Zhou et al., Class-Conditional Sharpness-Aware Minimization for Deep Long-Tailed Recognition,
    CVPR 2023 (appendix E: a plane, steps of up to a third of the weights' norm).
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from keras_ccsam.analysis.digest import digest
from keras_ccsam.analysis.landscapes.checked import check_options
from keras_ccsam.analysis.landscapes.cost import Clock, Standing
from keras_ccsam.analysis.landscapes.directions import Directions, draw_directions
from keras_ccsam.analysis.landscapes.evaluator import Points
from keras_ccsam.analysis.landscapes.grid import centre, coordinates, spans, steps_of
from keras_ccsam.analysis.landscapes.partial import Partial, PathLike
from keras_ccsam.analysis.landscapes.result import Landscape
from keras_ccsam.analysis.landscapes.subject import Subject, subject
from keras_ccsam.metrics.groups import Groups

_AT_ONCE_SECONDS = 0.25
_AT_ONCE_POINTS = 64
_AT_ONCE_BYTES = 2**28
_SAVE_SECONDS = 5.0

Progress = Callable[[Standing], None]


def landscape(model: Any, data: Any, *, path: PathLike | None = None, **options: Any) -> Landscape:
    """Evaluates a model on a grid of points around its weights.

    Args:
        model: any built Keras classifier with outputs (B, K), or (B, 1) for class 1 of two. It is
            left as it is.
        data: a pair `(x, y)` of arrays, or a `data.BatchSequence`, whose images are taken
            unaugmented.
        path: an .npz to write. What is done is written beside it every few seconds, and a call
            with the same model, data and options goes on from there, or reads the finished file.
        progress: called with a `Standing` when the cost is known, and as points get done.
        **options: of `plan_landscape`: points, span, directions, dimensions, ...

    Raises:
        ValueError: an argument that does not fit, or `path` holds something else.

    Example:
        >>> found = cc.analysis.landscape(model, data.test, points=25)
        >>> found.loss("tail"), found.doubling("tail").mean
    """
    progress = options.pop("progress", None)
    return plan_landscape(model, data, **options).compute(path, progress)


def plan_landscape(
    model: Any,
    data: Any,
    *,
    points: int = 25,
    span: float | None = None,
    directions: str | Directions = "filter",
    dimensions: Literal[1, 2] = 2,
    lines: int = 10,
    seed: int = 0,
    limit: int | None = None,
    batch_norm: Literal["as_trained", "reestimated"] = "as_trained",
    batch_norm_data: Any = None,
    batch_norm_samples: int = 1000,
    class_counts: Sequence[int] | None = None,
    class_names: Sequence[str] | None = None,
    groups: Groups = "thresholds",
    num_classes: int | None = None,
    from_logits: bool | None = None,
    batch_size: int = 500,
    about: Mapping[str, Any] | None = None,
) -> "LandscapePlan":
    """A landscape that has not been computed: it tells its cost, and computes.

    Args:
        model: see `landscape`.
        data: see `landscape`.
        points: P, along each direction: odd, at least 3. 25 by default.
        span: the largest step, in units of the norm of the weights that move. 1/3 by default; for
            directions of a trajectory, what holds it.
        directions: how random ones are scaled: `"filter"` (default), `"layer"`, `"none"`, or
            `"uniform"` for the appendix's; see `directions`. Or a `Directions`.
        dimensions: 2 for a plane of P x P points (default), 1 for lines.
        lines: of a 1-D landscape, how many directions. 10 by default.
        seed: of the directions.
        limit: about how many samples to take: of each class its share, at least one. All by
            default. Which ones does not depend on `seed`.
        batch_norm: `"as_trained"` (default) or `"reestimated"`: the statistics that the network has
            at each point, from one pass in training mode.
        batch_norm_data: inputs for that pass; those of `data` by default. Give training images.
        batch_norm_samples: how many of them, 1000 by default.
        class_counts: training images of each class, by which head, tail and groups are known; those
            of `data` by default.
        class_names: of the classes; their numbers by default.
        groups: see `metrics.group_classes`.
        num_classes: K; that of the model's output by default, which a model of your own class may
            not tell.
        from_logits: whether the outputs are logits; found out by default.
        batch_size: samples per pass, at most.
        about: what else the file should say, as JSON types.

    Raises:
        ValueError: an argument that does not fit.
    """
    check_options(
        points=points,
        span=span,
        directions=directions,
        dimensions=dimensions,
        lines=lines,
        seed=seed,
        limit=limit,
        batch_norm=batch_norm,
        batch_norm_samples=batch_norm_samples,
        batch_size=batch_size,
    )
    found = subject(
        model,
        data,
        class_counts=class_counts,
        class_names=class_names,
        groups=groups,
        batch_norm=batch_norm,
        batch_norm_data=batch_norm_data,
        batch_norm_samples=batch_norm_samples,
        limit=limit,
        num_classes=num_classes,
        from_logits=from_logits,
        batch_size=batch_size,
    )
    if not isinstance(directions, Directions):
        directions = draw_directions(
            found.at.weights,
            found.axes,
            kind=directions,
            count=2 if dimensions == 2 else lines,
            seed=seed,
            orthogonal=dimensions == 2,
        )
    if dimensions == 2 and len(directions.values) != 2:
        raise ValueError(
            f"A plane has two directions. Received: directions with {len(directions.values)}"
        )
    steps = tuple(steps_of(points, length) for length in spans(span, directions.path, dimensions))
    return LandscapePlan(found, directions, steps, dict(about or {}))


class LandscapePlan:
    """A landscape that has not been computed; `plan_landscape` makes it.

    Attributes:
        subject: the model over its set.
        directions: from the model's weights.
        steps: of the axes, in units of the weights' norm.
        shape: of the points: (P, P) of a plane, (D, P) of lines.
        points: the model as a function of coordinates.
    """

    def __init__(
        self,
        of: Subject,
        directions: Directions,
        steps: tuple[np.ndarray, ...],
        about: dict[str, Any],
    ) -> None:
        self.subject = of
        self.directions = directions
        self.steps = steps
        self._coordinates = coordinates(steps, len(directions.values))
        self.shape: tuple[int, int] = self._coordinates.shape[:2]
        self.points = Points(of.at, directions, of.statistics)
        self._about = about
        self.key = {
            **of.known_by(),
            "directions_sha256": directions.sha256,
            "steps_sha256": digest(steps),
        }

    @property
    def size(self) -> int:
        """How many points there are."""
        return self.shape[0] * self.shape[1]

    def cost(self) -> Standing:
        """How long it would take, by one point; what is compiled before is not in it."""
        self._time_one()
        return Clock(self.size, 0, len(self.subject.at.labels)).estimate(self._time_one())

    def compute(self, path: PathLike | None = None, progress: Progress | None = None) -> Landscape:
        """Evaluates all points; see `landscape`."""
        tell = progress or (lambda standing: None)
        if path is not None and (known := self.finished(path)) is not None:
            tell(Standing(self.size, self.size, 0.0, len(self.subject.at.labels)))
            return known
        at = self.subject.at
        partial = Partial(self.shape, at.num_classes, path, self.key, _SAVE_SECONDS)
        began = time.perf_counter()
        try:
            self._fill(partial, tell)
        finally:
            partial.keep(now=not partial.done.all())
        found = self._landscape(partial, time.perf_counter() - began)
        if path is not None:
            found.save(path)
            partial.drop()
        return found

    def _fill(self, partial: Partial, tell: Progress) -> None:
        middle = centre(self.shape)
        if not partial.done[middle]:
            totals = self.points.totals(self._coordinates[middle][None])[0]
            lines = [middle[0]] if len(self.steps) == 2 else range(self.shape[0])
            for line in lines:  # they all meet in the model
                partial.set((line, middle[1]), totals)
        missing = partial.missing()
        if not missing:
            return
        clock = Clock(self.size, int(partial.done.sum()), len(self.subject.at.labels))
        tell(clock.estimate(self._time_one()))
        while missing:
            number = self._at_once(clock.pace)
            now, missing = missing[:number], missing[number:]
            where = np.stack([self._coordinates[index] for index in now])
            for index, totals in zip(now, self.points.totals(where), strict=True):
                partial.set(index, totals)
            partial.keep()
            tell(clock.advance(len(now)))

    def _time_one(self) -> float:
        """Seconds of a point; the corner is as dear as any."""
        began = time.perf_counter()
        self.points.totals(self._coordinates[0, 0][None])
        return time.perf_counter() - began

    def _at_once(self, pace: float) -> int:
        """Points that are handed to the device together."""
        size = sum(np.asarray(part).nbytes for part in self.directions.values[0])
        most = min(_AT_ONCE_POINTS, _AT_ONCE_BYTES // max(size, 1))
        return int(np.clip(_AT_ONCE_SECONDS / max(pace, 1e-9), 1, max(most, 1)))

    def differs(self, path: PathLike) -> list[str]:
        """In what a file's landscape is another one; nothing where there is no file.

        Raises:
            ValueError: the file is no landscape.
        """
        if not Path(path).exists():
            return []
        about = Landscape.load(path).about
        found = [name for name, value in self.key.items() if about.get(name) != value]
        return [name.removesuffix("_sha256") for name in found]

    def finished(self, path: PathLike) -> Landscape | None:
        """The landscape that is there already; None where there is none.

        Raises:
            ValueError: another one is.
        """
        differs = self.differs(path)
        if differs:
            raise ValueError(
                "the file holds a landscape of something else, and is not written over: it differs "
                f"in {', '.join(differs)}; name another place (--out), or say --overwrite. "
                f"Received: path={str(path)!r}"
            )
        if not Path(path).exists():
            return None
        # No point depends on how classes are called and grouped: that is as asked for now.
        of = self.subject
        return dataclasses.replace(
            Landscape.load(path),
            class_counts=of.class_counts,
            class_names=of.class_names,
            groups=of.groups,
        )

    def _landscape(self, partial: Partial, seconds: float) -> Landscape:
        of = self.subject
        about = {
            **self.key,
            "directions": self.directions.kind,
            "seed": self.directions.seed,
            "explained_variance": self.directions.explained_variance,
            "draws_sha256": self.directions.draws_sha256,
            "weights_norm": self.directions.norm,
            "samples": len(of.at.labels),
            "samples_of": of.samples_of,
            "seconds": round(seconds, 3),
            "points_taken_up": partial.resumed,
            **self._about,
        }
        return Landscape(
            self.steps,
            partial.loss_sum,
            partial.correct,
            of.at.count,
            of.class_counts,
            of.class_names,
            of.groups,
            self.directions.gram,
            self.directions.path,
            about,
        )
