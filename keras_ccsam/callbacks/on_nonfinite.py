"""What happens when the loss, a gradient or a weight becomes NaN or infinite.

Detecting it costs nothing: Keras reads the loss after each step for its callbacks anyway, in a
thread of its own where the backend allows it, and here it is looked at. The logged loss is the mean
over the epoch so far, so it stays NaN from the first bad step on and no step is missed.
"""

import math
import warnings
from typing import Annotated, Any, Literal, TypeAlias

import keras
import numpy as np
from keras import ops
from pydantic import Field

from keras_ccsam import backend
from keras_ccsam.callbacks.nonfinite_cause import Moment, likely_cause
from keras_ccsam.finite import first_bad_variable, is_real
from keras_ccsam.options import checked
from keras_ccsam.training import SharpnessAwareModel
from keras_ccsam.training.finite_steps import FiniteSteps

Action: TypeAlias = Annotated[
    Literal["raise", "skip", "rollback"],
    Field(
        description="what is done about a NaN or infinite loss or gradient: stop with the cause, "
        "leave the step out, or go back to the epoch's start with half the step"
    ),
]


class OnNonfinite(keras.callbacks.Callback):
    """Stops a training that diverges, leaves out its bad steps, or takes it back.

    Put it first in the list of callbacks, so that the others see what is left.

    Args:
        action: `"raise"` ends `fit` with a `FloatingPointError` that names the epoch, the step, the
            classes of its batch and the likely cause. `"skip"` leaves a step out whose loss,
            gradient or statistics are not finite, as if its batch had not been there: weights,
            momentum, BatchNorm, seeds and metrics stay (PyTorch's global generator, which an
            unseeded dropout draws from, goes on). It is decided inside the compiled step. The
            epoch's logs have `skipped_steps`; an epoch of which every step is left out raises.
            `"rollback"` gives weights, BatchNorm and the optimizer's moments the values that they
            had at the epoch's start (kept in memory) and goes on with the next batch. From then on
            each step goes `factor` of the way that it would. The count of steps goes on, so that a
            schedule ends where it should, and so do seeds. After `limit` such times it raises.
        limit: rollbacks at most.
        name: of the training, for messages.
        factor: of each rollback, in (0, 1): of every optimizer the same as a learning rate times
            it. It holds until `fit` ends.

    Attributes:
        skipped: steps left out so far.
        rollbacks: how often the training was taken back.

    Raises:
        ValueError: for another action, or a number outside its range; when `fit` begins, for
            `"skip"` or `"rollback"` with a model that is no `SharpnessAwareModel`, or on several
            replicas of TensorFlow, which would decide apart from each other.
        FloatingPointError: from `fit`, see above.

    Example:
        >>> model.fit(data.train, epochs=200, callbacks=[OnNonfinite("skip")])
    """

    # It looks at the numbers of a step and at nothing else, so Keras may go on meanwhile.
    async_safe = True

    def __init__(
        self,
        action: Action = "raise",
        *,
        limit: Annotated[int, Field(ge=0, description="rollbacks at most")] = 3,
        factor: Annotated[float, Field(gt=0, lt=1, description="of each rollback")] = 0.5,
        name: str = "",
    ) -> None:
        super().__init__()
        given = checked(OnNonfinite, {"action": action, "limit": limit, "factor": factor})
        self.action: str = given["action"]
        self.limit: int = given["limit"]
        self.factor: float = given["factor"]
        self.name = name
        self.skipped = self.rollbacks = 0
        self._part: FiniteSteps | None = None
        self._infinite: list[keras.Variable] = []
        self._good: list[np.ndarray] = []  # one array for each of `_kept`
        self._epoch = self._steps = self._skipped_before = self._from = 0
        self._bad: int | None = None
        self._losses: list[float] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Makes the step decide, where it is to."""
        self._bad, self._losses = None, []
        # What is infinite before the first step is so on purpose, as the mask of an attention.
        fixed = self.model.non_trainable_variables
        self._infinite = [each for each in fixed if first_bad_variable([each]) is not None]
        if self.action == "raise":
            return
        model = self.model
        if not isinstance(model, SharpnessAwareModel):
            raise ValueError(
                "OnNonfinite('skip') and ('rollback') act inside the step of a "
                "SharpnessAwareModel (CCSAM is one); OnNonfinite('raise') works with any model. "
                f"Received: model={type(model).__name__}"
            )
        if backend.OPTIMIZER_SUMS and backend.replica_count() > 1:
            raise ValueError(
                "OnNonfinite('skip') and ('rollback') work on one device; on several replicas use "
                f"OnNonfinite('raise'). Received: replicas={backend.replica_count()}"
            )
        self._part = model.add_step_part(FiniteSteps(skips=self.action == "skip"))
        self._skipped_before, self._good = 0, []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Counts anew."""
        self._epoch, self._steps, self._from = epoch, 0, 0
        self._good = []

    def get_state(self) -> dict[str, Any]:
        """What a training that is interrupted needs to go on."""
        names = ("skipped", "rollbacks", "_skipped_before", "_losses", "_good", "_steps")
        return {name: getattr(self, name) for name in names}

    def set_state(self, state: dict[str, Any]) -> None:
        """What `get_state` gave."""
        for name, value in state.items():
            setattr(self, name, value)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Acts on what the steps before have shown; keeps the state at the epoch's start."""
        if self._bad is not None:
            self._from = batch
            self._act(self._bad, what="the loss")
        if self.action != "rollback":
            return
        if not self._good:
            self._good = [np.array(ops.convert_to_numpy(v)) for v in self._kept()]
        self._shorten()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the loss; may run in a thread of Keras' own."""
        loss = (logs or {}).get("loss")
        if loss is None or batch < self._from:  # a step of before the training was taken back
            return
        if math.isfinite(loss):
            self._losses = [*self._losses[:1], float(loss)]
        elif self._bad is None or batch < self._bad:
            self._bad = int(batch)
        self._steps = max(self._steps, int(batch) + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Looks at the weights, which the last steps may have spoilt, and counts."""
        last = max(self._steps - 1, 0)
        if self._bad is not None:
            self._act(self._bad, what="the loss")
        else:
            broken = first_bad_variable(self._watched(), self._infinite)
            if broken is not None:
                self._act(last, what=broken.path)
        if self.action == "skip":
            self._count(last, logs)

    def on_train_end(self, logs: Any = None) -> None:
        """Leaves the plain step behind: a later `fit` without this callback has it."""
        if self._part is not None:
            self.model.step_parts.remove(self._part)
            self.model.make_train_function(force=True)
            self._part, self._good = None, []

    def _count(self, last: int, logs: Any) -> None:
        if self._part is None:
            return
        total = int(ops.convert_to_numpy(self._part.skipped))
        new, self._skipped_before = total - self._skipped_before, total
        if logs is not None:
            logs["skipped_steps"] = float(new)
        if new and not self.skipped:
            warnings.warn(
                f"{self._place(last)}: {new} steps of the epoch were left out. {self._told(last)}",
                stacklevel=2,
            )
        self.skipped += new
        if self._steps and new >= self._steps:
            self._stop(last, "the loss or gradient of every step")

    def _act(self, step: int, what: str) -> None:
        self._bad = None
        if self.action != "rollback" or not self._good or self.rollbacks >= self.limit:
            self._stop(step, what)
        cause = likely_cause(self._moment(step), final=False)
        model: SharpnessAwareModel = self.model  # JAX gives the variables their values here
        for variable, value in zip(self._kept(), self._good, strict=True):
            # A copy: JAX may take NumPy's memory as it is, and the next step writes into it.
            variable.assign(ops.copy(ops.convert_to_tensor(value)))
        model.reset_metrics()
        self.rollbacks += 1
        self._shorten()
        warnings.warn(
            f"{self._place(step)}: {what} was no longer finite, so the weights are those of the "
            f"epoch's start again, and steps go {self.factor**self.rollbacks:g} of their way from "
            f"now on ({self.rollbacks} of at most {self.limit} times). {cause}",
            stacklevel=2,
        )

    def _shorten(self) -> None:
        """Makes the step anew, where its length has changed."""
        if self._part is not None and self._part.factor != self.factor**self.rollbacks:
            self._part.factor = self.factor**self.rollbacks
            self.model.make_train_function(force=True)

    def _stop(self, step: int, what: str) -> None:
        tried = f" after {self.rollbacks} rollbacks" if self.rollbacks else ""
        raise FloatingPointError(
            f"{self._place(step)}{tried}: {what} is no longer finite. "
            f"{likely_cause(self._moment(step), final=True)} Received: on_nonfinite={self.action!r}"
        )

    def _told(self, step: int) -> str:
        return likely_cause(self._moment(step), final=False)

    def _place(self, step: int) -> str:
        of = f"{self.name}, " if self.name else ""
        return f"{of}epoch {self._epoch + 1}, step {step + 1}"

    def _moment(self, step: int) -> Moment:
        return Moment(self.model, self._epoch, step, tuple(self._losses))

    def _watched(self) -> list[keras.Variable]:
        """What a model that is asked later needs to be finite."""
        model = self.model
        return [*model.trainable_variables, *model.non_trainable_variables]

    def _kept(self) -> list[keras.Variable]:
        """What a rollback gives back: no count, no rate, no number that a callback assigns."""
        model = self.model
        others = [*model.non_trainable_variables, *model.optimizer.variables]
        return [*model.trainable_variables, *(v for v in others if is_real(v) and len(v.shape))]
