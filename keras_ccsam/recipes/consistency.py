"""Choices of a recipe that exclude each other, refused before anything is trained."""

from typing import Any

from keras_ccsam.closed_table import Table
from keras_ccsam.declare import chosen


def check(recipe: Any) -> None:
    """Refuses a validated recipe whose tables contradict each other.

    Raises:
        ValueError: one line with the key, its value, and what would be right.
    """
    _check_losses(recipe)
    first, second, posthoc = recipe.stage1, recipe.stage2, recipe.posthoc
    if first.decay == "cosine" and first.warmup_epochs >= first.epochs:
        raise ValueError(
            f"stage1 must have more epochs ({first.epochs}) than warmup_epochs "
            f"({first.warmup_epochs}) for a cosine decay. Received: stage1.epochs={first.epochs}"
        )
    if first.translate is not None and first.mixup:
        raise ValueError(
            "stage1.translate needs hard labels: set stage1.mixup=0. "
            f"Received: stage1.mixup={first.mixup}"
        )
    head = recipe.model.head
    linear = "linear" in _offers(head)
    if second is not None and second.learn != "classifier" and not linear:
        raise ValueError(
            "stage2.learn must be 'classifier' with another head than 'dense': only the logits of "
            f"a linear one are scaled class by class. Received: stage2.learn={second.learn!r}, "
            f"model.head={head.name!r}"
        )
    if second is not None:
        try:
            second.retraining()
        except ValueError as error:
            raise ValueError(f"stage2: {error}") from None
    if posthoc is None:
        return
    if second is not None:
        raise ValueError(
            "posthoc takes the place of a second stage: leave out one of them. "
            f"Received: posthoc={posthoc.name!r}"
        )
    part = chosen(posthoc)
    if part is not None and "linear" in part.needs and not linear:
        raise ValueError(
            f"posthoc {posthoc.name!r} needs model.head='dense', a linear classifier with a bias. "
            f"Received: model.head={head.name!r}"
        )
    if getattr(posthoc, "tau", None) == "validation" and not recipe.data.validation_fraction:
        raise ValueError(
            "posthoc.tau is chosen on a split cut from the training set: set "
            "data.validation_fraction, to 0.1 for example. Received: posthoc.tau='validation'"
        )


def _check_losses(recipe: Any) -> None:
    second = recipe.stage2 and recipe.stage2.loss
    for key, loss in (("stage1.loss", recipe.stage1.loss), ("stage2.loss", second)):
        part = chosen(loss) if loss else None
        if part is None or not getattr(part.make, "takes_cosines", False):
            continue
        head = recipe.model.head
        scale = getattr(head, "scale", 1.0)
        if "cosines" not in _offers(head) or scale != 1.0:
            raise ValueError(
                f"{key} {loss.name!r} takes cosines and owns their scale: it needs "
                "model.head='cosine' and model.head.scale=1. Received: "
                f"model.head={head.name!r}, model.head.scale={scale:g}"
            )


def _offers(head: Table) -> tuple[str, ...]:
    """What a head offers; of one whose code has not been imported it is not known."""
    part = chosen(head)
    return ("linear", "cosines") if part is None else part.offers
