"""Several steps in one call (`steps_per_execution`), on PyTorch too.

Keras 3.15 has it on JAX and TensorFlow, and raises on PyTorch. The rules are Keras' own: the
batches, their order and every number stay what they are; callbacks hear of the first and the last
step of a call, and metrics are read once per call. The last call of an epoch may have fewer steps.
"""

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import keras
from keras import ops

from keras_ccsam import backend


class SeveralSteps(keras.Model):
    """The `steps_per_execution` of `compile`."""

    train_step: Any
    test_step: Any
    predict_step: Any
    train_function: Any
    test_function: Any
    predict_function: Any

    def make_train_function(self, force: bool = False) -> Any:
        """Keras' own, but on PyTorch with several steps per execution."""
        if not self._own_steps:
            return super().make_train_function(force)
        if force or self.train_function is None:
            self.train_function = self._train_steps
        return self.train_function

    def make_test_function(self, force: bool = False) -> Any:
        """As `make_train_function`."""
        if not self._own_steps:
            return super().make_test_function(force)
        if force or self.test_function is None:
            self.test_function = self._test_steps
        return self.test_function

    def make_predict_function(self, force: bool = False) -> Any:
        """As `make_train_function`."""
        if not self._own_steps:
            return super().make_predict_function(force)
        if force or self.predict_function is None:
            self.predict_function = self._predict_steps
        return self.predict_function

    @property
    def _own_steps(self) -> bool:
        """Whether Keras would refuse; with torch.compile it still does."""
        several = self.steps_per_execution > 1 and not backend.KERAS_REPEATS_STEPS
        return several and not self.jit_compile

    def _train_steps(self, batches: Sequence[Any]) -> Any:
        logs: Any = {}
        for batch in batches:
            logs = self.train_step(batch)
        return logs

    def _test_steps(self, batches: Sequence[Any]) -> Any:
        logs: Any = {}
        with backend.no_grad():
            for batch in batches:
                logs = self.test_step(batch)
        return logs

    def _predict_steps(self, batches: Sequence[Any]) -> Any:
        with backend.no_grad():
            parts = [self.predict_step(batch) for batch in batches]
        return keras.tree.map_structure(lambda *rows: ops.concatenate(rows), *parts)

    @contextlib.contextmanager
    def _fewer_at_the_end(self) -> Iterator[None]:
        """Without Keras' warning of a last call that has fewer steps, on PyTorch."""
        with warnings.catch_warnings():
            if self._own_steps:
                warnings.filterwarnings("ignore", "Your input ran out of data")
            yield
