"""Weights from files on this machine."""

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam import models


def small(seed, **options):
    keras.utils.set_random_seed(seed)
    return models.SmallCNN((8, 8, 1), width=2, features=3, **options)


def classifier(network):
    inputs = keras.Input((8, 8, 1))
    return keras.Model(inputs, keras.layers.Dense(4)(network(inputs)))


@pytest.mark.parametrize("kind", ["weights", "network", "classifier", "run"])
def test_a_network_takes_the_weights_of_a_file(kind, tmp_path):
    source, target = small(0), small(1)
    file = tmp_path / ("net.weights.h5" if kind == "weights" else "net.keras")
    if kind == "weights":
        source.save_weights(file)
    elif kind == "network":
        source.save(file)
    elif kind == "classifier":
        classifier(source).save(file)
    else:
        model = cc.SharpnessAwareModel(source, keras.layers.Dense(4))
        model.export_plain().save(file)
    assert models.load_weights(target, file) is target
    for one, other in zip(source.get_weights(), target.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_an_application_takes_a_file_and_scales_pixels(tmp_path):
    keras.utils.set_random_seed(0)
    options = {"include_top": False, "weights": None, "input_shape": (32, 32, 3), "alpha": 0.25}
    network = keras.applications.MobileNet(pooling="avg", **options)
    network.save_weights(tmp_path / "mobile.weights.h5")
    model = models.build(
        "MobileNet", (32, 32, 3), alpha=0.25, weights=str(tmp_path / "mobile.weights.h5")
    )
    x = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("uint8")
    expected = network.predict(
        keras.applications.mobilenet.preprocess_input(x.astype("float32")), verbose=0
    )
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_other_weights_are_refused_and_nothing_is_changed(tmp_path):
    keras.utils.set_random_seed(0)
    models.SmallCNN((8, 8, 1), width=4, features=3).save(tmp_path / "wide.keras")
    models.SmallCNN((8, 8, 1), width=4, features=3).save_weights(tmp_path / "wide.weights.h5")
    (tmp_path / "broken.keras").write_bytes(b"PK no archive")
    (tmp_path / "broken.weights.h5").write_bytes(b"no HDF5")
    (tmp_path / "notes.txt").write_text("none")
    spoilt = small(2)
    spoilt.set_weights([np.full(w.shape, np.nan) for w in spoilt.get_weights()])
    spoilt.save_weights(tmp_path / "spoilt.weights.h5")
    network = small(1)
    before = network.get_weights()
    said = {
        "wide.keras": r"conv1/kernel.*\(3, 3, 1, 2\).*\(3, 3, 1, 4\)",
        "wide.weights.h5": "not those of this network",
        "broken.keras": "damaged",
        "broken.weights.h5": "damaged",
        "spoilt.weights.h5": "NaN or infinity",
        "notes.txt": "ends in .weights.h5, .keras or .h5",
        "wid.keras": "did you mean 'wide.keras'",
    }
    for name, message in said.items():
        with pytest.raises(ValueError, match=message) as told:
            models.load_weights(network, tmp_path / name)
        assert "\n" not in str(told.value) and "Received: weights=" in str(told.value)
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
