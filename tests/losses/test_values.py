"""Each loss against its formula, sample by sample, in plain float64 Python."""

import math

import numpy as np
import pytest
from keras import ops

from keras_ccsam import losses

COUNTS = (100, 40, 12, 5)
TOTAL = 157
RNG = np.random.default_rng(0)
LABELS = np.array([0, 1, 2, 3, 3, 0, 2, 1, 3])
LOGITS = RNG.normal(scale=3.0, size=(9, 4))
COSINES = RNG.uniform(-1.0, 1.0, size=(9, 4))


def cross_entropy(z, y):
    """-log softmax(z)_y of one sample."""
    top = max(z)
    return top + math.log(sum(math.exp(value - top) for value in z)) - z[y]


def adjusted(z, y, tau):
    return cross_entropy([v + tau * math.log(n / TOTAL) for v, n in zip(z, COUNTS, strict=True)], y)


def vector_scaling(z, y, gamma, tau):
    moved = [
        v / (100 / n) ** gamma + tau * math.log(n / TOTAL) for v, n in zip(z, COUNTS, strict=True)
    ]
    return cross_entropy(moved, y)


def focal(z, y, gamma):
    loss = cross_entropy(z, y)
    return (1.0 - math.exp(-loss)) ** gamma * loss


def smoothed(z, y, head, tail):
    eps = tail + (head - tail) * math.sin(math.pi * (COUNTS[y] - 5) / (2 * (100 - 5)))
    flat = sum(cross_entropy(z, c) for c in range(4)) / 4
    return (1 - eps) * cross_entropy(z, y) + eps * flat


def over_smoothed(z, y, share):
    """By its targets, which the loss does not form: 1 - s + s / K of the label, s / K elsewhere."""
    targets = [share / 4 + (1 - share) * (c == y) for c in range(4)]
    assert math.isclose(sum(targets), 1.0)
    return sum(q * cross_entropy(z, c) for c, q in enumerate(targets))


def ldam(c, y, max_margin, scale):
    powers = [n**-0.25 for n in COUNTS]
    margin = max_margin * powers[y] / max(powers)
    return cross_entropy([scale * (v - margin * (k == y)) for k, v in enumerate(c)], y)


def gcl(c, y, margin, scale, exponent):
    loss = cross_entropy([scale * (v - margin * (k == y)) for k, v in enumerate(c)], y)
    return (1.0 - math.exp(-loss)) ** exponent * loss


def each(formula, inputs, *settings):
    return np.array(
        [formula(list(z), int(y), *settings) for z, y in zip(inputs, LABELS, strict=True)]
    )


def values(loss, inputs, labels=LABELS):
    loss.reduction = None
    return ops.convert_to_numpy(loss(labels, inputs.astype("float32")))


def close(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("loss", "inputs", "formula", "settings"),
    [
        (losses.LogitAdjustment(COUNTS, 1.7), LOGITS, adjusted, (1.7,)),
        (losses.BalancedSoftmax(COUNTS), LOGITS, adjusted, (1.0,)),
        (losses.VectorScaling(COUNTS, 0.4, 1.2), LOGITS, vector_scaling, (0.4, 1.2)),
        (losses.Focal(1.5), LOGITS, focal, (1.5,)),
        (losses.LabelAwareSmoothing(COUNTS, 0.4, 0.1), LOGITS, smoothed, (0.4, 0.1)),
        (losses.LabelSmoothing(0.98), LOGITS, over_smoothed, (0.98,)),
        (losses.LDAM(COUNTS, 0.7, 20.0), COSINES, ldam, (0.7, 20.0)),
        (losses.GCL(COUNTS, 0.5, 0.1, 15.0, 1.0), COSINES, gcl, (0.1, 15.0, 1.0)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_formula(loss, inputs, formula, settings):
    close(values(loss, inputs), each(formula, inputs, *settings))


@pytest.mark.parametrize("gamma", [0.0, 2.0])
def test_class_balanced_is_the_mean_weighted_by_class(gamma):
    u = np.array([(1 - 0.99) / (1 - 0.99**n) for n in COUNTS])[LABELS]
    of_samples = each(focal, LOGITS, gamma)
    loss = losses.ClassBalanced(COUNTS, beta=0.99, gamma=gamma)
    mean = float(ops.convert_to_numpy(loss(LABELS, LOGITS.astype("float32"))))
    assert mean == pytest.approx(np.sum(u * of_samples) / np.sum(u), rel=1e-5)
    close(values(loss, LOGITS), 9 * u / u.sum() * of_samples)
    # A batch of one class is its plain mean, whatever the class's weight.
    of_one_class = losses.ClassBalanced(COUNTS, beta=0.99, gamma=gamma)
    rows = LABELS == 3
    mean = float(ops.convert_to_numpy(of_one_class(LABELS[rows], LOGITS[rows].astype("float32"))))
    assert mean == pytest.approx(of_samples[rows].mean(), rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_class_balanced_with_a_sigmoid_sums_over_the_classes_and_divides_by_the_batch(gamma):
    u = np.array([(1 - 0.99) / (1 - 0.99**n) for n in COUNTS])
    u = (u / u.sum() * len(COUNTS))[LABELS]
    right = np.eye(LOGITS.shape[1])[LABELS] == 1
    p = 1 / (1 + np.exp(-np.where(right, LOGITS, -LOGITS)))  # of what is true of each class
    expected = u * np.sum(-((1 - p) ** gamma) * np.log(p), axis=1)
    loss = losses.ClassBalanced(COUNTS, beta=0.99, gamma=gamma, activation="sigmoid")
    close(values(loss, LOGITS), expected)
    far = ops.convert_to_numpy(loss.call(LABELS, (300.0 * LOGITS).astype("float32")))
    assert np.isfinite(far).all()


def test_class_balanced_with_binary_losses_of_one_softmax():
    """torch's binary_cross_entropy of the probabilities: the mean over samples and classes."""
    u = np.array([(1 - 0.99) / (1 - 0.99**n) for n in COUNTS])
    u = (u / u.sum() * len(COUNTS))[LABELS]
    p = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
    right = np.eye(LOGITS.shape[1])[LABELS] == 1
    expected = u * np.mean(-np.log(np.where(right, p, 1 - p)), axis=1)
    loss = losses.ClassBalanced(COUNTS, beta=0.99, activation="softmax_binary")
    close(values(loss, LOGITS), expected)
    far = ops.convert_to_numpy(loss.call(LABELS, (300.0 * LOGITS).astype("float32")))
    assert np.isfinite(far).all()


CROSS_ENTROPY = each(cross_entropy, LOGITS)
OF_COSINES = np.array(
    [cross_entropy(list(20.0 * c), int(y)) for c, y in zip(COSINES, LABELS, strict=True)]
)


@pytest.mark.parametrize(
    ("loss", "inputs", "expected"),
    [
        (losses.LogitAdjustment(COUNTS, 0.0), LOGITS, CROSS_ENTROPY),
        (losses.VectorScaling(COUNTS, 0.0, 0.0), LOGITS, CROSS_ENTROPY),
        (losses.VectorScaling(COUNTS, 0.0, 1.5), LOGITS, each(adjusted, LOGITS, 1.5)),
        (losses.Focal(0.0), LOGITS, CROSS_ENTROPY),
        (losses.ClassBalanced(COUNTS, 0.0), LOGITS, CROSS_ENTROPY),
        (losses.LabelAwareSmoothing(COUNTS, 0.0, 0.0), LOGITS, CROSS_ENTROPY),
        (losses.LabelSmoothing(0.0), LOGITS, CROSS_ENTROPY),
        (losses.LDAM(COUNTS, 1e-9, 20.0), COSINES, OF_COSINES),
        (losses.GCL(COUNTS, 0.0, 0.0, 20.0), COSINES, OF_COSINES),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_limits(loss, inputs, expected):
    close(values(loss, inputs), expected)


def test_label_aware_smoothing_that_is_aware_of_nothing_is_label_smoothing():
    aware = values(losses.LabelAwareSmoothing(COUNTS, 0.9, 0.9), LOGITS)
    np.testing.assert_allclose(aware, values(losses.LabelSmoothing(0.9), LOGITS), rtol=1e-6)


def test_over_smoothed_labels_are_won_with_small_logits():
    """The least loss is at a margin of log((1 - s + s / K) / (s / K)), whatever the class."""
    margin = math.log((0.02 + 0.98 / 4) / (0.98 / 4))
    at = np.where(np.eye(4)[LABELS] == 1, margin, 0.0)
    least = values(losses.LabelSmoothing(0.98), at)
    for further in (0.9 * margin, 1.1 * margin, 3.0):
        moved = np.where(np.eye(4)[LABELS] == 1, further, 0.0)
        assert (values(losses.LabelSmoothing(0.98), moved) > least).all()


def test_balanced_softmax_is_logit_adjustment_of_strength_one():
    balanced = values(losses.BalancedSoftmax(COUNTS), LOGITS)
    close(balanced, values(losses.LogitAdjustment(COUNTS, 1.0), LOGITS))
    log_n = np.log(COUNTS)
    close(balanced, each(cross_entropy, LOGITS + log_n))  # as its paper has it
    assert np.abs(balanced - CROSS_ENTROPY).max() > 0.5


def test_adjusting_afterwards_takes_the_training_shift_back():
    shift = 1.5 * np.log(np.divide(COUNTS, TOTAL))
    found = losses.adjust_logits(LOGITS, COUNTS, 1.5)
    assert isinstance(found, np.ndarray)
    np.testing.assert_allclose(found, LOGITS - shift, rtol=1e-12)
    assert found[0, 3] - LOGITS[0, 3] > found[0, 0] - LOGITS[0, 0] > 0  # the rarest gains most
    narrow = losses.adjust_logits(LOGITS.astype("float32"), COUNTS)
    assert narrow.dtype == np.float32
    tensor = losses.adjust_logits(ops.convert_to_tensor(LOGITS.astype("float32")), COUNTS, 1.5)
    assert ops.is_tensor(tensor)
    np.testing.assert_allclose(ops.convert_to_numpy(tensor), LOGITS - shift, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(losses.adjust_logits(LOGITS, COUNTS, 0.0), LOGITS)
    with pytest.raises(ValueError, match=r"logits.shape=\(9, 3\)"):
        losses.adjust_logits(LOGITS[:, :3], COUNTS)
    with pytest.raises(ValueError, match=r"tau=-1"):
        losses.adjust_logits(LOGITS, COUNTS, -1.0)
