"""Everything that changes while a model is trained, taken between two steps and put back."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_ccsam import backend
from keras_ccsam.resuming import draws, generators, variables
from keras_ccsam.resuming.callback_states import CallbackStates, tells_its_state
from keras_ccsam.resuming.place import FORMAT, KIND
from keras_ccsam.snapshots import Snapshot

_NOW, _AT_EPOCH = "random/", "random_at_epoch/"


class TrainingState:
    """The state of one `fit`.

    Args:
        model: in training: built, with an optimizer that is.
        callbacks: of `fit`, but the one that saves.
        data: that is trained on; its state is kept where it defines `get_state()` and `set_state`.
    """

    def __init__(self, model: keras.Model, callbacks: Sequence[Any], data: Any) -> None:
        self._model = model
        history = getattr(model, "history", None)
        own = [history] if isinstance(history, keras.callbacks.History) else []
        told = [data] if tells_its_state(data) else []
        self._callbacks = CallbackStates([*callbacks, *own, *told])
        self._begun = False
        self._at_epoch: Mapping[str, np.ndarray] = {}
        self._held: Mapping[str, np.ndarray] = {}
        self._step: tuple[Any, Any] | None = None

    @property
    def model(self) -> keras.Model:
        """The model; on JAX with the values of its variables in it, in the middle of an epoch."""
        sync = getattr(self._model, "jax_state_sync", None)
        if sync is not None:
            sync()
        return self._model

    def begin(self) -> None:
        """What the callbacks change from now on is state. The first call counts."""
        if not self._begun:
            self._callbacks.begin()
            self._begun = True

    def epoch_begins(self) -> None:
        """Remember from what the data draws the epoch's order."""
        self._at_epoch = generators.captured()

    def hold_metrics(self) -> None:
        """Remember the metrics of the epoch: those of the validation follow in their place."""
        self._held = variables.metrics(self.model)

    def release_metrics(self) -> None:
        """The validation is done."""
        self._held = {}

    def taken(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Copies of everything: arrays by name, and the rest as JSON types."""
        arrays, described = variables.captured(self.model)
        arrays |= self._held
        for prefix, states in ((_NOW, generators.captured()), (_AT_EPOCH, self._at_epoch)):
            arrays |= {prefix + key: array for key, array in states.items()}
        callbacks = self._callbacks.captured(arrays)
        facts = {"kind": KIND, "format": FORMAT, "variables": described, "callbacks": callbacks}
        facts[draws.DEVICES] = backend.trained_by(self._model)
        return arrays, facts

    def weights_from(self, found: Snapshot) -> None:
        """Put back weights and optimizer; what callbacks still add to the model comes later.

        Raises:
            ValueError: it is another model, or there are other callbacks.
        """
        self._callbacks.check(found.facts["callbacks"])
        weights = ("trainable", "optimizer")
        variables.put_back(self.model, found.arrays, found.facts["variables"], weights)

    def all_from(self, found: Snapshot) -> None:
        """Put back everything.

        Raises:
            ValueError: it is another model, or there are other callbacks.
        """
        self.model_and_callbacks_from(found)
        generators.put_back(_named(_NOW, found.arrays))

    def model_and_callbacks_from(self, found: Snapshot) -> None:
        """Put back everything but the random generators, from which the data draws meanwhile.

        Raises:
            ValueError: it is another model, or there are other callbacks.
        """
        variables.put_back(self.model, found.arrays, found.facts["variables"])
        self._callbacks.put_back(found.facts["callbacks"], found.arrays)

    def generators_as_at_epoch(self, found: Snapshot) -> None:
        """Put the random generators back to where they were as the epoch of a state began."""
        self._at_epoch = _named(_AT_EPOCH, found.arrays)
        generators.put_back(self._at_epoch)

    @property
    def metrics_are_built(self) -> bool:
        """Whether the metrics have their variables."""
        return variables.metrics_are_built(self._model)

    def pass_over_steps(self) -> None:
        """Let the steps that follow take their data and train nothing; no callback hears of them.

        The metrics are those of the steps that are done, and so is what such a step logs.
        """
        model: Any = self.model
        results = keras.tree.map_structure(keras.ops.convert_to_numpy, model.get_metrics_result())
        logs = {key: float(v) if np.ndim(v) == 0 else v for key, v in results.items()}
        self._step = model.train_function, self._callbacks.muted()
        model.train_function = backend.passed_step(logs, getattr(model, "steps_per_execution", 1))

    def train_again(self, found: Snapshot) -> None:
        """Train from here on, with the random generators where they were."""
        if self._step is not None:
            step, let_hear = self._step
            self._model.train_function, self._step = step, None
            let_hear()
        generators.put_back(_named(_NOW, found.arrays))


def _named(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)}
