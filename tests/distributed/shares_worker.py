"""One process's part in what several do together outside the steps."""

from typing import Any

import keras
import numpy as np

import keras_ccsam as cc
from keras_ccsam import backend, processes
from keras_ccsam.data.batches.reading import predicted
from keras_ccsam.second_stage import nearest_class_mean
from keras_ccsam.second_stage.feature_store import FeatureStore


def model_of(data: Any) -> Any:
    keras.utils.set_random_seed(1)
    inputs = keras.Input(data.image_shape)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(5, 3)(inputs))
    model = cc.SharpnessAwareModel(keras.Model(inputs, x), keras.layers.Dense(3))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def agreement(index: int) -> None:
    assert processes.told(f"of {index}") == "of 0"
    with processes.agreed():
        pass
    try:
        with processes.agreed():
            if index == 1:
                raise ValueError("of process 1")
    except ValueError as error:
        assert index == 1 and str(error) == "of process 1"
    except processes.FailedElsewhere as error:
        assert index != 1 and "process 1 failed" in str(error) and error.exit_code == 2
    else:
        raise AssertionError("nobody was told")
    asked = processes.Agreement()
    assert asked.at_step(lambda: True, now=True) == (None, True)  # as process 0 says
    processes.stopping._asked = "SIGTERM" if index == 1 else None
    steps = 0
    while not asked.at_step(lambda: False)[0]:
        steps += 1
    assert processes.told(str(steps)) == str(steps) and steps < 10
    processes.stopping._asked = None


def passes(folder: str) -> None:
    """What all processes pass together is what one passes alone."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(23, 6, 6, 1)).astype("float32")
    data = cc.data.from_arrays(x, np.arange(23) % 3, x_test=x[:2], y_test=[0, 1])
    model = model_of(data)
    logits = np.concatenate([_alone(model, x[i : i + 1]) for i in range(len(x))])
    for count in (23, 2, 1):  # also fewer than there are processes
        np.testing.assert_allclose(predicted(model, x[:count], 4), logits[:count], atol=1e-5)
    report = cc.evaluate(model, (x, data.y_train), data.class_counts)
    expected = cc.metrics.Report.from_predictions(data.y_train, logits, data.class_counts)
    np.testing.assert_array_equal(report.confusion, expected.confusion)
    np.testing.assert_allclose(report.nll, expected.nll, atol=1e-6)
    store = FeatureStore(model.backbone, folder)
    for computed, found in ((1, 0), (1, 1)):
        features = store.features(x)
        assert (store.computed, store.found) == (computed, found)
        backend.barrier()  # process 0 has written them
    assert features.shape == (23, 5)
    if keras.backend.backend() == "torch":  # on JAX a step sees the whole batch
        _metrics(model, data, logits)
    nearest_class_mean(model, data.train)
    kernel = np.asarray(keras.ops.convert_to_numpy(model.head.kernel))
    np.testing.assert_array_equal(backend.broadcast_host(kernel), kernel)


def _alone(model: Any, x: np.ndarray) -> np.ndarray:
    values = [
        [np.asarray(keras.ops.convert_to_numpy(v)) for v in group]
        for group in (model.trainable_variables, model.non_trainable_variables)
    ]
    return keras.ops.convert_to_numpy(model.stateless_call(*values, x, training=False)[0])


def _metrics(model: Any, data: Any, logits: np.ndarray) -> None:
    """Keras' own evaluation counts every sample once, whatever a process has seen."""
    y = data.y_train
    right = float(np.mean(logits.argmax(-1) == y))
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    loss = float(-np.mean(logs[np.arange(len(y)), y]))
    batches = data.batches(batch_size=5, sampler="sequential", augment=())
    found = model.evaluate(batches, verbose=0, return_dict=True)
    assert abs(found["accuracy"] - right) < 1e-6, (found, right)
    assert abs(found["loss"] - loss) < 1e-5, (found, loss)
    assert model.evaluate(batches, verbose=0) == list(found.values())


def main(folder: str) -> None:
    assert backend.join_processes()
    agreement(backend.process_index())
    passes(folder)
    print("together")
