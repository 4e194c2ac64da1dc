"""The radii of CC-SAM over training: rho_c, ||eps_c||, ||g_c|| and the margin of each class."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_ccsam.analysis.class_radius import class_batches, step_of
from keras_ccsam.analysis.class_sets import sample_rows, whole_part
from keras_ccsam.analysis.loss_surface import sample_weights
from keras_ccsam.analysis.weights_view import WeightsView
from keras_ccsam.callbacks.recorder import Recorder
from keras_ccsam.checks import check_class_counts, require
from keras_ccsam.data.images.store import taken
from keras_ccsam.labels import check_labels

FORMAT = 1
COLUMNS = {
    "radius": "rho_c, the characteristic radius at r = 1",
    "step_norm": "||eps_c|| = r sqrt(k) rho_c, how far the class's weights are moved",
    "gradient_norm": "||g_c||, of the class's mean cross-entropy",
    "loss": "nats, the class's mean cross-entropy",
    "margin": "z_y - max_{j != y} z_j of the logits, the class's mean",
    "weight_norm": "||w||, the same for all classes",
}


class RadiusLog(Recorder):
    """Records each class's radius, step, gradient norm, loss and margin after every epoch.

    In training g_c is the gradient of the class's mean loss in a batch, so that of a class with one
    image in it is mostly noise. Here it is over the class's training samples, unaugmented, with the
    weights at the end of the epoch: what the radius is meant to be. Of the head alone that costs
    one pass forward over `limit` samples.

    Args:
        class_counts: the number of training images of each class, n_c.
        train: the training set: a `data.BatchSequence`, or a pair `(x, y)`.
        radius_scale: r; that of the method in training by default, 0.01 where it has none. Where a
            callback changes the method's, the one at the end of each epoch counts.
        weights: w: `"head"`, `"all"` or a pattern; what the method in training perturbs by default,
            the head where it says nothing.
        limit: samples to take at most, spread evenly over the classes; 2000 by default, None for
            all.
        seed: of that choice.
        class_names: one per class; the numbers by default.
        path: the JSON file to write; see `Recorder`.

    Raises:
        ValueError: an option outside its range; when `fit` begins, data that does not fit.

    Example:
        >>> log = cc.callbacks.RadiusLog(data.class_counts, data.train, path="radius.json")
        >>> model.fit(data.train, epochs=20, callbacks=[log])
    """

    def __init__(
        self,
        class_counts: Sequence[int],
        train: Any,
        *,
        radius_scale: float | None = None,
        weights: str | None = None,
        limit: int | None = 2000,
        seed: int = 0,
        class_names: Sequence[str] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(path)
        self.class_counts = check_class_counts(class_counts)
        sound = radius_scale is None or radius_scale > 0
        require(sound, "radius_scale", radius_scale, "a number above 0")
        self.radius_scale, self.weights = radius_scale, weights
        count = len(self.class_counts)
        names = range(count) if class_names is None else class_names
        self.class_names = [str(name) for name in names]
        require(len(self.class_names) == count, "class_names", class_names, f"{count} names")
        x, y = whole_part(train)
        labels = check_labels(y, "y", len(keras.tree.flatten(x)[0]), count)
        rows = sample_rows(labels, limit, seed)
        self._x = keras.tree.map_structure(lambda part: taken(part, rows), x)
        self._y = labels[rows]
        self._settings = {"limit": limit, "seed": seed, "samples": len(rows)}
        self._view: WeightsView | None = None
        self._scales: list[float] = []

    def prepare(self, model: keras.Model) -> None:
        """Finds what the method perturbs."""
        configured: Any = getattr(getattr(model, "sharpness", None), "get_config", dict)
        method: dict[str, Any] = configured()
        self._weights = self.weights or str(method.get("perturb", "head"))
        self._view = WeightsView(model, self._weights, self._x, len(self.class_counts))
        self._scales = []

    def measure(self) -> dict[str, list[float]]:
        """See `COLUMNS`; NaN for a class without samples."""
        if self._view is None:
            return {}
        surface, scale = self._view.surface, self._scale()
        self._scales.append(scale)
        found = {name: [float("nan")] * len(self.class_counts) for name in COLUMNS}
        x = self._view.inputs(self._x)
        size = self._view.batch_size
        for label, batches in class_batches(x, self._y, range(len(self.class_counts)), size):
            step = step_of(surface, batches, self.class_counts[label])
            found["radius"][label] = step.radius
            found["step_norm"][label] = scale * step.length
            found["gradient_norm"][label] = step.gradient_norm
            scores, weights = surface.scores(batches), sample_weights(batches)
            found["loss"][label] = float(scores.loss @ weights)
            found["margin"][label] = float(scores.margin @ weights)
            found["weight_norm"][label] = step.weight_norm
        return found

    def content(self) -> dict[str, Any]:
        """What the file holds."""
        return {
            "kind": "radius",
            "format": FORMAT,
            "about": "CC-SAM's radius of each class after each epoch of stage 1: "
            "values[column][epoch][class].",
            "settings": {
                "weights": self._weights,
                "weights_count": None if self._view is None else self._view.surface.size,
                "radius_scale": self._scales,
                "gradient": "of the mean cross-entropy over the class's samples below, unaugmented",
                **self._settings,
                "backend": keras.backend.backend(),
            },
            "units": dict(COLUMNS),
            "class_names": self.class_names,
            "class_counts": list(self.class_counts),
            "epochs": self.epochs,
            "values": self.values,
        }

    def draw(self, path: Path) -> None:
        """Radii over epochs, and over class counts."""
        from keras_ccsam.analysis import plots  # matplotlib takes a second to import

        plots.radius(self.content(), path)

    def _scale(self) -> float:
        """r, at this epoch."""
        if self.radius_scale is not None:
            return self.radius_scale
        own = getattr(getattr(self.model, "hyper_parameters", None), "radius_scale", None)
        return 0.01 if own is None else float(keras.ops.convert_to_numpy(own))
