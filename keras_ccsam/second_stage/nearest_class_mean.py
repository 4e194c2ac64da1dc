"""Nearest class mean: the classifier is read off the training features, without training.

With mu_c the mean feature of class c, u^ = u / ||u||, and what depends on h alone left out,

    euclidean          -||h - mu_c||^2     ->   W_c = 2 mu_c,    b_c = -||mu_c||^2
    cosine             cos(h, mu_c)        ->   W_c = mu_c^,     b_c = 0
    cosine, centred    cos(h - m, mu_c - m)     W_c = (mu_c - m)^,   b_c = -m . W_c
    normalised         mu_c is the mean of the features' unit vectors, of (h - m)^ with centred

where m is the mean feature of all training images. The largest logit is then the nearest mean's
(Kang et al. 2020, "Decoupling representation and classifier for long-tailed recognition", section
4.1 and its released code, which calls features as they are `un`, normalised ones `l2n`, and centred
and normalised ones `cl2n`). Frequent classes have no longer vectors than rare ones.
"""

from typing import Annotated, Literal

import keras
import numpy as np
from pydantic import Field

from keras_ccsam.declare import part
from keras_ccsam.heads import Cosine
from keras_ccsam.options import checked
from keras_ccsam.second_stage.features import LabelledImages, labelled_features
from keras_ccsam.second_stage.fitting_checks import (
    check_plain_dense,
    check_sharpness_aware,
    check_split,
)
from keras_ccsam.training.model import SharpnessAwareModel

Metric = Literal["cosine", "euclidean"]


@part("posthoc", "nearest_class_mean")
def nearest_class_mean(
    model: SharpnessAwareModel,
    train: LabelledImages,
    metric: Annotated[Metric, Field(description="between features")] = "cosine",
    centred: Annotated[
        bool, Field(description="features less their mean first (paper: option)")
    ] = False,
    normalized: Annotated[
        bool,
        Field(description="features to norm 1 before their mean (code: l2n; with centred, cl2n)"),
    ] = False,
) -> None:
    """Makes the head of `model` a nearest-class-mean classifier, in place.

    The head ranks the classes by their distance. Its outputs are no log-likelihoods: a softmax of
    them is no calibrated probability, and its sharpness follows the features' scale.

    Args:
        model: trained, with a `keras.layers.Dense` head (with a bias, but for plain cosines), or
            with a `heads.Cosine` for plain cosines, whose kernel becomes the means.
        train: the training images, a `data.BatchSequence` or a tuple of images and labels. They
            are not augmented, in order, and pass the backbone in inference mode.
        metric: `"cosine"` or `"euclidean"`.
        centred: subtract the mean of all training features first. It makes no
            difference to Euclidean distances.
        normalized: divide each feature by its norm before the class means are taken; of cosines
            alone: Euclidean distances to a normalised feature are no linear function of it.

    Raises:
        ValueError: for another `metric`, `normalized` Euclidean distances, data that is not for
            training, a class without images, or a head that cannot hold the result.
    """
    if normalized and metric != "cosine":
        raise ValueError(
            "normalized=True needs metric='cosine': a Euclidean distance to a normalised feature "
            f"is no linear function of the feature. Received: metric={metric!r}"
        )
    head = check_nearest(model, metric, centred)
    check_train(train)
    features, labels = labelled_features(model, train)
    counts = np.bincount(labels, minlength=model.num_classes)
    if not counts.all():
        raise ValueError(
            "Every class needs at least one image for its mean. "
            f"Received: no image of class {int(np.argmin(counts))}"
        )
    origin = features.mean(axis=0) if centred else np.zeros(features.shape[1])
    seen = features - origin
    if normalized:
        norms = np.linalg.norm(seen, axis=1, keepdims=True)
        seen = seen / np.where(norms > 0, norms, 1.0)
    sums = np.zeros((len(counts), features.shape[1]))
    np.add.at(sums, labels, seen)
    means = sums / counts[:, None]

    if metric == "euclidean":
        columns, bias = 2.0 * means.T, -np.sum(means**2, axis=1)
    else:
        norms = np.linalg.norm(means, axis=1)
        columns, bias = means.T / np.where(norms > 0, norms, 1.0), np.zeros(len(counts))
    head.kernel.assign(columns)
    if getattr(head, "use_bias", False):
        head.bias.assign(bias - origin @ columns)


def check_metric(metric: Metric) -> None:
    """Raises ValueError for an unknown metric."""
    checked(nearest_class_mean, {"metric": metric})


def check_train(train: object) -> None:
    """Raises ValueError for a part of a data set that is not for training."""
    check_split(train, "train", reason="The class means must be those of training images.")


def check_nearest(model: object, metric: Metric, centred: bool) -> keras.Layer:
    """The layer that is to hold the class means; ValueError for a model whose head cannot."""
    check_metric(metric)
    head, plain = check_sharpness_aware(model).head, metric == "cosine" and not centred
    if isinstance(head, Cosine) and plain:
        return head
    reason = (
        f"With metric={metric!r} and centred={centred} class means fit into a plain "
        f"keras.layers.Dense head{'' if plain else ' with a bias'}"
        f"{', or a heads.Cosine' if plain else ''}."
    )
    dense = check_plain_dense(model, reason)
    if not (dense.use_bias or plain):
        raise ValueError(f"{reason} Received: head={head!r} without a bias")
    return dense
