"""Accuracy of the classes with many, a medium number of, and few training images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

import keras
import numpy as np
from keras import ops
from pydantic import Field

from keras_ccsam.checks import check_class_counts
from keras_ccsam.labels import class_indices
from keras_ccsam.metrics.counting import indicator, sample_weights
from keras_ccsam.metrics.predictions import two_columns
from keras_ccsam.typing import Tensor

Groups: TypeAlias = Literal["thresholds", "thirds"] | Mapping[str, Sequence[int]]
"""How classes are grouped: by count, in thirds, or as listed: `{"head": (0, 1), ...}`."""


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Between classes with many, a medium number of, and few training images.

    Attributes:
        many: Above it a class has many images.
        few: Below it a class has few.
        inclusive: Whether a class with exactly `many` (`few`) images has many (few). Most
            codebases say False; OLTR's and CC-SAM's say True; GLMC's (False, True), i.e. one
            answer for `many` and one for `few`.
    """

    many: Annotated[
        int,
        Field(ge=1, lt=2**31, description="images; a class with more is a many-shot one (field)"),
    ] = 100
    few: Annotated[
        int,
        Field(ge=1, lt=2**31, description="images; a class with fewer is a few-shot one (field)"),
    ] = 20
    inclusive: Annotated[
        bool | Annotated[tuple[bool, bool], Field(strict=False)],
        Field(
            description=">= and <= in place of > and < (code: yes); or one answer for many and "
            "one for few"
        ),
    ] = False


RULE: Groups = "thresholds"


def group_classes(
    class_counts: Sequence[int],
    groups: Groups = RULE,
    *,
    many: int = Thresholds.many,
    few: int = Thresholds.few,
    inclusive: bool | tuple[bool, bool] = Thresholds.inclusive,
) -> dict[str, tuple[int, ...]]:
    """Sorts classes into groups by their number of training images n.

    Args:
        class_counts: Training images of each class.
        groups: `"thresholds"`: many n > `many`, few n < `few`, medium the rest. `"thirds"`:
            classes in descending order of n (ties in class order), the first and the last
            round(C / 3) are many and few: 3 / 4 / 3 of ten. For sets without a rare class, such
            as CIFAR-10-LT. Or a mapping from names to classes, taken as it is.
        many, few, inclusive: See `Thresholds`.

    Returns:
        Group name to its classes in ascending order. An empty group is absent.

    Raises:
        ValueError: Counts that are not whole numbers of at least 0, thresholds that overlap, an
            unknown scheme, or a mapping with classes that do not exist.
    """
    counts = check_class_counts(class_counts, at_least=0)
    if isinstance(groups, Mapping):
        return _listed(groups, len(counts))
    if groups == "thirds":
        order = np.argsort([-count for count in counts], kind="stable").tolist()
        third = round(len(counts) / 3)
        parts = (order[:third], order[third : len(order) - third], order[len(order) - third :])
        names = ("many", "medium", "few")
        return {n: tuple(sorted(part)) for n, part in zip(names, parts, strict=True) if part}
    if groups != "thresholds":
        raise ValueError(
            '`groups` must be "thresholds", "thirds" or a mapping from names to classes. '
            f"Received: groups={groups!r}"
        )
    many_too, few_too = (inclusive,) * 2 if isinstance(inclusive, bool) else inclusive
    if many < few or (many == few and many_too and few_too):
        raise ValueError(
            "`many` must be above `few`, or a class would belong to both. "
            f"Received: many={many}, few={few}, inclusive={inclusive}"
        )
    found: dict[str, list[int]] = {"many": [], "medium": [], "few": []}
    for index, count in enumerate(counts):
        if count > many or (many_too and count == many):
            found["many"].append(index)
        elif count < few or (few_too and count == few):
            found["few"].append(index)
        else:
            found["medium"].append(index)
    return {name: tuple(classes) for name, classes in found.items() if classes}


@keras.saving.register_keras_serializable(package="keras_ccsam")
class GroupAccuracy(keras.Metric):
    """Mean accuracy over the classes of a group.

        accuracy_c = correct_c / samples_c;   result = mean of accuracy_c over the group's classes

    Classes are weighted alike, as long-tail papers do, except in `"overall"`, which is the share
    of samples that are right. Classes without a sample so far are left out of the mean; before
    any sample of the group the result is 0, as for Keras' own metrics (`metrics.Report` leaves
    such a group out instead). For `compile(metrics=[...])`.

    Args:
        class_counts: Training images of each class.
        group: A group of `group_classes` (`"many"`, `"medium"`, `"few"`), `"balanced"` (all
            classes) or `"overall"`.
        groups, many, few, inclusive: See `group_classes`.
        from_logits: Of a model with one output, whether it is the logit of class 1 (predicted above
            0) or its probability (above 0.5). Of more outputs only the largest matters.
        name: Name of the metric, `<group>_accuracy` by default.
        dtype: Type of the result.

    Raises:
        ValueError: A group that is empty or unknown for these counts.
    """

    def __init__(
        self,
        class_counts: Sequence[int],
        group: str = "balanced",
        groups: Groups = RULE,
        many: int = Thresholds.many,
        few: int = Thresholds.few,
        inclusive: bool | tuple[bool, bool] = Thresholds.inclusive,
        from_logits: bool | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=name or f"{group}_accuracy", dtype=dtype)
        self.class_counts = check_class_counts(class_counts, at_least=0)
        self.group = group
        self.from_logits = from_logits
        inclusive = inclusive if isinstance(inclusive, bool) else (inclusive[0], inclusive[1])
        members = group_classes(self.class_counts, groups, many=many, few=few, inclusive=inclusive)
        self._options = {
            "groups": groups if isinstance(groups, str) else _as_lists(groups),
            "many": many,
            "few": few,
            "inclusive": inclusive if isinstance(inclusive, bool) else list(inclusive),
        }
        everything = tuple(range(len(self.class_counts)))
        members = {**members, "balanced": everything, "overall": everything}
        if group not in members:
            raise ValueError(
                f"`group` must be one that these class counts have: {', '.join(members)}. "
                f"Received: group={group!r}"
            )
        self.classes = members[group]
        shape = (len(self.class_counts),)
        self.correct = self.add_variable(shape, initializer="zeros", name="correct")
        self.total = self.add_variable(shape, initializer="zeros", name="total")

    def update_state(
        self, y_true: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> None:
        """Counts a batch.

        Args:
            y_true: Labels (B,), (B, 1) or one-hot (B, C). A label outside 0..C-1 is not counted.
            y_pred: Logits or probabilities (B, C), or (B, 1) of class 1.
            sample_weight: Honoured: a sample of weight w counts w times. Keras passes it to
                `weighted_metrics`, not to `metrics`.

        Raises:
            ValueError: One output, and no word on what it is.
        """
        num_classes = len(self.class_counts)
        if y_pred.shape[-1] == 1:
            if self.from_logits is None:
                raise ValueError(
                    "Of a model with one output, say whether that is a logit: from_logits=True, or "
                    "False where it is a probability. Received: from_logits=None"
                )
            y_pred = two_columns(y_pred, self.from_logits)
        labels = class_indices(y_true)
        weights = sample_weights(sample_weight, labels)
        right = ops.cast(
            ops.equal(ops.cast(ops.argmax(y_pred, axis=-1), "int32"), labels), "float32"
        )
        per_class = indicator(labels, num_classes)
        self.correct.assign_add(ops.cast(ops.matmul(right * weights, per_class), self.dtype))
        self.total.assign_add(ops.cast(ops.matmul(weights, per_class), self.dtype))

    def result(self) -> Tensor:
        if self.group == "overall":
            return ops.divide_no_nan(ops.sum(self.correct), ops.sum(self.total))
        member = np.zeros(len(self.class_counts), dtype=self.dtype)
        member[list(self.classes)] = 1.0
        seen = ops.cast(self.total > 0, self.dtype) * ops.convert_to_tensor(member)
        accuracy = ops.divide_no_nan(self.correct, self.total)
        return ops.divide_no_nan(ops.sum(accuracy * seen), ops.sum(seen))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "class_counts": list(self.class_counts),
            "group": self.group,
            **self._options,
            "from_logits": self.from_logits,
        }


def group_metrics(
    class_counts: Sequence[int],
    groups: Groups = RULE,
    *,
    many: int = Thresholds.many,
    few: int = Thresholds.few,
    inclusive: bool | tuple[bool, bool] = Thresholds.inclusive,
    extra: Sequence[str] = ("balanced",),
    from_logits: bool | None = None,
) -> list[GroupAccuracy]:
    """One `GroupAccuracy` for each group that has a class, for `compile(metrics=[...])`.

    Args:
        class_counts: Training images of each class.
        groups, many, few, inclusive: See `group_classes`.
        extra: Any of `"balanced"` and `"overall"` to add.
        from_logits: Of a model with one output; see `GroupAccuracy`.

    Returns:
        Metrics named `many_accuracy`, `medium_accuracy`, `few_accuracy`, `balanced_accuracy`, ...
    """
    present = group_classes(class_counts, groups, many=many, few=few, inclusive=inclusive)
    return [
        GroupAccuracy(class_counts, name, groups, many, few, inclusive, from_logits)
        for name in (*present, *extra)
    ]


def _listed(groups: Mapping[str, Sequence[int]], num_classes: int) -> dict[str, tuple[int, ...]]:
    found = {
        str(name): tuple(sorted({int(c) for c in classes})) for name, classes in groups.items()
    }
    for name, classes in found.items():
        if classes and not (classes[0] >= 0 and classes[-1] < num_classes):
            raise ValueError(
                f"Classes go from 0 to {num_classes - 1}. Received: groups[{name!r}]={classes}"
            )
    return {name: classes for name, classes in found.items() if classes}


def _as_lists(groups: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    return {str(name): [int(c) for c in classes] for name, classes in groups.items()}
