"""Keras' own `fit` takes a `BatchSequence` on every backend."""

import keras
import numpy as np
import pytest

import keras_ccsam.data as ccdata


def classifier(data):
    model = keras.Sequential(
        [
            keras.layers.Input(data.image_shape),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            keras.layers.Dense(data.num_classes),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return model


class SetEpoch(keras.callbacks.Callback):
    """What a trainer does: it names the epoch before the first batch is asked for."""

    def __init__(self, sequence):
        super().__init__()
        self.sequence = sequence

    def on_epoch_begin(self, epoch, logs=None):
        self.sequence.set_epoch(epoch)


class Recorded(ccdata.BatchSequence):
    """Notes the epoch and step of each batch that is made, however it is asked for."""

    def __init__(self, *args):
        self.seen = []
        super().__init__(*args)

    def _batch(self, epoch, step):
        self.seen.append((epoch, step))
        return super()._batch(epoch, step)


@pytest.fixture(scope="module")
def data():
    return ccdata.load("digits-lt", imbalance_ratio=10, validation_fraction=0.1)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("named", [True, False])
def test_each_epoch_reads_its_own_batches(data, workers, named):
    train = Recorded(data, "train", data.batches(batch_size=100, workers=workers).options)
    callbacks = [SetEpoch(train)] if named else []
    classifier(data).fit(train, epochs=3, shuffle=False, verbose=0, callbacks=callbacks)
    steps = len(train)
    wanted = [(epoch, step) for epoch in range(3) for step in range(steps)]
    # Keras reads a few batches beforehand to learn their shapes.
    counted = {key: train.seen.count(key) for key in set(train.seen)}
    assert set(wanted) <= set(counted)
    assert all(counted[key] == 1 for key in wanted if key[0] > 0)
    assert set(counted) - set(wanted) == set()
    if workers == 1:
        assert train.seen[-len(wanted) :] == wanted


def test_fit_evaluate_predict(data):
    model = classifier(data)
    history = model.fit(
        data.batches(batch_size=64),
        epochs=4,
        shuffle=False,
        validation_data=data.validation,
        verbose=0,
    )
    assert history.history["loss"][-1] < history.history["loss"][0]
    scores = model.evaluate(data.test, verbose=0, return_dict=True)
    logits = model.predict(data.test, verbose=0)
    assert logits.shape == (500, 10)
    accuracy = np.mean(logits.argmax(axis=1) == data.y_test)
    assert scores["accuracy"] == pytest.approx(accuracy, abs=1e-6)


def test_mixed_labels_reach_the_loss(data):
    """The dictionary of mixup is constant in structure and type, the last batch included."""

    class Mixed(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(10)

        def call(self, x):
            return self.dense(keras.layers.Flatten()(x / 255.0))

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            loss = keras.losses.sparse_categorical_crossentropy
            first = loss(y["labels"], y_pred, from_logits=True)
            second = loss(y["second_labels"], y_pred, from_logits=True)
            return keras.ops.mean(y["mix"] * first + (1 - y["mix"]) * second)

    model = Mixed()
    model.compile(optimizer="adam")
    train = data.batches(batch_size=100, mixup=1.0)
    history = model.fit(train, epochs=3, shuffle=False, verbose=0)
    assert len(train.arrays()[1]) % 100
    assert history.history["loss"][-1] < history.history["loss"][0]
