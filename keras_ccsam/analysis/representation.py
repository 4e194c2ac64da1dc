"""What a network has learnt to see: its features, and the classifier's weights, per class.

After training on a long tail the weights of frequent classes are longer, and so their logits
larger (Kang et al., arXiv:1910.09217, section 4). Features are the classifier's inputs; where it
normalises them (a cosine classifier), those before that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
from keras import ops

from keras_ccsam.checks import require
from keras_ccsam.data.batches.reading import predicted
from keras_ccsam.layers.calls import calls, has_own_call

Method: TypeAlias = Literal["pca", "tsne"]
SAMPLES = 1000


@dataclass(frozen=True, eq=False)
class Outputs:
    """One forward pass of a set.

    Attributes:
        outputs: (N, K) what the model puts out.
        features: (N, F) the classifier's inputs; None where the model has no linear classifier.
        weights: (F, K) the classifier's kernel; None likewise.
    """

    outputs: np.ndarray
    features: np.ndarray | None
    weights: np.ndarray | None


def forward(model: keras.Model, x: Any, batch_size: int = 500) -> Outputs:
    """Features and outputs of a whole set, in one pass.

    Args:
        model: a functional model that ends in a linear classifier, as `export_plain` makes it. Of
            another one only the outputs are had.
        x: inputs (N, ...).
        batch_size: samples per step.
    """
    classifier = _classifier(model)
    if classifier is None:
        return Outputs(_numpy(predicted(model, x, batch_size)), None, None)
    layer, features = classifier
    both = keras.Model(model.inputs, [features, model.outputs[0]])
    seen, outputs = predicted(both, x, batch_size)
    seen = _numpy(seen)
    return Outputs(
        outputs=_numpy(outputs),
        features=seen.reshape(len(seen), -1),
        weights=_numpy(ops.convert_to_numpy(layer.kernel)),
    )


def _classifier(model: keras.Model) -> tuple[keras.layers.Layer, Any] | None:
    """The last layer with a matrix of weights, and the tensor of its features."""
    if not getattr(model, "inputs", None) or has_own_call(model):
        return None
    made = calls(model)
    for layer, tensors, _ in reversed(made):
        kernel = getattr(layer, "kernel", None)
        if kernel is None or len(kernel.shape) != 2:
            continue
        if kernel.shape[-1] != model.outputs[0].shape[-1]:
            return None
        before = next((call for call in made if call.output is tensors[0]), None)
        if before is not None and isinstance(before.layer, keras.layers.UnitNormalization):
            return layer, before.inputs[0]
        return layer, tensors[0]
    return None


def weight_norms(weights: np.ndarray) -> np.ndarray:
    """(K,) the length of each class's column of the kernel (F, K); biases are left out.

    One output for two classes gives one length.
    """
    return np.asarray(np.linalg.norm(np.asarray(weights, "float64"), axis=0))


def feature_norms(features: np.ndarray, labels: np.ndarray, num_classes: int) -> np.ndarray:
    """(K,) the mean length of the features (N, F) of each class's samples; NaN without any."""
    lengths = np.linalg.norm(np.asarray(features, "float64"), axis=1)
    sums = np.bincount(labels, weights=lengths, minlength=num_classes)
    count = np.bincount(labels, minlength=num_classes)
    return np.divide(sums, count, where=count > 0, out=np.full(num_classes, np.nan))


def count_correlation(values: Sequence[float], class_counts: Sequence[int]) -> float | None:
    """The correlation of a number per class with the logarithm of its training images.

    Returns:
        In -1..1; None where fewer than three classes have both, or one of both does not vary.
    """
    counts, numbers = np.asarray(class_counts, "float64"), np.asarray(values, "float64")
    if len(numbers) != len(counts):
        return None
    known = np.isfinite(numbers) & (counts > 0)
    a, b = numbers[known], np.log(counts[known])
    if len(a) < 3 or np.ptp(a) <= 1e-12 * np.abs(a).max() or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])


@dataclass(frozen=True, eq=False)
class Projection:
    """Features in the plane.

    Attributes:
        method: `"pca"` or `"tsne"`.
        points: (M, 2) float32.
        samples: (M,) which samples of the set they are, ascending.
        explained: shares of the variance along both axes; None of t-SNE, whose axes mean nothing.
        seed: of the choice of samples, and of t-SNE.
    """

    method: Method
    points: np.ndarray
    samples: np.ndarray
    explained: tuple[float, float] | None
    seed: int


def project(
    features: np.ndarray,
    labels: np.ndarray,
    method: Method = "pca",
    *,
    samples: int = SAMPLES,
    seed: int = 0,
) -> Projection:
    """Project features to two dimensions with scikit-learn.

    Args:
        features: (N, F), N and F at least 2.
        labels: (N,). Each class gives an equal share of the samples, as far as it has them.
        method: PCA keeps distances as far as two axes can; t-SNE keeps neighbours, and neither
            the sizes of its clusters nor the distances between them mean anything.
        samples: how many points at most.
        seed: of the choice, and of t-SNE.

    Raises:
        ValueError: another method, or too little to project.
    """
    require(method in ("pca", "tsne"), "method", method, '"pca" or "tsne"')
    require(samples >= 2, "samples", samples, "at least 2")
    if features.ndim != 2 or min(features.shape) < 2:
        raise ValueError(
            "`features` must be two samples or more of two dimensions or more. "
            f"Received: features with shape {features.shape}"
        )
    chosen = _balanced(labels, samples, seed)
    some = np.asarray(features[chosen], "float64")
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(30.0, max(1.0, (len(some) - 1) / 3))
        made = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(some)
        return Projection(method, np.asarray(made, "float32"), chosen, None, seed)
    from sklearn.decomposition import PCA

    found = PCA(2, svd_solver="full").fit(some)
    first, second = (float(share) for share in np.nan_to_num(found.explained_variance_ratio_))
    points = np.asarray(found.transform(some), "float32")
    return Projection(method, points, chosen, (first, second), seed)


def _balanced(labels: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Up to so many samples: each class's first one, then each class's second one, and so on."""
    if len(labels) <= samples:
        return np.arange(len(labels))
    order = np.random.default_rng(seed).permutation(len(labels))
    shuffled = np.asarray(labels)[order]
    by_class = np.argsort(shuffled, kind="stable")
    starts = np.searchsorted(shuffled[by_class], shuffled[by_class])
    turn = np.empty(len(labels), "int64")
    turn[by_class] = np.arange(len(labels)) - starts
    return np.sort(order[np.argsort(turn, kind="stable")[:samples]])


def _numpy(values: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(values), "float32")
