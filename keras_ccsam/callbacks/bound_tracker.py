"""The bound of Theorem 1 over the epochs of stage 1 (CC-SAM, appendix B and Figure 3)."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_ccsam.analysis.bound import COLUMNS, BoundEvaluation
from keras_ccsam.analysis.class_sets import head_class, whole_part
from keras_ccsam.callbacks.recorder import Recorder
from keras_ccsam.checks import check_class_counts, require

FORMAT = 1


class BoundTracker(Recorder):
    """Records training loss, test loss and the bound after each epoch, per class.

    Everything is evaluated on the whole sets, unaugmented, with the same weights, those at the end
    of the epoch, and BatchNorm with its statistics of then. The loss is cross-entropy, whatever is
    trained. What the theorem leaves open, and how it is answered here, is in `analysis.bound`.

    Args:
        class_counts: the number of training images of each class, n_c.
        train: the training set: a `data.BatchSequence`, whose images are taken unaugmented, or a
            pair `(x, y)`.
        test: the test set, in the same forms; without it the test losses stay empty.
        classes: which ones; the head class, of which the paper shows the curves, by default.
        weights: w: `"head"` (what CC-SAM perturbs), `"all"`, or a regular expression that is
            searched in the paths of the trainable variables. All weights cost about as much as the
            epoch's training.
        delta: the probability with which the bound may fail; 0.05 by default.
        class_names: one per class, for file and picture; the numbers by default.
        path: the JSON file to write; see `Recorder`.

    Raises:
        ValueError: an option outside its range; when `fit` begins, data that does not fit.

    Example:
        >>> tracker = cc.callbacks.BoundTracker(data.class_counts, data.train, data.test)
        >>> model.fit(data.train, epochs=20, callbacks=[tracker])
        >>> tracker.values["bound_16_zero_one"][-1]
    """

    def __init__(
        self,
        class_counts: Sequence[int],
        train: Any,
        test: Any = None,
        *,
        classes: Sequence[int] | None = None,
        weights: str = "head",
        delta: float = 0.05,
        class_names: Sequence[str] | None = None,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(path)
        self.class_counts = check_class_counts(class_counts)
        self.classes = (head_class(self.class_counts),) if classes is None else tuple(classes)
        self.weights, self.delta = weights, delta
        count = len(self.class_counts)
        names = range(count) if class_names is None else class_names
        self.class_names = [str(name) for name in names]
        require(len(self.class_names) == count, "class_names", class_names, f"{count} names")
        require(0 < delta < 1, "delta", delta, "a probability between 0 and 1")
        self._train = whole_part(train)
        self._test = None if test is None else whole_part(test)
        self._evaluation: BoundEvaluation | None = None

    def prepare(self, model: keras.Model) -> None:
        """Picks the classes' samples."""
        self._evaluation = BoundEvaluation(
            model,
            self.class_counts,
            self._train,
            self._test,
            self.classes,
            weights=self.weights,
            delta=self.delta,
        )

    def measure(self) -> dict[str, list[float]]:
        """See `analysis.bound.COLUMNS`."""
        return {} if self._evaluation is None else self._evaluation.measure()

    def content(self) -> dict[str, Any]:
        """What the file holds."""
        return {
            "kind": "bound",
            "format": FORMAT,
            "about": "Training loss, test loss and Theorem 1's bound of single classes after each "
            "epoch of stage 1: values[column][epoch][class].",
            "settings": {
                "delta": self.delta,
                "weights": self.weights,
                "weights_count": None if self._evaluation is None else self._evaluation.size,
                "radius": "characteristic (appendix, Eqn 1) with r = 1: not the radius of training",
                "radius_scale": 1.0,
                "worst_point": "one ascent step of length sqrt(k) rho_c along the class's gradient",
                "loss": "cross-entropy clipped at 1 (clipped), and the 0-1 loss (zero_one)",
                "batch_norm": "statistics as at the epoch's end",
                "has_test": self._test is not None,
                "backend": keras.backend.backend(),
            },
            "units": dict(COLUMNS),
            "class_names": self.class_names,
            "class_counts": list(self.class_counts),
            "classes": list(self.classes),
            "epochs": self.epochs,
            "values": self.values,
        }

    def draw(self, path: Path) -> None:
        """The first class's curves."""
        from keras_ccsam.analysis import plots  # matplotlib takes a second to import

        plots.bound(self.content(), path)
