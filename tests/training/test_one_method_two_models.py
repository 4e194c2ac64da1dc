"""A method, a step part and a loss are configuration: one object serves two models."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ccsam.m2m import MajorToMinor
from keras_ccsam.sharpness import (
    SAM,
    AdversarialFeatures,
    ClassConditional,
    GaussianPerturbation,
    ImbSAM,
)
from tests.support import COUNTS, ONE_STEP, batch_norm_model, toy_batches

METHODS = {
    "sam": lambda: SAM(0.1),
    "ccsam": lambda: ClassConditional(COUNTS, 0.5),
    "ccsam-all": lambda: ClassConditional(COUNTS, 0.5, perturb="all", batch_norm="clean"),
    "gaussian": lambda: GaussianPerturbation(0.1),
    "imbsam": lambda: ImbSAM(COUNTS, 0.1, threshold=10),
    "stage-2": lambda: AdversarialFeatures(COUNTS, alpha=0.7),
}


def model(method, seed, **parts):
    initializer = keras.initializers.GlorotUniform(seed)
    head = keras.layers.Dense(5, kernel_initializer=initializer, name="classifier")
    built = batch_norm_model(method, seed=seed, activity=None, head=head, **parts)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    built.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, **ONE_STEP)
    return built


def trained(built):
    x, y = toy_batches(24)
    built.fit(x, y, batch_size=12, epochs=1, shuffle=False, verbose=0)
    parts = [*built.backbone.weights, *built.head.weights]
    return [ops.convert_to_numpy(weight) for weight in parts]


# One that draws, and one with everything that a step binds; the object itself knows no backend.
EVERYWHERE = ("gaussian", "ccsam-all")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in EVERYWHERE else pytest.mark.any_backend)
        for name in METHODS
    ],
)
def test_two_models_of_one_method_train_as_two_of_their_own(name):
    shared = METHODS[name]()
    first, second = model(shared, 1), model(shared, 2)
    # The first is trained last: the second has been bound since.
    ours = {2: trained(second), 1: trained(first)}
    for seed in (1, 2):
        alone = trained(model(METHODS[name](), seed))
        for a, b in zip(ours[seed], alone, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_callback_changes_the_hyper_parameter_of_its_own_model():
    method = ClassConditional(COUNTS, 0.5)
    first, second = model(method, 1), model(method, 2)
    first.hyper_parameters.radius_scale.assign(0.0)
    assert float(ops.convert_to_numpy(second.hyper_parameters.radius_scale)) == 0.5
    assert method.get_config()["radius_scale"] == 0.5


def test_one_translation_in_two_models_has_two_switches():
    inputs = keras.Input((6, 6, 2))
    helper = keras.Model(inputs, keras.layers.Dense(5)(keras.layers.Flatten()(inputs)))
    part = MajorToMinor(helper, COUNTS, pixel_range=(-5.0, 7.0), seed=1)
    first, second = (model(None, seed, step_parts=[part]) for seed in (1, 2))
    one, other = (m.step_parts.find(MajorToMinor) for m in (first, second))
    one.active.assign(0.0)
    assert float(ops.convert_to_numpy(other.active)) == 1.0
    assert other.draws is not one.draws
