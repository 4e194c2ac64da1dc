"""A landscape's points: what they would cost, and computing them, also in several sittings."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam.analysis.digest import digest
from keras_ccsam.analysis.landscapes.cost import Clock, Standing
from keras_ccsam.analysis.landscapes.directions import Directions
from keras_ccsam.analysis.landscapes.evaluator import Points
from keras_ccsam.analysis.landscapes.grid import centre, coordinates
from keras_ccsam.analysis.landscapes.partial import Partial, PathLike
from keras_ccsam.analysis.landscapes.result import Landscape
from keras_ccsam.analysis.landscapes.subject import Subject

_AT_ONCE_SECONDS = 0.25
_AT_ONCE_POINTS = 64
_AT_ONCE_BYTES = 2**28
_SAVE_SECONDS = 5.0

Progress = Callable[[Standing], None]


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
