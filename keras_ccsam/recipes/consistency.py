"""Choices of a recipe that exclude each other, or that are probably not meant together."""

from collections.abc import Iterator

from keras_ccsam.closed_table import Table
from keras_ccsam.declare import chosen
from keras_ccsam.recipes.schema_stages import Stage1, Stage2
from keras_ccsam.recipes.slots import name_of

# With it, a softmax over ten cosines gives a class 98 in 100 at most; with 1, it is 45.
_LEAST_SCALE = 3.0


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
    if first.decay == "cosine" and first.warmup_epochs >= first.epochs:
        raise ValueError(
            f"stage1 must have more epochs ({first.epochs}) than warmup_epochs "
            f"({first.warmup_epochs}) for a cosine decay. Received: stage1.epochs={first.epochs}"
        )
    for way in ("mixup", "cutmix"):
        if first.translate is not None and getattr(first, way):
            raise ValueError(
                f"stage1.translate needs hard labels: set stage1.{way}=0. "
                f"Received: stage1.{way}={getattr(first, way)}"
            )
    _check_views(first)
    _check_terms(first)
    if first.class_weight is not None and first.reweight is not None:
        raise ValueError(
            "stage1.class_weight and stage1.reweight both weight the classes: leave out one of "
            "them. Received: stage1.class_weight and stage1.reweight"
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
            second.retraining(first)
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


def _check_views(first: Stage1) -> None:
    """Views say what is mixed, and each of an image's rows has its labels."""
    if first.views is None:
        return
    for way in ("mixup", "cutmix", "translate"):
        if getattr(first, way):
            raise ValueError(
                f"stage1.views says itself what a batch shows: leave out stage1.{way}, or set it "
                f"to 0. Received: stage1.views={name_of(first.views)!r}, "
                f"stage1.{way}={getattr(first, way)!r}"
            )


def _check_terms(first: Stage1) -> None:
    """A term may need several rows for each image, of one kind."""
    for term in first.terms or ():
        part = chosen(term)
        for need in () if part is None else part.needs:
            kind, _, name = need.partition(": ")
            if kind == "views" and (first.views is None or name_of(first.views) != name):
                has = None if first.views is None else name_of(first.views)
                raise ValueError(
                    f"the term {name_of(term)!r} compares the rows of stage1.views={name!r}. "
                    f"Received: stage1.views={has!r}"
                )


def check_frozen(train: Table | None, second: Stage2 | None, spectral: bool) -> None:
    """Refuses what would change a network that is to stay as it is.

    Args:
        train: `model.train`.
        second: `stage2`.
        spectral: whether there is `model.spectral_norm`.

    Raises:
        ValueError: as `check`.
    """
    if train is None or name_of(train) == "all":
        return
    if spectral:
        raise ValueError(
            "model.spectral_norm changes every kernel, so it needs a network that is trained as a "
            f"whole: leave out one of them. Received: model.train={name_of(train)!r}"
        )
    if name_of(train) == "frozen" and second is not None and second.batch_norm == "update":
        raise ValueError(
            "stage2.batch_norm must be 'frozen' with a frozen network, whose statistics stay too. "
            f"Received: stage2.batch_norm={second.batch_norm!r}, model.train='frozen'"
        )


def doubts(
    first: Stage1, second: Stage2 | None, posthoc: Table | None, head: Table
) -> tuple[str, ...]:
    """What the tables of a validated recipe may say, but its author has probably not meant.

    Args:
        first, second, posthoc, head: as in `check`.
    """
    losses = _losses(first, second)
    found = (
        _doubts_of_rates(first),
        _balance_doubts(first),
        _curriculum_doubts(first),
        _scale_doubts(losses, head),
        _prior_doubts(losses, posthoc),
    )
    return tuple(text for texts in found for text in texts)


def _doubts_of_rates(stage: Stage1) -> Iterator[str]:
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


def _balance_doubts(stage: Stage1) -> Iterator[str]:
    """Classes that are balanced twice, and shares of what is not there."""
    if stage.class_weight is not None:
        if stage.sampler not in ("instance", "square_root"):
            yield (
                f"stage1.class_weight weights classes that stage1.sampler={stage.sampler!r} has "
                "balanced: rare classes are favoured twice"
            )
        if name_of(stage.loss) == "class_balanced":
            yield (
                "stage1.class_weight weights classes that stage1.loss='class_balanced' weights "
                "already: rare classes are favoured twice"
            )
    if stage.mix_probability < 1 and not (stage.mixup or stage.cutmix):
        yield (
            f"stage1.mix_probability={stage.mix_probability:g} has nothing to mix with: set "
            "stage1.mixup or stage1.cutmix"
        )


def _curriculum_doubts(stage: Stage1) -> Iterator[str]:
    """Levels that nothing moves from 0."""
    listed = () if isinstance(stage.augment, str) else stage.augment
    starts = [
        0 if isinstance(entry, str) else int(getattr(entry, "start", 0))
        for entry in listed
        if (entry if isinstance(entry, str) else name_of(entry)) == "curriculum"
    ]
    moved = any(name_of(choice) == "curriculum" for choice in stage.callbacks or ())
    if starts and not any(starts) and not moved:
        yield (
            "stage1.augment has 'curriculum' at level 0, which augments nothing: list the callback "
            "'curriculum' in stage1.callbacks, or set its start"
        )


def _scale_doubts(losses: dict[str, Table], head: Table) -> Iterator[str]:
    """Cosines that are scaled too little for the loss."""
    cosines = chosen(head) is not None and "cosines" in _offers(head)
    scale = getattr(head, "scale", _LEAST_SCALE) if cosines else _LEAST_SCALE
    for key, loss in losses.items():
        part = chosen(loss)
        if part is None or getattr(part.make, "takes_cosines", False):
            continue
        if scale < _LEAST_SCALE:
            yield (
                f"model.head.scale={scale:g} keeps the logits of {key} {name_of(loss)!r} between "
                f"{-scale:g} and {scale:g}, where no class can be nearly certain: set it to 16, or "
                "take a loss of cosines, such as 'ldam'"
            )


def adjusts_prior(loss: Table) -> bool:
    """Whether a loss makes up for the class counts while it trains."""
    part = chosen(loss)
    adjusts = part is not None and getattr(part.make, "adjusts_prior", False)
    return bool(adjusts and getattr(loss, "tau", 1.0) != 0)


def _prior_doubts(losses: dict[str, Table], posthoc: Table | None) -> Iterator[str]:
    """Class counts that are made up for twice."""
    if posthoc is None or name_of(posthoc) != "logit_adjustment":
        return
    for key, loss in losses.items():
        if adjusts_prior(loss):
            yield (
                f"posthoc 'logit_adjustment' makes up for the class counts, and {key} "
                f"{name_of(loss)!r} has done so in training: rare classes are favoured twice. "
                "Train with cross_entropy, or leave posthoc out"
            )


def _losses(first: Stage1, second: Stage2 | None) -> dict[str, Table]:
    """The losses of a recipe by the key that names them."""
    losses = {"stage1.loss": first.loss}
    if second is not None and second.loss is not None:
        losses["stage2.loss"] = second.loss
    return losses


def _check_losses(first: Stage1, second: Stage2 | None, head: Table) -> None:
    for key, loss in _losses(first, second).items():
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
