"""How long a step of each recipe takes on this machine, by a few steps of each."""

import dataclasses
import time
from collections.abc import Mapping, Sequence

import numpy as np

from keras_ccsam.auto.entrants import Entrant
from keras_ccsam.data import BatchSequence, LongTailedData, Outline
from keras_ccsam.data.in_place_of import in_place_of
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs import frozen, parts
from keras_ccsam.second_stage.feature_store import FeatureStore
from keras_ccsam.training import SharpnessAwareModel

# Steps that compile and warm up, and steps that are timed at most.
_FIRST = 2
_TIMED = 10
_ENOUGH_SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class Pace:
    """What a recipe's first stage takes.

    Attributes:
        setup: seconds that a run takes beside its epochs: building, compiling.
        step: seconds of a step.
        image: seconds that a frozen backbone takes for the features of an image, which are computed
            once for all runs; 0 where every epoch passes the images.
    """

    setup: float
    step: float
    image: float = 0.0


Paces = Mapping[str, Pace]
"""By the recipe's name."""


def measure(entrants: Sequence[Entrant], images: LongTailedData, outline: Outline) -> Paces:
    """Train a few steps of each first stage; those that are the same are measured once.

    Args:
        entrants: on the same data.
        images: what the steps are made of.
        outline: of the data that will be trained on, whose counts losses and radii ask for.
    """
    found: dict[str, Pace] = {}
    paces: dict[str, Pace] = {}
    for entrant in entrants:
        key = entrant.recipe.stage1_digest()
        if key not in found:
            found[key] = _measured(entrant.recipe, images, outline)
        paces[entrant.name] = found[key]
    return paces


def made_up(outline: Outline, batch_size: int) -> LongTailedData:
    """Return a little data of the same shape, so that steps are timed and no image is read.

    Args:
        outline: of the data that is meant.
        batch_size: images of a step.
    """
    counts = outline.class_counts
    rows = min(batch_size * (_FIRST + 1), sum(counts))
    # No class has more images than it is said to have, and as many classes as fit have one.
    ends = np.cumsum(counts)
    spread = np.linspace(0, ends[-1] - 1, rows).astype("int64")
    chosen = np.unique(np.concatenate([(ends - counts)[np.asarray(counts) > 0][:rows], spread]))
    labels = np.searchsorted(ends, chosen, side="right").astype("int32")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (len(labels), *outline.image_shape), dtype=np.uint8)
    return in_place_of(outline, (pixels, labels))


def _measured(recipe: Recipe, images: LongTailedData, outline: Outline) -> Pace:
    began = time.perf_counter()
    steps = parts.steps_per_epoch(recipe, sum(outline.class_counts))
    batches = parts.train_batches(recipe, images)
    model = parts.build_model(recipe, outline, steps)
    image = 0.0
    if frozen.is_frozen(recipe) and frozen.why_images(recipe, batches, ()) is None:
        made = made_up(outline, recipe.stage1.batch_size)
        store = FeatureStore(model.backbone, None)
        store.features(made.x_train)
        passed = time.perf_counter()
        features = store.features(made.x_train)
        image = (time.perf_counter() - passed) / len(features)
        on = frozen.backbone_of(features.shape[1:])
        model = parts.build_model(recipe, outline, steps, on=(on, model.head))
        batches = parts.train_batches(recipe, dataclasses.replace(made, x_train=features))
    _fit(model, batches, _FIRST)
    setup = time.perf_counter() - began
    first = _fit(model, batches, 1)
    timed = int(min(_TIMED, max(1.0, _ENOUGH_SECONDS / max(first, 1e-6)), len(batches)))
    return Pace(setup, _fit(model, batches, timed) / timed, image)


def _fit(model: SharpnessAwareModel, batches: BatchSequence, steps: int) -> float:
    """Train some steps; return the seconds that they took."""
    began = time.perf_counter()

    model.fit(batches, epochs=1, steps_per_epoch=min(steps, len(batches)), verbose=0)
    return time.perf_counter() - began
