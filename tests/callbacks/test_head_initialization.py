"""Heads that begin at class means, or at embeddings from a file."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc

NAMES = ("cat", "dog", "emu")


def data():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), (9, 5, 2))
    x = (rng.normal(size=(16, 4, 4, 1)) + y[:, None, None, None]).astype("float32")
    return cc.data.from_arrays(x, y, class_names=NAMES, imbalance_ratio=None)


def model(head):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4, 4, 1))
    x = keras.layers.Dense(6, activation="tanh")(keras.layers.Flatten()(inputs))
    made = cc.SharpnessAwareModel(cc.models.freeze(keras.Model(inputs, x)), head)
    # A rate of zero: the head stays where it begins.
    made.compile(keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy")
    return made


def heads():
    return [cc.heads.Cosine(3), keras.layers.Dense(3), keras.layers.Dense(3, use_bias=False)]


@pytest.mark.parametrize("index", range(3))
def test_it_begins_at_the_class_means(index):
    found, made = data(), model(heads()[index])
    made.fit(found.train, epochs=1, callbacks=[cc.callbacks.HeadInitialization(found.train)])
    features = ops.convert_to_numpy(made.backbone(found.x_train)).astype("float64")
    for label in range(3):
        mean = np.zeros(6)
        rows = [row for row, y in enumerate(found.y_train) if y == label]
        for row in rows:
            mean += features[row] / len(rows)
        np.testing.assert_allclose(
            ops.convert_to_numpy(made.head.kernel)[:, label],
            mean / np.sqrt((mean**2).sum()),
            rtol=1e-4,
            atol=1e-5,
        )
    if getattr(made.head, "use_bias", False):
        np.testing.assert_array_equal(ops.convert_to_numpy(made.head.bias), np.zeros(3))


def test_it_begins_at_embeddings_by_name(tmp_path):
    vectors = np.random.default_rng(1).normal(size=(4, 6))
    order = ["emu", "cat", "ape", "dog"]
    np.savez(tmp_path / "text.npz", embeddings=vectors, class_names=np.array(order))
    found, made = data(), model(cc.heads.Cosine(3))
    start = cc.callbacks.HeadInitialization(found.train, str(tmp_path / "text.npz"))
    made.fit(found.train, epochs=1, verbose=0, callbacks=[start])
    expected = np.stack([vectors[order.index(name)] for name in NAMES])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(ops.convert_to_numpy(made.head.kernel), expected.T, rtol=1e-5)


def test_a_training_that_goes_on_is_left_alone():
    found, made = data(), model(cc.heads.Cosine(3))
    made.fit(found.train, epochs=1, verbose=0)
    before = ops.convert_to_numpy(made.head.kernel)
    start = cc.callbacks.HeadInitialization(found.train)
    made.fit(found.train, epochs=1, verbose=0, callbacks=[start])
    np.testing.assert_array_equal(before, ops.convert_to_numpy(made.head.kernel))


def test_a_file_that_does_not_fit_is_refused(tmp_path):
    train = data().train
    good = np.ones((3, 6))
    files = {
        "lacks": ({"vectors": good}, "an array 'embeddings'"),
        "short": ({"embeddings": good[:2]}, "of the 3 classes"),
        "named": ({"embeddings": good, "class_names": ["cat", "dog", "ape"]}, "such as 'emu'"),
        "nan": ({"embeddings": good * np.nan}, "finite"),
        "zero": ({"embeddings": good * 0}, "no direction"),
    }
    for name, (arrays, message) in files.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        with pytest.raises(ValueError, match=f"{message}.*Received: embeddings="):
            cc.callbacks.HeadInitialization(train, str(tmp_path / f"{name}.npz"))
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("text.npz", "absent.npz"):
        with pytest.raises(ValueError, match="must be an npz file"):
            cc.callbacks.HeadInitialization(train, str(tmp_path / name))
    np.savez(tmp_path / "long.npz", embeddings=np.ones((3, 7)))
    start = cc.callbacks.HeadInitialization(train, str(tmp_path / "long.npz"))
    with pytest.raises(ValueError, match="as long as the features, 6"):
        model(cc.heads.Cosine(3)).fit(train, epochs=1, verbose=0, callbacks=[start])
