"""What is deployed: a finished run, or a model, with what is known of it."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ccsam.checks import check_class_counts
from keras_ccsam.data.batches.reading import predicted
from keras_ccsam.deployment.baked import Choices, adjustment
from keras_ccsam.deployment.logits import before_activation
from keras_ccsam.metrics import group_classes
from keras_ccsam.metrics.temperature import Temperature, fit_temperature
from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.consistency import adjusts_prior
from keras_ccsam.recipes.slots import name_of
from keras_ccsam.runs import parts
from keras_ccsam.runs.folders import PathLike
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.trained_run import open_run
from keras_ccsam.training import SharpnessAwareModel


class Subject:
    """A network that puts out logits, its classes and the pixels that it takes.

    Args:
        model: a Keras model, or None for the run's.
        directory: the run's, or None for a model by itself.
        results: what the run's results.json holds; of a model, at least the classes.
        trust_code: import what a run's recipe names from outside.
    """

    def __init__(
        self,
        model: keras.Model | None,
        directory: RunDirectory | None,
        results: dict[str, Any],
        trust_code: bool = False,
    ) -> None:
        self._model = model
        self.directory = directory
        self.results = results
        self._trust_code = trust_code
        self.class_names: tuple[str, ...] = tuple(results["class_names"])
        self.class_counts: tuple[int, ...] = tuple(results["class_counts"])

    @cached_property
    def _network(self) -> keras.Model:
        if self._model is not None:
            return self._model
        if self.directory is None:
            raise ValueError("There is neither a run nor a model. Received: model=None")
        if self._trust_code:
            self.directory.recipe(trust_code=True)
        return self.directory.model()

    def network(self) -> keras.Model:
        """The network, in stock layers."""
        return self._network

    def recipe(self) -> Recipe:
        """The run's.

        Raises:
            ValueError: it is a model by itself.
        """
        if self.directory is None:
            raise ValueError("A model by itself has no recipe. Received: a keras.Model")
        return self.directory.recipe()

    @property
    def folder(self) -> Path:
        """Where exported files go by default."""
        return Path() if self.directory is None else self.directory.path / "export"

    @property
    def pixels(self) -> dict[str, Any] | None:
        """What is recorded of the images that it was trained on; None of an older run."""
        found: dict[str, Any] | None = self.results.get("pixels")
        return found

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the network's images."""
        shape = self._network.input_shape[1:3]
        recorded = (self.pixels or {}).get("size", (32, 32))
        return tuple(  # type: ignore[return-value]
            int(known or seen) for known, seen in zip(shape, recorded, strict=True)
        )

    @property
    def channels(self) -> int:
        """3 or 1, of the network's images."""
        return int(self._network.input_shape[-1])

    @property
    def resize(self) -> int | None:
        """Pixels of the shorter side that images were resized to; None for as few as will do."""
        found: int | None = (self.pixels or {}).get("resize")
        return found

    @property
    def value_range(self) -> tuple[float, float]:
        """Of the pixels."""
        record = self.pixels or {}
        return float(record.get("minimum", 0.0)), float(record.get("maximum", 255.0))

    def check_adjustment(self, tau: float) -> None:
        """Refuse to adjust logits that cannot be adjusted, or that have been.

        Args:
            tau: of post-hoc logit adjustment; 0 is none.

        Raises:
            ValueError: the class counts are not known, or the run made up for them already.
        """
        if not tau:
            return
        if not self.class_counts:
            raise ValueError(
                "logits are adjusted by the training images of each class: give class_counts. "
                f"Received: logit_adjustment={tau} without class_counts"
            )
        if self.directory is None:
            return
        recipe = self.directory.recipe()
        last = recipe.stage1.loss if recipe.stage2 is None else recipe.stage2.loss
        done = "its loss" if adjusts_prior(last or recipe.stage1.loss) else ""
        if recipe.posthoc is not None and name_of(recipe.posthoc) == "logit_adjustment":
            done = "its logit adjustment after training"
        if done:
            raise ValueError(
                f"the run has made up for the class counts already, by {done}: adjusted again, "
                "rare classes would be favoured twice. "
                f"Received: logit_adjustment={tau} of a run of {recipe.name}"
            )

    def temperature(self, logit_adjustment: float = 0.0) -> Temperature:
        """The one fitted on the run's validation split; `applied` is what logits are divided by.

        Raises:
            ValueError: there is none, or the data cannot be had.
        """
        if self.directory is None:
            raise ValueError(
                "a temperature is fitted on a run's validation split, and a model has none; fit it "
                'with deployment.fit_temperature(logits, labels). Received: temperature="auto"'
            )
        known = self.results.get("temperature")
        if known and not logit_adjustment:
            return Temperature.from_dict(known)
        if "validation" not in self.results:
            raise ValueError(
                "the run held out no validation images that a temperature could be fitted on: give "
                "a number, or train with data.validation_fraction=0.1. Received: "
                'temperature="auto"'
            )
        found = open_run(self.directory.path, trust_code=self._trust_code)
        images, labels = found.images.split_arrays("validation")
        logits = np.asarray(predicted(self._network, images, 500))
        scale, offset = adjustment(
            self.class_counts, logits.shape[-1], Choices(logit_adjustment=logit_adjustment)
        )
        return fit_temperature(scale * logits + offset, labels, balanced=logit_adjustment > 0)

    def facts(self) -> dict[str, Any]:
        """What an exported file says of the run."""
        known = ("recipe", "setting", "data", "seed", "digest", "backend", "posthoc_tau")
        groups = {}
        if self.directory is not None:
            options = parts.group_options(self.directory.recipe().groups)
            groups = group_classes(self.class_counts, **options)
        return {
            "made_by": "keras-ccsam",
            "run": {name: self.results[name] for name in known if name in self.results},
            "class_names": list(self.class_names),
            "class_counts": list(self.class_counts),
            "groups": {name: [int(c) for c in group] for name, group in groups.items()},
            "pixels": self.pixels,
        }


def subject(
    run: PathLike | keras.Model,
    class_names: Sequence[str] | None = None,
    class_counts: Sequence[int] | None = None,
    trust_code: bool = False,
) -> Subject:
    """What is known of a run or of a model.

    Args:
        run: the folder of a finished run, or a Keras model. A `SharpnessAwareModel` is taken in
            stock layers. A softmax or sigmoid at the end is taken off: what follows starts from the
            logits, and puts it back where probabilities are asked for.
        class_names: of a model; "0", "1", ... by default.
        class_counts: of a model; needed where logits are adjusted.
        trust_code: see `runs.open_run`.

    Raises:
        ValueError: no finished run, names or counts that do not fit, or a model that is not from
            images to (B, K).
    """
    if not isinstance(run, keras.Model):
        if class_names is not None or class_counts is not None:
            raise ValueError(
                "a run knows its own classes. Received: class_names or class_counts of a run"
            )
        directory = RunDirectory(run)
        return Subject(None, directory, directory.results(), trust_code)
    record = getattr(run, "pixels", None)
    model = run.export_plain() if isinstance(run, SharpnessAwareModel) else run
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 4:
        raise ValueError(
            "what is exported is a functional model from one batch of images (B, H, W, C) to "
            f"logits (B, K). Received: a model {model.name!r} with inputs "
            f"{[tuple(x.shape) for x in inputs]} and outputs {[tuple(x.shape) for x in outputs]}"
        )
    model = before_activation(model)
    classes = max(2, int(outputs[0].shape[-1]))
    names = tuple(map(str, range(classes) if class_names is None else class_names))
    if len(names) != classes:
        raise ValueError(f"class_names must name {classes} classes. Received: {len(names)} names")
    results: dict[str, Any] = {"class_names": names, "class_counts": ()}
    if class_counts is not None:
        results["class_counts"] = check_class_counts(class_counts, classes)
    if record is not None:
        results["pixels"] = record.to_dict()
    return Subject(model, None, results)
