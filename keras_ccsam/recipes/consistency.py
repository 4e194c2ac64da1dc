"""Choices of a recipe that exclude each other, refused before anything is trained."""

from keras_ccsam.declare import Table, chosen
from keras_ccsam.recipes.schema_stages import Stage1, Stage2
from keras_ccsam.recipes.slots import name_of


def check(
    first: Stage1, second: Stage2 | None, posthoc: Table | None, head: Table, validation: float
) -> None:
    """Refuses the tables of a validated recipe that contradict each other.

    Args:
        first: `stage1`.
        second: `stage2`.
        posthoc: `posthoc`.
        head: `model.head`.
        validation: `data.validation_fraction`.

    Raises:
        ValueError: one line with the key, its value, and what would be right.
    """
    _check_losses(first, second, head)
    if first.translate is not None and first.mixup:
        raise ValueError(
            "stage1.translate needs hard labels: set stage1.mixup=0. "
            f"Received: stage1.mixup={first.mixup}"
        )
    linear = "linear" in _offers(head)
    if second is not None and second.learn != "classifier" and not linear:
        raise ValueError(
            "stage2.learn must be 'classifier' with another head than 'dense': only the logits of "
            f"a linear one are scaled class by class. Received: stage2.learn={second.learn!r}, "
            f"model.head={name_of(head)!r}"
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
            f"Received: posthoc={name_of(posthoc)!r}"
        )
    part = chosen(posthoc)
    if part is not None and "linear" in part.needs and not linear:
        raise ValueError(
            f"posthoc {name_of(posthoc)!r} needs model.head='dense', a linear classifier with a "
            f"bias. Received: model.head={name_of(head)!r}"
        )
    if getattr(posthoc, "tau", None) == "validation" and not validation:
        raise ValueError(
            "posthoc.tau is chosen on a split cut from the training set: set "
            "data.validation_fraction, to 0.1 for example. Received: posthoc.tau='validation'"
        )


def _check_losses(first: Stage1, second: Stage2 | None, head: Table) -> None:
    losses = {"stage1.loss": first.loss, "stage2.loss": second.loss if second else None}
    for key, loss in losses.items():
        if loss is None:
            continue
        part = chosen(loss)
        if part is None or not getattr(part.make, "takes_cosines", False):
            continue
        scale = getattr(head, "scale", 1.0)
        if "cosines" not in _offers(head) or scale != 1.0:
            raise ValueError(
                f"{key} {name_of(loss)!r} takes cosines and owns their scale: it needs "
                "model.head='cosine' and model.head.scale=1. Received: "
                f"model.head={name_of(head)!r}, model.head.scale={scale:g}"
            )


def _offers(head: Table) -> tuple[str, ...]:
    """What a head offers; of one whose code has not been imported it is not known."""
    part = chosen(head)
    return ("linear", "cosines") if part is None else part.offers
