"""What is known of long-tailed data before its images are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from keras_ccsam.data.tails.profiles import ratio_note


@dataclass(frozen=True, kw_only=True)
class About:
    """What long-tailed data says of itself, with its images and without.

    Attributes:
        name: of the data set, such as `"cifar10-lt"`.
        class_names: one per class.
        source: where the images come from.
        licence: terms of the images, and whom to cite.
        settings: imbalance ratio, profile, protocol, seed and validation share that made it.
        notes: what a user should know of the set before relying on it.
    """

    name: str
    class_names: tuple[str, ...]
    source: str
    licence: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return len(self.class_names)

    @property
    def about(self) -> dict[str, Any]:
        """The attributes above by their names, for another form of the same data."""
        return {known.name: getattr(self, known.name) for known in fields(About)}


@dataclass(frozen=True, kw_only=True)
class Outline(About):
    """Long-tailed data without its images.

    Attributes:
        name, class_names, source, licence, settings, notes: see `About`.
        class_counts: training images of each class, without those of the validation part.
        validation_counts: images of each class cut from train; zeros where none are.
        test_counts: images of each class of the test set; zeros without one.
        image_shape: height, width and channels.
    """

    class_counts: tuple[int, ...]
    validation_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    image_shape: tuple[int, ...]

    @property
    def ratio_note(self) -> str | None:
        """Says where whole images cannot have the ratio that was asked for."""
        both = zip(self.class_counts, self.validation_counts, strict=True)
        return ratio_note([n + v for n, v in both], self.settings.get("imbalance_ratio"))

    def describe(self) -> dict[str, Any]:
        """Facts about the data as plain Python values.

        Returns:
            name, source, licence, num_classes, image_shape, imbalance_ratio (as counted), the sizes
            train, validation and test, settings, and `classes`: one dictionary per class with
            label, name, train, validation and test counts.
        """
        rows = zip(
            self.class_names,
            self.class_counts,
            self.validation_counts,
            self.test_counts,
            strict=True,
        )
        return {
            "name": self.name,
            "source": self.source,
            "licence": self.licence,
            "num_classes": self.num_classes,
            "image_shape": list(self.image_shape),
            "imbalance_ratio": max(self.class_counts) / min(self.class_counts),
            "train": sum(self.class_counts),
            "validation": sum(self.validation_counts),
            "test": sum(self.test_counts),
            "settings": dict(self.settings),
            "classes": [
                {"label": label, "name": name, "train": n, "validation": v, "test": t}
                for label, (name, n, v, t) in enumerate(rows)
            ],
        }
