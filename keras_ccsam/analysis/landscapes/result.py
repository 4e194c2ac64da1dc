"""A landscape: loss and right answers of every class at every point, and what they say."""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from keras_ccsam import atomic
from keras_ccsam.analysis.class_sets import head_class, tail_class
from keras_ccsam.analysis.landscapes import valley
from keras_ccsam.analysis.landscapes.grid import centre
from keras_ccsam.data.npz import UNREADABLE, open_npz
from keras_ccsam.hints import did_you_mean

FORMAT = "keras_ccsam landscape 1"

Group: TypeAlias = str | int | Sequence[int]
"""`"overall"`, `"head"`, `"tail"`, a group such as `"many"`, a class, or several."""


@dataclasses.dataclass(frozen=True, eq=False)
class Landscape:
    """What a model scores around its weights, per class.

    A plane has points [i, j]: step i along the first direction, j along the second. Lines have
    points [d, i]: step i along direction d.

    Attributes:
        steps: of a plane the steps along both directions, (P,) each; of lines one array (P,). In
            units of the weights' norm; the middle one is 0, the model.
        loss_sum: (..., K) sums of the samples' cross-entropies, float64.
        correct: (..., K) how many samples are classified rightly, int64.
        count: (K,) how many there are.
        class_counts: (K,) training images, by which head, tail and the groups are known.
        class_names: K names.
        groups: name to classes: many, medium and few, or what was asked for.
        gram: (D, D) inner products of the directions over the squared norm of the weights.
        path: (E, 2) where training came along, in the units of `steps`; None without a trajectory.
        about: how it was made: seed, hashes, what BatchNorm did, and so on, as JSON types.
    """

    steps: tuple[np.ndarray, ...]
    loss_sum: np.ndarray
    correct: np.ndarray
    count: np.ndarray
    class_counts: tuple[int, ...]
    class_names: tuple[str, ...]
    groups: Mapping[str, tuple[int, ...]]
    gram: np.ndarray
    path: np.ndarray | None
    about: Mapping[str, Any]

    @property
    def dimensions(self) -> int:
        """2 for a plane, 1 for lines."""
        return len(self.steps)

    @property
    def head(self) -> int:
        """The class with the most training images, the first of several."""
        return head_class(self.class_counts)

    @property
    def tail(self) -> int:
        """The class with the fewest, the last of several."""
        return tail_class(self.class_counts)

    def classes(self, group: Group = "overall") -> tuple[int, ...]:
        """The classes of a group.

        Raises:
            ValueError: there is no such group or class.
        """
        size = len(self.class_counts)
        named = {
            "overall": tuple(range(size)),
            "head": (self.head,),
            "tail": (self.tail,),
            **self.groups,
        }
        if isinstance(group, str):
            if group not in named:
                raise ValueError(
                    f"`group` must be one of {', '.join(named)}, a class or several"
                    f"{did_you_mean(group, named)}. Received: group={group!r}"
                )
            return named[group]
        chosen = (group,) if isinstance(group, int | np.integer) else tuple(group)
        if not chosen or not all(0 <= label < size for label in chosen):
            raise ValueError(
                f"`group` must name classes from 0 to {size - 1}. Received: group={group!r}"
            )
        return tuple(int(label) for label in chosen)

    def loss(self, group: Group = "overall") -> np.ndarray:
        """The mean cross-entropy over the samples of a group at every point, (P, P) or (D, P).

        NaN where the group has no sample; infinite or NaN where the network overflows.

        Raises:
            ValueError: there is no such group or class.
        """
        return self._share(self.loss_sum, group)

    def accuracy(self, group: Group = "overall") -> np.ndarray:
        """The share of the samples of a group that is classified rightly, at every point.

        Raises:
            ValueError: there is no such group or class.
        """
        return self._share(self.correct, group)

    def at_model(self, group: Group = "overall") -> tuple[float, float]:
        """Loss and accuracy of a group at the model itself."""
        middle = centre(self.loss_sum.shape)
        return float(self.loss(group)[middle]), float(self.accuracy(group)[middle])

    def doubling(self, group: Group = "overall") -> valley.Reach:
        """How far one can walk until the loss of a group has doubled; see `valley`."""
        return self.reach(group, 2.0)

    def reach(self, group: Group = "overall", factor: float = 2.0) -> valley.Reach:
        """How far one can walk until the loss of a group is `factor` times that at the model."""
        return valley.reach(self._lines(group), factor)

    def asymmetry(self, group: Group = "overall") -> valley.Spread:
        """How unlike the two sides of the valley are: 0 alike, 1 one-sided; see `valley`."""
        return valley.asymmetry(self._lines(group))

    def shown_groups(self) -> dict[str, str]:
        """The groups that have samples, each with what it is."""
        found = {
            "overall": "all classes",
            "head": self._named(self.head),
            "tail": self._named(self.tail),
            **{name: so_many_classes(len(classes)) for name, classes in self.groups.items()},
        }
        return {
            name: text for name, text in found.items() if self.count[list(self.classes(name))].sum()
        }

    def to_dict(self) -> dict[str, Any]:
        """The numbers beside the picture as JSON types."""
        rows = {}
        for name, text in self.shown_groups().items():
            loss, accuracy = self.at_model(name)
            rows[name] = {
                "classes": list(self.classes(name)),
                "what": text,
                "loss": loss,
                "accuracy": accuracy,
                "doubling": self.doubling(name).to_dict(),
                "asymmetry": self.asymmetry(name).to_dict(),
            }
        return {
            "dimensions": self.dimensions,
            "points": int(np.prod(self.loss_sum.shape[:-1])),
            "groups": rows,
            "about": dict(self.about),
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes an .npz, whole or not at all, and returns its path."""
        names = [f"steps{index}" for index in range(len(self.steps))]
        about = {
            "format": FORMAT,
            "class_counts": list(self.class_counts),
            "class_names": list(self.class_names),
            "groups": {name: list(classes) for name, classes in self.groups.items()},
            "about": dict(self.about),
        }
        arrays = {"loss_sum": self.loss_sum, "correct": self.correct, "count": self.count}
        arrays |= {"gram": self.gram} | ({} if self.path is None else {"path": self.path})
        write(path, about, {**dict(zip(names, self.steps, strict=True)), **arrays})
        return Path(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Landscape":
        """Reads what `save` wrote.

        Raises:
            ValueError: the file is no landscape.
        """
        about, arrays = read(path, FORMAT)
        return cls(
            tuple(arrays[name] for name in ("steps0", "steps1") if name in arrays),
            arrays["loss_sum"],
            arrays["correct"],
            arrays["count"],
            tuple(about["class_counts"]),
            tuple(about["class_names"]),
            {name: tuple(classes) for name, classes in about["groups"].items()},
            arrays["gram"],
            arrays.get("path"),
            about["about"],
        )

    def _share(self, sums: np.ndarray, group: Group) -> np.ndarray:
        chosen = list(self.classes(group))
        count = self.count[chosen].sum()
        if not count:
            return np.full(sums.shape[:-1], np.nan)
        return np.asarray(sums[..., chosen].sum(axis=-1) / count)

    def _lines(self, group: Group) -> list[valley.Line]:
        return valley.lines_of(self.loss(group), self.steps, self.gram)

    def _named(self, label: int) -> str:
        number = self.class_counts[label]
        return f"class {self.class_names[label]}, {number} training image{'s' * (number != 1)}"


def so_many_classes(count: int) -> str:
    """As in "1 class" or "3 classes"."""
    return "1 class" if count == 1 else f"{count} classes"


def write(
    path: str | os.PathLike[str], about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Writes arrays and what is said of them, a JSON text, as one .npz."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(about, allow_nan=False, ensure_ascii=False)
    with atomic.replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, allow_pickle=False, about=np.array(text), **arrays)


def read(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `write` wrote: what is said of the arrays, and the arrays.

    Raises:
        ValueError: the file cannot be read, or its `format` is another one.
    """
    try:
        with open_npz(path) as file:
            arrays = {name: file[name] for name in file.files}
        about = json.loads(str(arrays.pop("about")))
    except UNREADABLE as error:
        raise ValueError(f"cannot read the file: {error}. Received: path={str(path)!r}") from None
    if not isinstance(about, dict) or about.get("format") != kind:
        raise ValueError(
            f"the file is not what was looked for, {kind!r}. Received: path={str(path)!r}"
        )
    return about, arrays
