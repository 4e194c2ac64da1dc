"""Batches of a set that lies on the device: a step is handed a plan, and makes its images."""

from collections.abc import Mapping
from typing import Any, Protocol, TypeGuard

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.heads import num_outputs
from keras_ccsam.labels import first_labels
from keras_ccsam.training.step_parts import Network, StepPart
from keras_ccsam.typing import Tensor

ROWS = "rows_on_device"
"""The key by which a plan is known: the rows of its images (B,), int32."""

Plan = Mapping[str, Any]


class Resident(Protocol):
    """A set of images on the device, and what a step makes of a part of it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        ...

    @property
    def program(self) -> object:
        """What is a part of a compiled step: one that was compiled with another is stale."""
        ...

    def images(self, plan: Plan) -> Tensor:
        """The images (B, ...) of a plan; called inside a step."""
        ...


def is_plan(x: Any) -> TypeGuard[Plan]:
    """Whether the inputs of a step are a plan, and no images."""
    return isinstance(x, Mapping) and ROWS in x


class DeviceImages(StepPart):
    """Makes the images of a batch of which the step was handed the plan; others it leaves alone."""

    saving = "remade"

    def inputs(self, model: Network, x: Any, y: Any) -> Any:
        """The images.

        Raises:
            ValueError: the plan is not that of what the model is fitted on.
        """
        if not is_plan(x):
            return x
        resident = resident_of(model.fed)
        if resident is None:
            refuse_plan(x)
            return x
        return resident.images(x)


def refuse_plan(x: Any) -> None:
    """Refuses a plan where its images would be needed.

    Raises:
        ValueError: it is one.
    """
    if is_plan(x):
        raise ValueError(
            "a batch of a set on the device is made in the step of a `fit` on that set; for "
            "anything else make batches with data_on='host'. Received: a batch elsewhere"
        )


def resident_of(data: Any) -> Resident | None:
    """The set on the device that a sequence's batches are made of; None where they hold images."""
    found: Resident | None = getattr(data, "resident", None)
    return found


def on_host(data: Any) -> Any:
    """Data whose batches hold their images; what is none of ours stays as it is."""
    return data.on_host() if resident_of(data) is not None else data


def prepare(model: Any, data: keras.utils.PyDataset, resident: Resident, compiled: Any) -> Any:
    """Makes what Keras would make from a batch of images, and drops a step of another set.

    Args:
        model: a compiled `SharpnessAwareModel`.
        data: that is fitted on.
        resident: its set.
        compiled: the `program` that the model's step was compiled with; None: none.

    Returns:
        The `program` that its step will be compiled with.

    Raises:
        ValueError: several devices train the model.
    """
    if backend.trained_by(model) > 1:
        raise ValueError(
            "a set on the device serves one device; several each take their share from the host. "
            "Received: data_on='device'"
        )
    if not model.built:
        model.build((None, *resident.shape))
    labels = ops.convert_to_tensor(first_labels(data[0][1])[:1])
    units = num_outputs(model.head)
    with keras.StatelessScope():  # the numbers are dropped, what holds them is built
        model.compute_loss(None, labels, ops.full((1, units), 1.0 / units), None)
    if compiled is not None and compiled != resident.program:
        model.make_train_function(force=True)
    return resident.program
