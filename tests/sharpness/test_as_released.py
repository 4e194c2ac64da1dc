"""The two readings of CC-SAM's released code, beside an explicit loop in float64.

Kernel and bias each take a full radius by the norm of their own gradient, and the perturbed loss of
a mixed sample is that of its first label, while the class gradient is of the mixed loss.
"""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.sharpness import ClassConditional
from tests.support import FixedFeatures, by_class, step_gradients

COUNTS = [300, 40, 12, 2]
B, D, K = 9, 5, 4
RNG = np.random.default_rng(7)
FEATURES, KERNEL = RNG.normal(size=(B, D)), RNG.normal(size=(D, K))
BIAS = RNG.normal(size=K)
LABELS = np.array([0, 1, 0, 2, 3, 1, 0, 2, 0])
SECOND = np.roll(LABELS, 4)
MIX, RADIUS, RATIO = 0.7, 0.8, 0.3


class NoForm(keras.layers.Dense):
    """A Dense head without a closed form."""


def probabilities(h, w, b):
    z = h @ w + b
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def mixed(shares):
    return shares * np.eye(K)[LABELS] + (1 - shares) * np.eye(K)[SECOND]


def expected(per_tensor, unmixed):
    """Loss and gradients at features, kernel and bias, class by class."""
    clean, flat = mixed(MIX), mixed(1.0 if unmixed else MIX)
    p = probabilities(FEATURES, KERNEL, BIAS)
    size = KERNEL.size + BIAS.size
    norm = np.sqrt(np.sum(KERNEL**2) + np.sum(BIAS**2))
    terms = [(1 - RATIO, np.arange(B), KERNEL, BIAS, clean)]
    for c in np.unique(LABELS):
        rows = np.flatnonzero(c == LABELS)
        delta = (p - clean)[rows] / len(rows)
        g = [FEATURES[rows].T @ delta, delta.sum(axis=0)]
        joint = np.sqrt(sum(np.sum(t**2) for t in g))
        moved = []
        for w, t in zip((KERNEL, BIAS), g, strict=True):
            own = np.sqrt(np.sum(t**2)) if per_tensor else joint
            rho = RADIUS * np.sqrt(norm / (2 * own)) * (size * (COUNTS[c] - 1)) ** -0.25
            moved.append(w + np.sqrt(size) * rho * t / own)
        terms.append((RATIO, rows, *moved, flat))
    loss, by_features, by_kernel, by_bias = 0.0, np.zeros((B, D)), np.zeros((D, K)), np.zeros(K)
    for share, rows, w, b, target in terms:
        q = probabilities(FEATURES[rows], w, b)
        loss -= share * np.sum(target[rows] * np.log(q)) / B
        delta = share * (q - target[rows]) / B
        by_features[rows] += delta @ w.T
        by_kernel += FEATURES[rows].T @ delta
        by_bias += delta.sum(axis=0)
    return loss, by_features, by_kernel, by_bias


def found(head, perturb, loop, **options):
    method = ClassConditional(COUNTS, RADIUS, RATIO, perturb, **options)
    model = cc.SharpnessAwareModel(FixedFeatures(FEATURES), head(K, name="top"), method)
    model.head.set_weights([KERNEL, BIAS])
    model.compile("sgd", "sparse_categorical_crossentropy")
    if loop:
        by_class(model)
    y = {
        "labels": LABELS.astype("int32"),
        "second_labels": SECOND.astype("int32"),
        "mix": np.full(B, MIX, "float32"),
    }
    y = {name: ops.convert_to_tensor(value) for name, value in y.items()}
    named, loss = step_gradients(model, np.zeros((B, 1), "float32"), y)
    return loss, *(named[k] for name in ("features", "kernel", "bias") for k in named if name in k)


ROUTES = {
    "closed form": (keras.layers.Dense, "head", False),
    "head loop": (NoForm, "head", False),
    "network loop": (keras.layers.Dense, "top", True),
    "network route": (keras.layers.Dense, "top", False),
}


@pytest.mark.parametrize("labels", ["mixed", "unmixed"])
@pytest.mark.parametrize("scope", ["joint", "per_tensor"])
@pytest.mark.parametrize("route", ROUTES)
def test_every_route_takes_them(route, scope, labels):
    ours = found(*ROUTES[route], norm_scope=scope, perturbed_labels=labels)
    theirs = expected(scope == "per_tensor", labels == "unmixed")
    for own, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(own, other, rtol=2e-4, atol=2e-5)


def test_each_of_the_two_moves_the_step():
    steps = [expected(per_tensor, unmixed) for per_tensor in (False, True) for unmixed in (0, 1)]
    for n, one in enumerate(steps):
        for other in steps[:n]:
            assert np.abs(one[2] - other[2]).max() > 1e-3


def test_a_step_per_tensor_is_not_taken_with_the_statistics_of_the_clean_pass():
    with pytest.raises(ValueError, match="batch_norm='literal'"):
        ClassConditional(COUNTS, perturb="all", batch_norm="clean", norm_scope="per_tensor")
    ClassConditional(COUNTS, batch_norm="clean", norm_scope="per_tensor")  # the head alone
