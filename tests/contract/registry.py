"""Every method by name, on a toy problem: the contract suite runs over these.

Sharpness methods and losses are found by themselves, with their limits, from what they declare; a
new one gets all of the suite's tests without an entry here. Combinations of the two are listed. The
recipes are a registry of their own: `test_recipes_learn.py` runs over all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

import keras_ccsam as cc
from keras_ccsam.declare import find
from tests.declared import Made, Trial, trials
from tests.support import COUNTS


def linear() -> keras.layers.Layer:
    return keras.layers.Dense(5, name="classifier")


@dataclass(frozen=True)
class CosineHead:
    """Makes a cosine head; equal scales are equal heads, so that references are shared."""

    scale: float = 1.0

    def __call__(self) -> keras.layers.Layer:
        return cc.heads.Cosine(5, scale=self.scale, name="classifier")


ERM = Made(find("sharpness", "erm"), {})
CROSS_ENTROPY = Made(find("loss", "cross_entropy"), {})
CC_SAM = Made(find("sharpness", "class_conditional"), {"radius_scale": 0.5})
SAM = Made(find("sharpness", "sam"), {})


@dataclass(frozen=True)
class Method:
    """One way to train.

    Attributes:
        sharpness: makes the method.
        loss: makes the loss.
        head: makes the head.
        limit: the method at its limit, and the one that it then equals.
        tolerance: of that equality, on weights after a few steps.
        always: whether it equals the other one whatever its options, as balanced softmax does.
        along_regularisers: how far regularisers alone may take its weights from the plain step's:
            a method that perturbs along the whole loss steps along them too. None: anywhere.
        activity: whether the network may have an activity regulariser.
    """

    sharpness: Callable[[], Any] = ERM
    loss: Callable[[], Any] = CROSS_ENTROPY
    head: Callable[[], Any] = linear
    limit: "tuple[Method, Method] | None" = None
    tolerance: float = 1e-6
    always: bool = False
    along_regularisers: float | None = 1e-6
    activity: bool = True


# Of those whose ascent is along the samples' losses alone.
BESIDE_REGULARISERS = ("erm", "class_conditional", "adversarial_features", "imbsam", "focal_sam")
ALONG_THEM = 2e-2
# Its step has the length of a unit gradient, whatever the loss.
FAR_ALONG_THEM = ("gradient_norm variant=published",)


def of_a_method(trial: Trial) -> Method:
    """The method with cross-entropy and a linear head."""
    along: float | None = 1e-6 if trial.part.name in BESIDE_REGULARISERS else ALONG_THEM
    # Statistics of the clean pass are constants only where nothing else couples samples.
    activity = trial.options.get("batch_norm") != "clean"
    return Method(
        trial.make,
        activity=activity,
        along_regularisers=None if trial.label in FAR_ALONG_THEM else along,
        **limit_of(trial, sharpness=trial.at_limit),
    )


def of_a_loss(trial: Trial) -> Method:
    """The loss with the plain step, on the head that it takes."""
    head = CosineHead() if takes_cosines(trial) else linear
    return Method(loss=trial.make, head=head, **limit_of(trial, loss=trial.at_limit, head=head))


def takes_cosines(trial: Trial) -> bool:
    return getattr(trial.part.make, "takes_cosines", False)


def limit_of(trial: Trial, **parts: Any) -> dict[str, Any]:
    limit = trial.part.limit
    if limit is None:
        return {}
    kind = trial.part.kind
    other = Method(**{kind: Made(find(kind, limit.other), {})})
    if takes_cosines(trial):
        # A loss that scales its cosines equals plain cross-entropy on a head with that scale.
        other = Method(head=CosineHead(trial.make().scale))
    return {
        "limit": (Method(**parts), other),
        "tolerance": limit.tolerance,
        "always": not limit.options,
    }


def together(loss: str, sharpness: Made) -> Method:
    """A loss on cosines with a sharpness method; at radius 0 CC-SAM leaves the loss."""
    trial = LOSSES[loss]
    made = {"loss": trial.make, "head": CosineHead()}
    if sharpness is not CC_SAM:
        return Method(sharpness, along_regularisers=ALONG_THEM, **made)
    zero = Made(CC_SAM.part, {**CC_SAM.options, **CC_SAM.part.limit.options})
    return Method(sharpness, limit=(Method(zero, **made), Method(**made)), **made)


SHARPNESS = trials("sharpness")
LOSSES = trials("loss")
METHODS = {
    **{label: of_a_method(trial) for label, trial in SHARPNESS.items()},
    **{label: of_a_loss(trial) for label, trial in LOSSES.items()},
    **{
        f"cosine {trial.make().scale:g}": Method(head=CosineHead(trial.make().scale))
        for trial in LOSSES.values()
        if takes_cosines(trial)
    },
    "ldam and sam": together("ldam", SAM),
    "ldam and class_conditional": together("ldam", CC_SAM),
    "gcl and class_conditional": together("gcl", CC_SAM),
}
assert len(COUNTS) == linear().units
