"""Every method by name, on a toy problem: the contract suite runs over these.

A new sharpness method, loss or head gets all of the suite's tests by one entry here; a test holds
that none which the package exports is missing. The recipes are a registry of their own:
`test_recipes_learn.py` runs over all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

import keras_ccsam as cc
from keras_ccsam import losses
from keras_ccsam.sharpness import (
    ERM,
    SAM,
    AdversarialFeatures,
    ClassConditional,
    FocalSAM,
    GaussianPerturbation,
    GradientNorm,
    ImbSAM,
)
from tests.support import COUNTS


def cross_entropy() -> keras.losses.Loss:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def linear() -> keras.layers.Layer:
    return keras.layers.Dense(5, name="classifier")


@dataclass(frozen=True)
class Method:
    """One way to train.

    Attributes:
        sharpness: makes the method.
        loss: makes the loss.
        head: makes the head.
        limit: the method at its limit, and the name of the entry that it then equals.
        tolerance: of that equality, on weights after a few steps.
        along_regularisers: how far regularisers alone may take its weights from the plain step's:
            a method that perturbs along the whole loss steps along them too. None: anywhere.
        activity: whether the network may have an activity regulariser.
    """

    sharpness: Callable[[], Any] = ERM
    loss: Callable[[], Any] = cross_entropy
    head: Callable[[], Any] = linear
    limit: "tuple[Method, str] | None" = None
    tolerance: float = 1e-6
    along_regularisers: float | None = 1e-6
    activity: bool = True


def cosine(scale: float = 1.0) -> keras.layers.Layer:
    return cc.heads.Cosine(5, scale=scale, name="classifier")


def cosine30() -> keras.layers.Layer:
    return cosine(30.0)


def on_cosines(loss: Callable[[], Any], sharpness: Callable[[], Any] = ERM, **limit: Any) -> Method:
    return Method(sharpness, loss, cosine, **limit)


def equals(other: str, *, tolerance: float = 1e-6, **parts: Any) -> dict[str, Any]:
    return {"limit": (Method(**parts), other), "tolerance": tolerance}


METHODS = {
    "erm": Method(),
    "cosine": Method(head=cosine30),
    "sam": Method(
        lambda: SAM(0.05), along_regularisers=2e-2, **equals("erm", sharpness=lambda: SAM(0.0))
    ),
    "asam": Method(
        lambda: SAM(0.5, adaptive=True),
        along_regularisers=2e-2,
        **equals("erm", sharpness=lambda: SAM(0.0, adaptive=True)),
    ),
    "ccsam": Method(
        lambda: ClassConditional(COUNTS, 0.5),
        **equals("erm", sharpness=lambda: ClassConditional(COUNTS, 0.0)),
    ),
    "ccsam-all": Method(
        lambda: ClassConditional(COUNTS, 0.5, perturb="all"),
        **equals("erm", sharpness=lambda: ClassConditional(COUNTS, 0.0, perturb="all")),
    ),
    "ccsam-all-clean": Method(
        lambda: ClassConditional(COUNTS, 0.5, perturb="all", batch_norm="clean"),
        activity=False,
        **equals(
            "erm",
            sharpness=lambda: ClassConditional(COUNTS, 0.0, perturb="all", batch_norm="clean"),
        ),
    ),
    "stage-2": Method(
        lambda: AdversarialFeatures(COUNTS, alpha=0.7),
        **equals("erm", sharpness=lambda: AdversarialFeatures(COUNTS, alpha=0.0)),
    ),
    "gradient-norm": Method(
        lambda: GradientNorm(0.05, 0.8),
        along_regularisers=2e-2,
        **equals("sam", sharpness=lambda: GradientNorm(0.05, 1.0), tolerance=1e-5),
    ),
    "gradient-norm-published": Method(
        lambda: GradientNorm(0.05, 0.8, variant="published"),
        along_regularisers=None,
        **equals(
            "sam", sharpness=lambda: GradientNorm(0.05, 1.0, variant="published"), tolerance=1e-5
        ),
    ),
    "gaussian": Method(
        lambda: GaussianPerturbation(0.1),
        along_regularisers=2e-2,
        **equals("erm", sharpness=lambda: GaussianPerturbation(0.0)),
    ),
    "imbsam": Method(
        lambda: ImbSAM(COUNTS, 0.05, threshold=10),
        **equals("erm", sharpness=lambda: ImbSAM(COUNTS, 0.05, threshold=0), tolerance=1e-5),
    ),
    "focal-sam": Method(
        lambda: FocalSAM(COUNTS, 0.2, gamma=3.0, strength=0.5),
        **equals("erm", sharpness=lambda: FocalSAM(COUNTS, strength=0.0), tolerance=1e-5),
    ),
    "focal": Method(
        loss=lambda: losses.Focal(2.0),
        **equals("erm", loss=lambda: losses.Focal(0.0), tolerance=1e-5),
    ),
    "class-balanced": Method(
        loss=lambda: losses.ClassBalanced(COUNTS),
        **equals("erm", loss=lambda: losses.ClassBalanced(COUNTS, beta=0.0), tolerance=1e-5),
    ),
    "logit-adjustment": Method(
        loss=lambda: losses.LogitAdjustment(COUNTS),
        **equals("erm", loss=lambda: losses.LogitAdjustment(COUNTS, tau=0.0), tolerance=1e-5),
    ),
    "balanced-softmax": Method(
        loss=lambda: losses.BalancedSoftmax(COUNTS),
        **equals("logit-adjustment", loss=lambda: losses.BalancedSoftmax(COUNTS)),
    ),
    "vector-scaling": Method(
        loss=lambda: losses.VectorScaling(COUNTS),
        **equals(
            "logit-adjustment",
            loss=lambda: losses.VectorScaling(COUNTS, gamma=0.0),
            tolerance=1e-5,
        ),
    ),
    "label-aware-smoothing": Method(
        loss=lambda: losses.LabelAwareSmoothing(COUNTS),
        **equals(
            "erm",
            loss=lambda: losses.LabelAwareSmoothing(COUNTS, head=0.0, tail=0.0),
            tolerance=1e-5,
        ),
    ),
    "ldam": on_cosines(
        lambda: losses.LDAM(COUNTS),
        **equals(
            "cosine", head=cosine, loss=lambda: losses.LDAM(COUNTS, 0.0, 30.0), tolerance=1e-5
        ),
    ),
    "gcl": on_cosines(
        lambda: losses.GCL(COUNTS),
        **equals(
            "cosine",
            head=cosine,
            loss=lambda: losses.GCL(COUNTS, 0.0, 0.0, 30.0),
            tolerance=1e-5,
        ),
    ),
    "ldam-sam": on_cosines(lambda: losses.LDAM(COUNTS), lambda: SAM(0.05), along_regularisers=2e-2),
    "ldam-ccsam": on_cosines(
        lambda: losses.LDAM(COUNTS),
        lambda: ClassConditional(COUNTS, 0.5),
        **equals(
            "ldam",
            head=cosine,
            loss=lambda: losses.LDAM(COUNTS),
            sharpness=lambda: ClassConditional(COUNTS, 0.0),
        ),
    ),
    "gcl-ccsam": on_cosines(
        lambda: losses.GCL(COUNTS),
        lambda: ClassConditional(COUNTS, 0.5),
        **equals(
            "gcl",
            head=cosine,
            loss=lambda: losses.GCL(COUNTS),
            sharpness=lambda: ClassConditional(COUNTS, 0.0),
        ),
    ),
}
