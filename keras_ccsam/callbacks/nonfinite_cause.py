"""Why a training has most likely left the finite numbers, in words."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ccsam.finite import first_bad_row
from keras_ccsam.labels import first_labels
from keras_ccsam.sharpness import ERM
from keras_ccsam.training import SharpnessAwareModel

_SHOWN = 8
_GROWN = 1.5


@dataclass(frozen=True)
class Moment:
    """When it happened.

    Attributes:
        model: in training.
        epoch, step: counted from 0.
        losses: finite ones from before, the first and the last; empty where there are none.
    """

    model: keras.Model
    epoch: int
    step: int
    losses: tuple[float, ...]


def likely_cause(moment: Moment, final: bool) -> str:
    """Sentences: the classes of the batch, the likely cause, and what to do about it.

    Args:
        moment: when.
        final: the training ends, so that data which is read in order may be read again.
    """
    inputs, labels = _batch(moment, final)
    parts = [_classes(labels, moment.model)]
    parts.append(_of_inputs(inputs) or _of_numbers(moment))
    return " ".join(filter(None, parts))


def _batch(moment: Moment, final: bool) -> tuple[Any, Any]:
    """The inputs and labels of the step, where they can be had again; else None."""
    data: Any = getattr(moment.model, "fed", None)
    with suppress(Exception):  # whatever a user's data does: the training's failure is to be told
        if hasattr(data, "with_options"):
            data = data.with_options(data_on="host")
            data.set_epoch(moment.epoch)
        elif not (final and isinstance(data, keras.utils.PyDataset)):
            return None, None
        batch = data[moment.step]
        return batch[0], batch[1]
    return None, None


def _classes(labels: Any, model: keras.Model) -> str:
    if labels is None:
        return ""
    with suppress(Exception):
        found = np.asarray(first_labels(labels))
        found = (
            found.argmax(axis=-1) if found.ndim == 2 and found.shape[1] > 1 else found.reshape(-1)
        )
        counts = getattr(getattr(model, "sharpness", None), "class_counts", ())
        classes = np.unique(found.astype(int))
        named = [f"{c} (one image)" if _is_one(counts, c) else f"{c}" for c in classes[:_SHOWN]]
        more = f" and {len(classes) - _SHOWN} more" if len(classes) > _SHOWN else ""
        return f"Its batch has class{'es'[: 2 * (len(classes) > 1)]} {', '.join(named)}{more}."
    return ""


def _is_one(counts: Any, label: int) -> bool:
    return 0 <= label < len(counts) and counts[label] == 1


def _of_inputs(inputs: Any) -> str:
    if inputs is None:
        return ""
    row = first_bad_row(inputs)
    if row is None:
        return ""
    return (
        f"The inputs themselves hold NaN or infinity, first in sample {row} of the batch: mend or "
        "leave out those samples."
    )


def _of_numbers(moment: Moment) -> str:
    model = moment.model
    if "float16" in (keras.config.floatx(), getattr(model, "compute_dtype", "")):
        return (
            "float16 ends at 65504, so an activation may have overflown: train in mixed_bfloat16 "
            "or float32, or with a lower learning rate."
        )
    rate = float(ops.convert_to_numpy(model.optimizer.learning_rate))
    lower = "lower it, warm it up, or bound the gradient (clip_norm)"
    if len(moment.losses) == 2 and moment.losses[1] > _GROWN * max(moment.losses[0], 1e-12):
        first, last = moment.losses
        return (
            f"The loss had grown from {first:.3g} to {last:.3g} before: the learning rate, "
            f"{rate:.3g} now, is too large; {lower}."
        )
    method = getattr(model, "sharpness", None)
    radius = "" if method is None or isinstance(method, ERM) else " or the radius of the method"
    own = getattr(getattr(model, "sample_loss", None), "loss", None)
    outside = not type(own).__module__.startswith(("keras.", "keras_ccsam."))
    loss = (
        "; or the loss takes the logarithm of 0 or divides by it"
        if outside or not isinstance(model, SharpnessAwareModel)
        else ""
    )
    return f"The likely cause is the learning rate, {rate:.3g} now{radius}: {lower}{loss}."
