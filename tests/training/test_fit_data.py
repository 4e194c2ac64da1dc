"""What users give to `fit`: labels of all kinds, several inputs, callbacks of their own."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from tests.support import COUNTS, toy_batches


def model(loss="categorical_crossentropy", **kwargs):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    backbone = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    made = cc.CCSAM(backbone, class_counts=COUNTS, radius_scale=0.1, **kwargs)
    made.compile("sgd", loss, metrics=["accuracy"])
    return made


class Batches(keras.utils.PyDataset):
    def __init__(self, x, y):
        super().__init__()
        self.x, self.y = x, y

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.x, self.y


class NoBatches(Batches):
    def __len__(self):
        return 0


@pytest.mark.parametrize(
    ("wrap", "received"),
    [
        (lambda x, y: (x, y), r"x\.shape=\(0, 6, 6, 2\)"),
        (lambda x, y: (ops.convert_to_tensor(x), y), r"x\.shape=\(0, 6, 6, 2\)"),
        (lambda x, y: ([x], y), r"x\.shape=\(0, 6, 6, 2\)"),
        (lambda x, y: (x,), r"x\.shape=\(0, 6, 6, 2\)"),
        (lambda x, y: (NoBatches(x, y),), "x=NoBatches of length 0"),
    ],
    ids=["arrays", "a tensor", "a list", "without labels", "a PyDataset"],
)
def test_no_sample_is_refused_in_our_own_words(wrap, received):
    x, y = toy_batches(12)
    with pytest.raises(ValueError, match=f"there is nothing to train on.*Received: {received}"):
        model("sparse_categorical_crossentropy").fit(*wrap(x[:0], y[:0]), verbose=0)


def test_a_first_batch_without_a_sample_is_refused():
    x, y = toy_batches(12)
    with pytest.raises(ValueError, match="there is nothing to train on"):
        model("sparse_categorical_crossentropy").train_on_batch(x[:0], y[:0])


@pytest.mark.parametrize("wrap", [lambda x, y: (x, y), lambda x, y: (Batches(x, y),)])
def test_several_ones_per_row_are_refused(wrap):
    x, y = toy_batches(12)
    several = np.eye(5, dtype="float32")[y]
    several[7, :3] = 1.0
    with pytest.raises(ValueError, match=r"one class.*multi-label.*labels\[7\]=\[1, 1, 1, "):
        model().fit(*wrap(x, several), verbose=0)
    none = np.eye(5, dtype="float32")[y]
    none[3] = 0.0
    with pytest.raises(ValueError, match=r"one-hot.*labels\[3\]=\[0, 0, 0, 0, 0\]"):
        model("binary_crossentropy").fit(*wrap(x, none), verbose=0)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x, y: (x, y),
        pytest.param(lambda x, y: (Batches(x, y),), marks=pytest.mark.any_backend),
    ],
)
def test_one_hot_and_smoothed_rows_are_welcome(wrap):
    x, y = toy_batches(12)
    one_hot = np.eye(5)[y]
    made = model()
    for rows in (one_hot, one_hot.astype("int64"), one_hot * 0.9 + 0.02):
        for kind in ("float16", "float32"):
            made.fit(*wrap(x, rows.astype(kind)), verbose=0)
    smoothed = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    model(smoothed).fit(*wrap(x, one_hot), verbose=0)


def functional(kind):
    image, side = keras.Input((6, 6, 2), name="image"), keras.Input((3,), name="side")
    features = keras.layers.Concatenate()([keras.layers.GlobalAveragePooling2D()(image), side])
    inputs = {"image": image, "side": side} if kind == "dict" else [image, side]
    return keras.Model(inputs, keras.layers.Dense(4, activation="tanh")(features))


class Subclassed(keras.Model):
    """Built when it is first called."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.dense = kind, keras.layers.Dense(4, activation="tanh")

    def call(self, inputs, training=None):
        image, side = inputs.values() if self.kind == "dict" else inputs
        return self.dense(ops.concatenate([ops.mean(image, axis=(1, 2)), side], axis=-1))


def several(kind, samples=24):
    x, y = toy_batches(samples)
    side = np.random.default_rng(1).normal(size=(samples, 3)).astype("float32")
    return ({"image": x, "side": side} if kind == "dict" else [x, side]), y


@pytest.mark.parametrize(
    ("kind", "make", "perturb"),
    [
        ("dict", functional, "all"),
        pytest.param("list", functional, "head", marks=pytest.mark.any_backend),
        pytest.param("dict", Subclassed, "head", marks=pytest.mark.any_backend),
        ("list", Subclassed, "all"),
    ],
)
def test_several_inputs(kind, make, perturb, tmp_path):
    x, y = several(kind)
    keras.utils.set_random_seed(0)
    ours = cc.CCSAM(make(kind), class_counts=COUNTS, radius_scale=0.1, perturb=perturb)
    ours.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
    history = ours.fit(x, y, batch_size=12, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
    report = cc.evaluate(ours, (x, y), COUNTS)
    assert report.num_samples == 24
    cc.second_stage.nearest_class_mean(ours, (x, y))
    if make is functional:
        ours.save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        loaded.fit(x, y, verbose=0)
        np.testing.assert_allclose(
            ops.convert_to_numpy(ours.export_plain()(x)), ops.convert_to_numpy(ours(x)), atol=1e-6
        )


@pytest.mark.any_backend
def test_from_model_keeps_the_inputs_as_they_are():
    x, y = several("dict")
    backbone = functional("dict")
    network = keras.Model(backbone.input, keras.layers.Dense(5)(backbone.output))
    ours = cc.CCSAM.from_model(network, COUNTS)
    ours.compile("sgd", "sparse_categorical_crossentropy")
    ours.fit(x, y, verbose=0)
    np.testing.assert_allclose(
        ops.convert_to_numpy(ours(x)), ops.convert_to_numpy(network(x)), atol=1e-6
    )


class Seen(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append(epoch)


@pytest.mark.any_backend
@pytest.mark.parametrize("kind", ["list", "nested", "CallbackList", "one"])
def test_any_callbacks_with_a_sequence_and_none_grows(kind):
    x, y = toy_batches(30)
    data = cc.data.from_arrays(x, y)
    batches = data.train.with_options(batch_size=10)
    ours, seen = model("sparse_categorical_crossentropy"), Seen()
    given = {
        "list": lambda: [seen],
        "nested": lambda: [[seen], []],
        "CallbackList": lambda: keras.callbacks.CallbackList(
            [seen], add_history=True, model=ours, epochs=5
        ),
        "one": lambda: seen,
    }[kind]()
    inside = given.callbacks if kind == "CallbackList" else given
    before = list(inside) if kind != "one" else None
    told = []
    batches.set_epoch = lambda epoch: told.append(epoch)
    history = ours.fit(batches, epochs=5, initial_epoch=3, verbose=0, callbacks=given)
    assert told == seen.epochs == [3, 4]
    assert len(history.history["loss"]) == 2
    if kind != "one":
        assert list(inside) == before
        # A second fit sees neither an old clock nor two.
        ours.fit(batches, epochs=1, verbose=0, callbacks=given)
        assert told == [3, 4, 0] and list(inside) == before


def cosine_model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    features = keras.layers.Dense(6, activation="tanh")(keras.layers.Flatten()(inputs))
    head = cc.heads.Cosine(5, scale=1.0)
    return cc.CCSAM(keras.Model(inputs, features), class_counts=COUNTS, head=head)


@pytest.mark.any_backend
@pytest.mark.parametrize("compiled", [True, False])
def test_the_scale_of_a_second_loss_is_saved(compiled, tmp_path):
    x, y = toy_batches(60)
    data = cc.data.from_arrays(x, y)
    ours = cosine_model()
    ours.compile("sgd", cc.losses.GCL(data.class_counts, scale=30.0))
    second = cc.losses.GCL(data.class_counts, scale=20.0, margin=0.1)
    stage2 = cc.callbacks.ClassifierRetraining(data.train, epochs=1, loss=second)
    ours.fit(data.train, verbose=0, callbacks=[stage2])
    assert ours.logit_scale == 20.0
    ours.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=compiled)
    assert loaded.logit_scale == 20.0
    expected, found = (cc.evaluate(each, data.train) for each in (ours, loaded))
    assert found.nll == pytest.approx(expected.nll, abs=1e-6)
    assert found.ece == pytest.approx(expected.ece, abs=1e-6)
    # Trained on, it is the new loss's.
    loaded.compile("sgd", cc.losses.LDAM(data.class_counts, scale=10.0))
    loaded.fit(data.train, verbose=0)
    assert loaded.logit_scale == 10.0


@pytest.mark.parametrize(
    "counts",
    [{0: 40, 1: 9, 2: 3}, "abc", ["40", "9"], [[40, 9], [3]], None, [None, 3], [True, False]],
)
def test_class_counts_of_another_type_are_called_that(counts):
    with pytest.raises(ValueError, match=r"list of whole numbers.*Received: class_counts="):
        cc.losses.LDAM(counts)


def test_something_else_than_a_model_or_data_is_named():
    for wrong in ("x", None, 3):
        with pytest.raises(ValueError, match=r"Keras classifier.*Received: model="):
            cc.CCSAM.from_model(wrong, COUNTS)
        with pytest.raises(ValueError, match=r"Keras classifier.*Received: model="):
            cc.evaluate(wrong, toy_batches(10), COUNTS)
        with pytest.raises(ValueError, match=r"BatchSequence, or a pair.*Received: data="):
            cc.evaluate(model(), wrong, COUNTS)


@pytest.mark.parametrize("way", ["fit", "fit of batches", "train_on_batch"])
def test_a_model_that_is_not_compiled_says_so(way):
    x, y = toy_batches(8)
    model = cc.CCSAM(keras.Sequential([keras.layers.Flatten()]), class_counts=COUNTS)
    train = {
        "fit": lambda: model.fit(x, y, verbose=0),
        "fit of batches": lambda: model.fit(cc.data.from_arrays(x, y).train, verbose=0),
        "train_on_batch": lambda: model.train_on_batch(x, y),
    }[way]
    for build in (lambda: None, lambda: model(x)):
        build()
        with pytest.raises(ValueError, match=r"You must call `compile\(\)`"):
            train()
