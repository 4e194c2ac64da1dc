"""Image files are trained on, evaluated and looked at as the array of the same images would be."""

import threading
import time

import keras
import numpy as np
import pytest

import keras_ccsam as cc
import keras_ccsam.data as ccdata
from keras_ccsam.analysis.digest import digest
from keras_ccsam.callbacks import BoundTracker, RadiusLog
from keras_ccsam.data import ImageFiles, ImageStore, UnreadableImage
from keras_ccsam.data.batches import reading
from keras_ccsam.data.batches.prefetch import Prefetcher
from keras_ccsam.second_stage import Retraining
from keras_ccsam.second_stage.features import extract_features


@pytest.fixture
def files(folder):
    root, names, labels = folder()
    store = ImageFiles(names, root, size=16)
    return ccdata.from_arrays(store, labels, test_fraction=0.2, validation_fraction=0.1)


@pytest.fixture
def arrays(files):
    return ccdata.from_arrays(
        np.asarray(files.x_train),
        files.y_train,
        np.asarray(files.x_test),
        files.y_test,
    )


def network(data):
    keras.utils.set_random_seed(0)
    inputs = keras.Input(data.image_shape)
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(x)
    outputs = keras.layers.Dense(data.num_classes)(keras.layers.GlobalAveragePooling2D()(x))
    model = cc.CCSAM.from_model(keras.Model(inputs, outputs), class_counts=data.class_counts)
    model.compile(keras.optimizers.SGD(0.5), loss="sparse_categorical_crossentropy")
    return model


@pytest.mark.any_backend
def test_parts_are_cut_without_reading(files):
    parts = [files.x_train, files.x_validation, files.x_test]
    assert all(isinstance(part, ImageStore) for part in parts)
    paths = [path for part in parts for path in part.paths]
    assert len(paths) == len(set(paths)) == 40
    for part, labels in zip(parts, [files.y_train, files.y_validation, files.y_test], strict=True):
        assert [int(path[0]) for path in part.paths] == labels.tolist()


@pytest.mark.any_backend
@pytest.mark.parametrize("workers", [1, 3, "auto"])
def test_batches_are_the_same_whatever_the_workers(files, workers):
    options = {"batch_size": 8, "mixup": 0.5, "seed": 3}
    expected, found = files.batches(**options, workers=1), files.batches(**options, workers=workers)
    for epoch in (1, 0):
        for sequence in (expected, found):
            sequence.set_epoch(epoch)
        for step in (2, 0, 1):
            (x, y), (other, labels) = expected[step], found[step]
            assert np.array_equal(x, other) and np.array_equal(y["labels"], labels["labels"])


def test_it_is_trained_both_stages_and_evaluated_on_this_backend(files, arrays):
    plain = {"batch_size": 8, "augment": ()}
    one, other = network(files), network(arrays)
    one.fit(files.batches(**plain), epochs=2, verbose=0, validation_data=files.validation)
    other.fit(arrays.batches(**plain), epochs=2, verbose=0)
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    for model, data in ((one, files), (other, arrays)):
        Retraining(epochs=2, batch_size=8).run(model, data.batches(**plain))
    found, expected = cc.evaluate(one, files.test), cc.evaluate(other, arrays.test)
    assert found.nll == pytest.approx(expected.nll, abs=1e-4)
    assert found.num_samples == len(files.y_test)
    # Random-resized crop is the default, and a first stage with it runs.
    network(files).fit(files.batches(batch_size=8), epochs=1, verbose=0)


@pytest.mark.any_backend
def test_features_and_predictions_are_those_of_the_array(files, arrays, monkeypatch):
    model = network(files)
    expected = extract_features(model, arrays.x_train)
    monkeypatch.setattr(reading, "_VALUES", 9 * 16 * 16 * 3)  # several pieces
    found = extract_features(model, files.x_train)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert reading.batch_size_for(files.x_train, 128) == 9
    assert reading.batch_size_for(arrays.x_train, 128) == 128


@pytest.mark.any_backend
def test_what_looks_at_a_trained_model_sees_the_same(files, arrays):
    model = network(files)
    assert digest([files.x_train]) == digest([arrays.x_train])
    both = [
        cc.analysis.sharpness(model, data.train, data.class_counts, hessian="none").table()
        for data in (files, arrays)
    ]
    assert both[0] == both[1]
    options = {"points": 3, "dimensions": 1, "limit": 20}
    found, expected = (
        cc.analysis.landscape(model, data.train, **options) for data in (files, arrays)
    )
    np.testing.assert_allclose(found.loss("overall"), expected.loss("overall"), rtol=1e-5)


@pytest.mark.any_backend
def test_recorders_read_files(files, arrays):
    columns = []
    for data in (files, arrays):
        recorders = [
            BoundTracker(data.class_counts, data.train, data.test),
            RadiusLog(data.class_counts, data.train, weights="all"),
        ]
        model = network(data)
        for recorder in recorders:
            recorder.set_model(model)
            recorder.on_train_begin()
            recorder.on_epoch_end(0)
        columns.append([recorder.values for recorder in recorders])
    for found, expected in zip(*columns, strict=True):
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4)


@pytest.mark.any_backend
def test_a_file_that_breaks_stops_training_with_its_name(files, tmp_path):
    path = files.x_train.path(3)
    with open(path, "wb") as file:
        file.write(b"no image")
    with pytest.raises(UnreadableImage, match=r"Received: file='") as error:
        for step in range(len(train := files.batches(batch_size=8, workers=2))):
            train[step]
    assert error.value.file == path
    with pytest.raises(UnreadableImage):
        network(files).predict(files.batches(augment=()), verbose=0)


@pytest.mark.any_backend
def test_at_most_so_many_batches_are_held_in_memory(files):
    made, lock = [], threading.Lock()

    def compute(epoch, step):
        with lock:
            made.append(step)
        return step

    ahead = Prefetcher(compute, 2)
    assert ahead.get(0, 0, 1000) == 0
    time.sleep(0.2)
    assert sorted(made) == [0, 1, 2, 3, 4]
    ahead.close()
