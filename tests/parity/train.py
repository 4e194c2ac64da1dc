"""Trains each method for 12 steps from given weights."""

import keras
import numpy as np

import keras_ccsam as cc
from tests.declared import trials
from tests.support import batch_norm_model, toy_batches

# Each backend draws other numbers from the same seed.
DRAWING = ("gaussian",)
TRIALS = {
    label: trial for label, trial in trials("sharpness").items() if trial.part.name not in DRAWING
}
HEADS = dict.fromkeys(TRIALS)
ON_COSINES = next(label for label in TRIALS if label.startswith("class_conditional"))
TRIALS[f"{ON_COSINES} on cosines"] = TRIALS[ON_COSINES]
HEADS[f"{ON_COSINES} on cosines"] = cc.heads.Cosine


def trained(name: str) -> list[np.ndarray]:
    """The weights after 12 steps, BatchNorm's statistics among them."""
    trial, head = TRIALS[name], HEADS[name]
    model = batch_norm_model(
        trial.make(),
        head=head and head(5, scale=8.0),
        weight_decay=1e-3,
        # Statistics of the clean pass are constants only where nothing else couples samples.
        activity=None if trial.options.get("batch_norm") == "clean" else "l2",
    )
    rng = np.random.default_rng(1)
    for variable in model.backbone.variables + model.head.variables:
        value = 0.4 * rng.normal(size=variable.shape)
        if "moving_variance" in variable.path or "gamma" in variable.path:
            value = 1.0 + abs(value)
        variable.assign(value)
    x, y = toy_batches(48)
    y = {"labels": y, "second_labels": y[::-1].copy(), "mix": np.full(48, 0.8, "float32")}
    model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=12, epochs=3, shuffle=False, verbose=0)
    return [keras.ops.convert_to_numpy(v) for v in model.backbone.variables + model.head.variables]
