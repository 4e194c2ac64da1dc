"""What a `SharpnessAwareModel` is given to train on: looked at first, then handed to Keras."""

import inspect
from functools import partial
from typing import Any

from keras_ccsam import heads
from keras_ccsam.finite import check_finite, check_finite_weights
from keras_ccsam.training.all_shares import is_share, of_all_shares
from keras_ccsam.training.epoch_clock import with_clock
from keras_ccsam.training.first_batch import first_batch_checked
from keras_ccsam.training.first_step import make_variables
from keras_ccsam.training.fit_class_weight import with_class_weight
from keras_ccsam.training.fit_data import check_first_labels, check_fit_data
from keras_ccsam.training.fit_pixels import record_of_fit
from keras_ccsam.training.joined import joined
from keras_ccsam.training.no_samples import check_samples
from keras_ccsam.training.resident import on_host, prepare, resident_of
from keras_ccsam.training.saved_model import SavedModel
from keras_ccsam.training.several_steps import SeveralSteps
from keras_ccsam.training.together import together


class FedModel(SeveralSteps, SavedModel):
    """The `fit` and `train_on_batch` of a model of classes."""

    @property
    def num_classes(self) -> int:
        """K, the number of classes; 2 for a head with one output."""
        return heads.num_classes(self.head)

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.fit`; a `BatchSequence` is told the epoch and is not shuffled again.

        Class counts that cannot be those of the data are warned of, where these show theirs.
        `class_weight="auto"` balances the classes: it is `keras_ccsam.balanced_class_weight` of the
        data's class counts; where these do not show theirs, of those that the method or the loss
        was given. A `BatchSequence` takes class weights with mixed labels, too.

        Raises:
            ValueError: if there is no sample, a label lies outside [0, K), a sample has several
                classes, or an input, a sample weight or a weight of backbone or head is NaN or
                infinite, once a state is put back where there is one. A weight that is not
                trainable may be infinite, as a mask is. Arrays are checked whole; of a `PyDataset`,
                generator, `tf.data` data set or torch `DataLoader` the labels of the first batch.

        Weights are looked at here, once. `train_on_batch` does not, since to read all weights would
        cost each step; nor do `evaluate`, `predict` and `test_on_batch`, which do as Keras does.
        """
        classes, told = check_fit_data(x, y, self.head, self.sharpness, self.sample_loss)
        arguments = inspect.signature(super().fit).bind(x, y, *args, **kwargs).arguments
        arguments = with_class_weight(arguments, self.num_classes, classes, told)
        x = arguments["x"]
        check_finite(x)
        check_finite(arguments.get("sample_weight"), "sample_weight")
        self.step_parts.warn_of_missing()
        # The compiled loss is in force again, and layers may have been frozen since.
        self._logit_scale = self._found.coupling = None
        self.pixels = record_of_fit(self, x)
        if (resident := resident_of(x)) is not None:
            self._found.program = prepare(self, x, resident, self._found.program)
        make_variables(self, x, y)
        self._found.fed = x
        try:
            check = partial(check_finite_weights, self.backbone, self.head)
            with joined(arguments, check) as arguments, together(self):
                return self._fit(x, arguments)
        finally:
            self._found.fed = None

    @property
    def fed(self) -> Any:
        """What is fitted on, as `fit` was given it; None outside `fit`."""
        return self._found.fed

    def _fit(self, x: Any, arguments: dict[str, Any]) -> Any:
        if self.terms:
            epochs = int(arguments.get("epochs", 1))
            told = with_clock(arguments.get("callbacks"), self, partial(self._at_epoch, epochs))
            arguments = {**arguments, "callbacks": told}
        if not hasattr(x, "set_epoch"):
            check = partial(check_first_labels, self.head, self.sample_loss)
            with first_batch_checked(x, check) as data, self._fewer_at_the_end():
                return super().fit(**{**arguments, "x": data})
        callbacks = with_clock(arguments.get("callbacks"), self, x.set_epoch)
        with self._fewer_at_the_end():
            return super().fit(**{**arguments, "callbacks": callbacks, "shuffle": False})

    def _at_epoch(self, epochs: int, epoch: int) -> None:
        for term in self.terms:
            term.at_epoch(epoch, epochs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.evaluate`.

        Raises:
            ValueError: if an input is NaN or infinite. What is read batch by batch is not looked
                at.
        """
        x = on_host(x)
        if not kwargs.get("_use_cached_eval_dataset"):  # of `fit`, once per epoch
            check_finite(x)
        with self._fewer_at_the_end():
            found = super().evaluate(x, *args, **kwargs)
        return of_all_shares(self, isinstance(found, dict)) if is_share(x) else found

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.predict`.

        Raises:
            ValueError: as `evaluate`.
        """
        x = on_host(x)
        check_finite(x)
        with self._fewer_at_the_end():
            return super().predict(x, *args, **kwargs)

    def train_on_batch(self, x: Any, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.train_on_batch`; the first one after `compile` has its labels checked.

        Raises:
            ValueError: as `fit`.
        """
        if not self._found.labels:
            check_samples(x)
            check_first_labels(self.head, self.sample_loss, y)
            self._found.labels = True
        self.step_parts.warn_of_missing()
        make_variables(self, None, y)
        with together(self, known=self._found.together):
            self._found.together = True
            return super().train_on_batch(x, y, *args, **kwargs)
