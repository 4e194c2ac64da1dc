"""Weight averaging against the weights that another callback recorded."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.callbacks import WeightAveraging, first_epoch
from tests.support import batch_norm_inputs, batch_norm_model, toy_batches


def as_numpy(variables):
    return [np.array(ops.convert_to_numpy(v.value)) for v in variables]


class Record(keras.callbacks.Callback):
    """The trainable weights at each epoch's end."""

    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(as_numpy(self.model.trainable_variables))


@pytest.fixture
def data():
    x, y = toy_batches(50)
    return cc.data.from_arrays(x, y)


def compiled():
    model = batch_norm_model(dropout=0.5)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    return model


def mean_of(epochs):
    return [np.mean(np.asarray(w, "float64"), axis=0) for w in zip(*epochs, strict=True)]


def test_fit_ends_at_the_mean_with_statistics_of_its_own(data):
    model, train, record = compiled(), data.batches(batch_size=25, mixup=1.0), Record()
    averaging = WeightAveraging(train, start=0.5)
    model.fit(train, epochs=4, verbose=0, callbacks=[record, averaging])
    assert averaging.count == 2 and train.epoch == 4

    expected = mean_of(record.epochs[2:])
    weights = as_numpy(model.trainable_variables)
    for actual, average, wanted in zip(weights, averaging.average, expected, strict=True):
        assert average.dtype == np.float64
        np.testing.assert_allclose(average, wanted, rtol=1e-12, atol=1e-12)
        np.testing.assert_array_equal(actual, wanted.astype("float32"))
    # Neither the last epoch's weights nor the mean of all epochs.
    for wrong in (record.epochs[-1], mean_of(record.epochs)):
        assert max(np.abs(a - b).max() for a, b in zip(weights, wrong, strict=True)) > 1e-4

    # The batches of the last epoch, mixed as in training, at the averaged weights.
    norm = model.backbone.get_layer("norm")
    moving = as_numpy([norm.moving_mean, norm.moving_variance])
    train.set_epoch(3)
    seen = [batch_norm_inputs(model, train[step][0]) for step in range(len(train))]
    wanted = np.mean([[s.mean((0, 1, 2)), s.var((0, 1, 2))] for s in seen], axis=0)
    np.testing.assert_allclose(moving, wanted, rtol=2e-5, atol=2e-6)
    # A further fit goes on from there: JAX keeps a second copy of the state while it fits.
    model.optimizer.learning_rate.assign(0.0)
    for variable in model.optimizer.variables[2:]:
        variable.assign(ops.zeros_like(variable.value))
    model.fit(train, epochs=1, verbose=0)
    for old, new in zip(weights, as_numpy(model.trainable_variables), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_optimizer_and_the_seeds_stay(data):
    model, train = compiled(), data.batches(batch_size=25)

    class Last(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            trained = {id(v) for v in self.model.trainable_variables}
            norm = self.model.backbone.get_layer("norm")
            trained |= {id(norm.moving_mean), id(norm.moving_variance)}
            self.others = [
                *(v for v in self.model.variables if id(v) not in trained),
                *self.model.optimizer.variables,
            ]
            self.values = as_numpy(self.others)

    last = Last()
    model.fit(train, epochs=2, verbose=0, callbacks=[last, WeightAveraging(train, 0)])
    assert any("seed" in v.path for v in last.others)
    for old, new in zip(last.values, as_numpy(last.others), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("augment", [(), pytest.param(("flip",), marks=pytest.mark.any_backend)])
def test_a_second_stage_averages_its_head_alone(data, augment):
    model, train, record = compiled(), data.batches(batch_size=25), Record()
    model.fit(train, epochs=1, verbose=0)
    backbone = as_numpy(model.backbone.variables)
    averaging = WeightAveraging(train, start=1)
    stage2 = cc.second_stage.Retraining(epochs=3, augment=augment)
    stage2.run(model, train, callbacks=[record, averaging])
    assert averaging.count == 2 and len(averaging.average) == 2
    head = zip(as_numpy(model.head.variables), mean_of(record.epochs[1:]), strict=True)
    for actual, wanted in head:
        np.testing.assert_array_equal(actual, wanted.astype("float32"))
    assert np.abs(record.epochs[1][0] - record.epochs[2][0]).max() > 1e-5
    for old, new in zip(backbone, as_numpy(model.backbone.variables), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.any_backend
def test_a_run_that_stops_before_the_start_keeps_its_weights(data):
    model, train, record = compiled(), data.batches(batch_size=25), Record()

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    averaging = WeightAveraging(train)
    averaging.average, averaging.count = [np.zeros(1)], 3  # of an earlier fit
    model.fit(train, epochs=4, verbose=0, callbacks=[record, averaging, Stop()])
    assert averaging.count == 0 and averaging.average is None
    for old, new in zip(record.epochs[0], as_numpy(model.trainable_variables), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize(
    ("start", "epochs", "first"),
    [(0.75, 200, 150), (0.75, 10, 7), (0.29, 100, 29), (0.75, 1, 0), (0, 3, 0), (2, 3, 2)],
)
def test_the_first_epoch(start, epochs, first):
    assert first_epoch(start, epochs) == first


@pytest.mark.parametrize("start", [0.0, 1.0, -0.5, 1.5, -1, True, "late", float("nan")])
def test_a_start_that_is_neither_share_nor_epoch(data, start):
    with pytest.raises(ValueError, match=f"start={start!r}"):
        WeightAveraging(data.train, start)


def test_a_start_that_fit_does_not_reach(data):
    model = compiled()
    before = as_numpy(model.trainable_variables)
    with pytest.raises(ValueError, match=r"end of the 3 epochs.*start=3"):
        model.fit(data.train, epochs=3, verbose=0, callbacks=[WeightAveraging(data.train, 3)])
    for old, new in zip(before, as_numpy(model.trainable_variables), strict=True):
        np.testing.assert_array_equal(old, new)


def test_training_data_are_needed_for_the_pass():
    with pytest.raises(ValueError, match="train=ndarray"):
        WeightAveraging(np.zeros(3))
    assert WeightAveraging(None, recompute_batch_norm=False).train is None
