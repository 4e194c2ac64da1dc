"""Choices of a recipe that exclude each other, or that are probably not meant together."""

from collections.abc import Iterator
from typing import Any

from keras_ccsam.closed_table import Table
from keras_ccsam.declare import chosen

# With it, a softmax over ten cosines gives a class 98 in 100 at most; with 1, it is 45.
_LEAST_SCALE = 3.0


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


def doubts(recipe: Any) -> tuple[str, ...]:
    """What a validated recipe may say, but its author has probably not meant."""
    return (*_doubts_of_rates(recipe.stage1), *_doubts_of_logits(recipe))


def _doubts_of_rates(stage: Any) -> Iterator[str]:
    if stage.warmup_epochs >= stage.epochs > 1:
        yield (
            f"stage1.warmup_epochs={stage.warmup_epochs} lasts longer than "
            f"stage1.epochs={stage.epochs}: the learning rate never reaches its peak"
        )
    boundaries = stage.boundary_epochs()
    if any(x >= stage.epochs for x in boundaries):
        yield (
            f"stage1.boundaries={list(stage.boundaries)} reach beyond "
            f"stage1.epochs={stage.epochs}: shares such as 0.8 follow the epochs"
        )
    if any(x < stage.warmup_epochs < stage.epochs for x in boundaries):
        yield (
            f"stage1.boundaries={list(stage.boundaries)} begin inside the warm-up of "
            f"{stage.warmup_epochs} epochs: they take effect at its end"
        )


def _doubts_of_logits(recipe: Any) -> Iterator[str]:
    posthoc = recipe.posthoc
    head: Any = recipe.model.head
    cosines = chosen(head) is not None and "cosines" in _offers(head)
    scale = getattr(head, "scale", _LEAST_SCALE) if cosines else _LEAST_SCALE
    for key, loss in _losses(recipe):
        made = chosen(loss)
        if made is None:
            continue
        if scale < _LEAST_SCALE and not getattr(made.make, "takes_cosines", False):
            yield (
                f"model.head.scale={scale:g} keeps the logits of {key} {loss.name!r} between "
                f"{-scale:g} and {scale:g}, where no class can be nearly certain: set it to 16, or "
                "take a loss of cosines, such as 'ldam'"
            )
        adjusted = getattr(made.make, "adjusts_prior", False) and getattr(loss, "tau", 1.0) != 0
        if adjusted and posthoc is not None and posthoc.name == "logit_adjustment":
            yield (
                f"posthoc 'logit_adjustment' makes up for the class counts, and {key} "
                f"{loss.name!r} has done so in training: rare classes are favoured twice. Train "
                "with cross_entropy, or leave posthoc out"
            )


def _losses(recipe: Any) -> Iterator[tuple[str, Any]]:
    """Where a recipe names a loss, and which."""
    yield "stage1.loss", recipe.stage1.loss
    if recipe.stage2 is not None and recipe.stage2.loss is not None:
        yield "stage2.loss", recipe.stage2.loss


def _check_losses(recipe: Any) -> None:
    for key, loss in _losses(recipe):
        part = chosen(loss)
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
