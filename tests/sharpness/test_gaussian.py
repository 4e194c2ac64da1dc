"""Gaussian noise on the classifier: its length, its place, and that it is drawn anew."""

import random

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.sharpness import GaussianPerturbation


class Recorder:
    """An objective whose gradient at w is w, and which counts."""

    def __init__(self, model):
        self.variables, self.head = model.trainable_variables, model.head
        self.values = [ops.zeros(v.shape) for v in self.variables]
        self.seen, self.replays = [], 0

    def gradient(self, values):
        self.seen.append([ops.convert_to_numpy(value) for value in values])
        return list(values), len(self.seen)

    def replay(self):
        self.replays += 1


def small(method, seed=0):
    keras.utils.set_random_seed(seed)
    backbone = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, name="features")])
    return cc.SharpnessAwareModel(backbone, keras.layers.Dense(5, name="top"), method)


def moved(model):
    """The weights at which the gradient is taken; they start at 0."""
    objective = Recorder(model)
    model.sharpness.gradients(objective, model.hyper_parameters)
    return objective.seen[-1]


def length(tensors):
    return np.sqrt(sum(np.sum(t.astype("float64") ** 2) for t in tensors))


@pytest.mark.parametrize(
    ("perturb", "chosen"), [("head", [2, 3]), ("all", [0, 1, 2, 3]), ("features/kernel", [0])]
)
def test_the_noise_has_its_norm_and_its_place(perturb, chosen):
    noise = moved(small(GaussianPerturbation(0.25, perturb)))
    np.testing.assert_allclose(length(noise), 0.25, rtol=1e-6)
    for i, tensor in enumerate(noise):
        assert np.all(tensor != 0) if i in chosen else np.all(tensor == 0)


def test_each_step_draws_anew_and_the_seed_decides():
    model = small(GaussianPerturbation(1.0))
    first, second = moved(model)[2], moved(model)[2]
    assert abs(first - second).max() > 1e-2
    np.testing.assert_array_equal(moved(small(GaussianPerturbation(1.0)))[2], first)
    assert abs(moved(small(GaussianPerturbation(1.0), seed=1))[2] - first).max() > 1e-2
    # Kernel and bias have their own draws too.
    assert abs(first.ravel()[:5] - moved(small(GaussianPerturbation(1.0)))[3]).max() > 1e-2


def test_the_noise_is_gaussian():
    """A uniform cube or a sign vector has the same norm, but another fourth moment."""
    model = small(GaussianPerturbation(1.0, "all"))
    draws = np.concatenate([np.concatenate([t.ravel() for t in moved(model)]) for _ in range(100)])
    draws = draws / draws.std()
    assert abs(draws.mean()) < 0.06
    # 41 numbers on a sphere: 3 n / (n + 2) = 2.86; a cube gives 1.8, signs 1.
    assert 2.5 < np.mean(draws**4) < 3.2


def test_building_leaves_keras_stream_alone():
    plain = small(None)
    state = random.getstate()
    noisy = small(GaussianPerturbation())
    assert random.getstate() == state
    for a, b in zip(plain.trainable_variables, noisy.trainable_variables, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(a), ops.convert_to_numpy(b))


def test_a_clean_share_mixes_and_keeps_the_clean_pass():
    """The gradient at w is w, so the mixture is 0.75 eps; the evaluation is the first call's."""
    model = small(GaussianPerturbation(0.5, clean_share=0.25))
    objective = Recorder(model)
    mixed, evaluation = model.sharpness.gradients(objective, model.hyper_parameters)
    assert evaluation == 1
    assert (len(objective.seen), objective.replays) == (2, 1)
    assert length(objective.seen[0]) == 0.0
    np.testing.assert_allclose(length(objective.seen[1]), 0.5, rtol=1e-6)
    np.testing.assert_allclose(length([ops.convert_to_numpy(g) for g in mixed]), 0.375, rtol=1e-6)


def check_steps_differ():
    """At a learning rate of 0 only new noise can change the loss from step to step."""
    model = small(GaussianPerturbation(5.0))
    model.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    x = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    y = np.array([0, 1, 2, 3, 4, 0], "int32")
    before = [ops.convert_to_numpy(v) for v in model.trainable_variables]
    losses = []
    for _ in range(3):
        model.reset_metrics()
        losses.append(float(model.train_on_batch(x, y)))
    for a, b in zip(before, model.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, ops.convert_to_numpy(b))
    gaps = [abs(losses[i] - losses[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert min(gaps) > 1e-3, f"the losses are {losses}"


def test_the_steps_of_fit_draw_anew():
    check_steps_differ()


def test_a_pattern_that_matches_nothing():
    model = small(GaussianPerturbation(perturb="nowhere"))
    with pytest.raises(ValueError, match=r"none of 4 matches.*perturb='nowhere'"):
        model.compile("sgd", "mse")


def test_a_frozen_head_has_nothing_to_perturb():
    model = small(GaussianPerturbation())
    model.head.trainable = False
    with pytest.raises(ValueError, match=r"none of 2 matches.*perturb='head'"):
        model.compile("sgd", "mse")


def test_it_is_saved_with_the_model(tmp_path):
    model = small(GaussianPerturbation(0.5, "top", 0.25))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.sharpness.get_config() == {"norm": 0.5, "perturb": "top", "clean_share": 0.25}
    assert again.method_seeds is again.hyper_parameters.noise
