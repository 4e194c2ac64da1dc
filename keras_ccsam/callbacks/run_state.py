"""A training that is ended at any moment goes on where it was, and ends as if it never had been.

A state is taken between two steps: all variables of model and optimizer, the random generators that
no variable holds, what the callbacks remember, and the place: the epoch and the batches of it that
are done. The training that goes on passes these batches over, and trains the next one.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_ccsam import snapshots, stopping
from keras_ccsam.resuming import draws, place
from keras_ccsam.resuming.beginning import beginning
from keras_ccsam.resuming.interval import Interval
from keras_ccsam.resuming.moments import Moments
from keras_ccsam.resuming.newest import newest
from keras_ccsam.resuming.order import why_not_restored
from keras_ccsam.resuming.place import AFTER, BEFORE, WITHIN
from keras_ccsam.resuming.saver import Saver
from keras_ccsam.resuming.training_state import TrainingState


class RunState(keras.callbacks.Callback):
    """Saves the state of a training, and goes on from the last one.

    In the `fit` of a `SharpnessAwareModel` it needs its folder and nothing else: give the same call
    again, and it goes on. Weights, metrics and history are then to the last bit what they would
    have been, on the same machine with the same versions. The state of the end is kept, too: the
    same call on a training that was done trains nothing, and warns of it, until you `clear` it.

    In the `fit` of another Keras model put it first in the list, tell it of the other callbacks and
    of the data, and where to begin: `fit(..., initial_epoch=state.initial_epoch)`. The model must
    be built before.

    A `PyDataset`, arrays on JAX and PyTorch and a torch `DataLoader` go on in the order that they
    had; of other data a warning says that they do not.

    Args:
        folder: for the states, in a folder that is there. One for one training.
        every: how often: a time as `"5 min"`, a number of steps, or `"epoch"`.
        callbacks: the others in the list, where the model is none of this package.
        data: what is trained on, where the model is none of this package.
        about: what a state must be of to be gone on from, by name: text and numbers.
        keep: how many states stay; more than the newest, in case a disk damages that.
        end: whether the state of the end of `fit` is saved, too.

    Raises:
        ValueError: `every` is none of the three, or the folder cannot be made; when `fit` begins,
            if the state is of another model, callbacks, data, backend or what `about` tells of, or
            `fit` ends before it.
        stopping.Stopped: in `fit`, once the state is saved, in a block of `stopping.stoppable`.

    Attributes:
        resumed: where the training was gone on with, in words; "" where it was begun.

    Example:
        >>> state = cc.callbacks.RunState("state", every="5 min")
        >>> model.fit(data.train, epochs=200, callbacks=[state])
        >>> model.save("model.keras")
        >>> state.clear()
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: str | int = "5 min",
        *,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        data: Any = None,
        about: Mapping[str, Any] | None = None,
        keep: int = 2,
        end: bool = True,
    ) -> None:
        super().__init__()
        self._interval = Interval(every)
        self._saver = Saver(folder, keep)
        self._moments = Moments(self._interval, self._saver)
        self._others, self._data, self._about = list(callbacks), data, dict(about or {})
        self._arguments: Mapping[str, Any] = {"x": data}
        self._beginning = beginning(self._arguments)
        self._keeps_end = end
        self._found: snapshots.Snapshot | None = None
        self._looked = False
        self.resumed = ""
        self._state: TrainingState | None = None
        # A state that is to be put back, and one whose steps are being passed over.
        self._pending: snapshots.Snapshot | None = None
        self._passing: snapshots.Snapshot | None = None
        self._epoch: int | None = None
        self._begin()

    @property
    def initial_epoch(self) -> int:
        """The epoch to begin with, for `fit(initial_epoch=...)`."""
        found = self._look()
        return 0 if found is None else int(found.facts["place"]["epoch"])

    @property
    def place(self) -> str:
        """Where a training would be gone on with, in words; "" where it would be begun."""
        found = self._look()
        return "" if found is None else place.words(found.facts["place"])

    def joins_fit(
        self, callbacks: Sequence[keras.callbacks.Callback], arguments: Mapping[str, Any]
    ) -> int | None:
        """Called by the `fit` of a model of this package; see `training.joined`."""
        self._others, self._arguments, self._data = [*callbacks], arguments, arguments.get("x")
        self._looked, self._beginning = False, beginning(arguments)
        return None if self._look() is None else self.initial_epoch

    def leaves_fit(self) -> None:
        """Called by that `fit` when it ends, also by an error: nothing is left half done."""
        self._train_again()
        self._saver.close()

    def clear(self) -> None:
        """Remove the states."""
        self._saver.clear()
        self._found, self._looked = None, False

    def on_train_begin(self, logs: Any = None) -> None:
        """Look for a state; the weights are there before another callback looks at them."""
        model = self.model
        if not model.built:
            raise ValueError(
                "the state of a model can be kept once it is built: call model.build(input_shape) "
                f"before fit. Received: model={model.name!r}, which is not"
            )
        if model.optimizer is not None and not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        self._begin()
        found, self._looked = self._look(), False  # another `fit` looks again
        if found is None:
            return
        self._check(found.facts)
        if (reason := why_not_restored(self._arguments)) is not None:
            warnings.warn(f"{reason}: the training goes on with other batches", stacklevel=2)
        if (reason := draws.why_others(model, found.facts)) is not None:
            warnings.warn(reason, stacklevel=2)
        self.resumed = place.words(found.facts["place"])
        self._state = TrainingState(model, self._others, self._data)
        self._state.weights_from(found)
        self._pending = found

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Go on from a state, or take one."""
        state = self._listening()
        if hasattr(self._data, "set_epoch"):
            self._data.set_epoch(epoch)
        if self._pending is not None:
            self._go_on(state, self._pending, epoch)
        else:
            if self._moments.is_due(self._epoch is not None):
                self._take({"where": BEFORE, "epoch": epoch, "steps": 0})
            state.epoch_begins()
        self._epoch, self._done, self._in_epoch = epoch, 0, True

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Pass over what is done, or take a state."""
        if (self._pending or self._passing) is not None and not self._arrived(batch):
            return
        self._interval.count(batch - self._done)
        self._done = batch
        if self._moments.is_due():
            self._take_within()

    def on_test_begin(self, logs: Any = None) -> None:
        """The epoch's steps are done, and its metrics are about to be reset for the validation."""
        if self._in_epoch:
            self._all_done()
            if self._moments.is_due():
                self._take_within()
            self._listening().hold_metrics()

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """A validation may be long: where a signal asks to stop, the state is that before it."""
        if self._in_epoch and self._moments.is_due(save=False):
            self._take_within()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """The epoch's metrics are taken."""
        if self._in_epoch:
            self._all_done()
        self._in_epoch = False
        self._listening().release_metrics()

    def on_train_end(self, logs: Any = None) -> None:
        """Take the state before the other callbacks do what they do at the end."""
        state = self._listening()
        if self._pending is not None:  # no epoch was left
            state.all_from(self._pending)
            self._pending = None
            if self._keeps_end:
                warnings.warn(
                    "the training was done: nothing is trained, and the model is as at its end. "
                    f"For another one give another folder than {str(self._saver.folder)!r}",
                    stacklevel=2,
                )
        elif self._epoch is not None and (self._keeps_end or self._moments.is_due()):
            self._take({"where": AFTER, "epoch": self._epoch + 1, "steps": 0})
        self._saver.close()

    def _begin(self) -> None:
        """As before any `fit`."""
        self._state = self._pending = self._passing = self._epoch = None
        self._in_epoch, self._done = False, 0
        self._moments.begin()

    def _listening(self) -> TrainingState:
        """What is saved; other callbacks have begun by now, so that their changes show."""
        if self._state is None:
            self._state = TrainingState(self.model, self._others, self._data)
        self._state.begin()
        return self._state

    # Taking states.

    def _take_within(self) -> None:
        self._take({"where": WITHIN, "epoch": self._epoch, "steps": self._done})

    def _take(self, where: dict[str, Any]) -> None:
        """Copy everything on this thread; write it on another, unless the training is to stop."""
        asked = self._moments.stop
        arrays, facts = self._listening().taken()
        facts |= {
            "place": where | {"of": self.params.get("steps")},
            "epochs": self.params.get("epochs"),
            "about": self._of_now(),
        }
        self._saver.save(arrays, facts)
        self._interval.restart()
        if asked:
            saved = self._saver.close()
            stage = f"stage {self._about['stage']}, " if "stage" in self._about else ""
            said = f"saved at {stage}{place.words(where)}" if saved else "its state was not saved"
            raise stopping.Stopped(asked, said)

    def _of_now(self) -> dict[str, Any]:
        """What a state is of."""
        return self._about | {"backend": keras.backend.backend(), "begins": self._beginning}

    # Going on.

    def _look(self) -> snapshots.Snapshot | None:
        """The newest state that is whole."""
        if not self._looked:
            self._saver.wait()
            self._found = newest(self._saver.folder)
            self._looked = True
        return self._found

    def _check(self, facts: Mapping[str, Any]) -> None:
        reason = place.why_not(facts, self._of_now(), self.params)
        if reason is not None:
            raise ValueError(
                "the training cannot be gone on with: its state "
                f"{reason}. Give what it was begun with, or another folder. "
                f"Received: folder={str(self._saver.folder)!r}"
            )

    def _go_on(self, state: TrainingState, found: snapshots.Snapshot, epoch: int) -> None:
        """The first epoch of a training that goes on."""
        where = found.facts["place"]
        if epoch != where["epoch"]:
            raise ValueError(
                f"the state of the training is at {place.words(where)}, and fit begins elsewhere: "
                "give it initial_epoch=state.initial_epoch. Received: "
                f"initial_epoch={epoch}"
            )
        state.all_from(found)
        if where["where"] == WITHIN:
            # The data draws its order as it did when this epoch began.
            state.generators_as_at_epoch(found)
            if hasattr(self._data, "pass_over"):
                self._data.pass_over(epoch, int(where["steps"]))
        else:
            self._pending = None
            state.epoch_begins()

    def _arrived(self, batch: int) -> bool:
        """Whether a step of the first epoch is to be trained; those that are done are not."""
        state = self._listening()
        if self._pending is not None:
            if batch == 0 and not state.metrics_are_built:
                return False  # TensorFlow makes them in the first step; the state comes after it
            # Once more: what the other callbacks did as the epoch began is undone.
            state.model_and_callbacks_from(self._pending)
            state.pass_over_steps()
            self._passing, self._pending = self._pending, None
        if self._passing is None or batch < int(self._passing.facts["place"]["steps"]):
            return False
        self._train_again()
        self._done = batch
        return True

    def _train_again(self) -> None:
        """No more steps are passed over."""
        if self._passing is not None:
            self._listening().train_again(self._passing)
            self._passing = None
            if hasattr(self._data, "pass_over"):
                self._data.pass_over(0, 0)

    def _all_done(self) -> None:
        """All steps of the epoch are done, or were passed over."""
        self._train_again()
        steps = self.params.get("steps")
        stride = getattr(self.model, "steps_per_execution", 1)
        done = self._done + stride if steps is None else int(steps)
        self._interval.count(done - self._done)
        self._done = done
