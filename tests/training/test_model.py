"""Building, splitting, saving and refusing."""

import dataclasses

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from tests.support import COUNTS, batch_norm_model, toy_batches


def classifier(activation=None):
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(5, activation=activation, name="top")(x))


@pytest.mark.parametrize(
    "activation", [pytest.param(None, marks=pytest.mark.any_backend), "softmax"]
)
def test_from_model_shares_layers_and_trains(activation):
    model = classifier(activation)
    x, y = toy_batches()
    before = ops.convert_to_numpy(model(x))
    ours = cc.CCSAM.from_model(model, class_counts=COUNTS, radius_scale=0.1)
    np.testing.assert_allclose(ops.convert_to_numpy(ours(x)), before, atol=1e-6)
    ours.compile(keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
    history = ours.fit(x, y, epochs=3, batch_size=12, verbose=0).history["loss"]
    assert history[-1] < history[0]
    after = ops.convert_to_numpy(model(x))
    assert np.abs(after - before).max() > 1e-3
    np.testing.assert_allclose(ops.convert_to_numpy(ours(x)), after, atol=1e-6)


def test_a_softmax_head_takes_the_same_step_as_logits():
    x, y = toy_batches(24)

    def weights(activation):
        keras.utils.set_random_seed(0)
        ours = cc.CCSAM.from_model(classifier(activation), class_counts=COUNTS, radius_scale=0.3)
        ours.compile(keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
        ours.fit(x, y, batch_size=12, shuffle=False, verbose=0)
        return ours.backbone.get_weights() + ours.head.get_weights()

    for a, b in zip(weights("softmax"), weights(None), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)


def sequential():
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(5)])


def no_dense():
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.ReLU()(inputs))


def two_outputs():
    inputs = keras.Input((4,))
    return keras.Model(inputs, [keras.layers.Dense(5)(inputs), keras.layers.Dense(5)(inputs)])


class Subclassed(keras.Model):
    def call(self, inputs):
        return inputs


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (sequential, "must be built"),
        (no_dense, r"must end in a keras.layers.Dense"),
        (two_outputs, "one output"),
        (Subclassed, "subclassed"),
    ],
)
def test_what_cannot_be_split_is_refused_with_the_reason(make, words):
    with pytest.raises(ValueError, match=words):
        cc.CCSAM.from_model(make(), class_counts=COUNTS)


def backbone():
    inputs = keras.Input((6, 6, 2))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"class_counts": None}, "numpy.bincount"),
        ({"class_counts": [5, 0, 3]}, "class 1 has 0"),
        ({"class_counts": [5]}, "at least two classes"),
        ({"class_counts": [5, 2.5]}, "class 1 has 2.5"),
        ({"class_counts": COUNTS, "num_classes": 4}, "4 classes; it has 5"),
        ({"class_counts": COUNTS, "radius_scale": -1.0}, "radius_scale=-1.0"),
        ({"class_counts": COUNTS, "flat_ratio": 1.5}, "flat_ratio=1.5"),
        ({"class_counts": COUNTS, "weight_decay": -1e-4}, "weight_decay=-0.0001"),
        (
            {"class_counts": COUNTS, "head": keras.layers.Dense(3)},
            "3 classes; it has 5",
        ),
        ({"class_counts": COUNTS, "head": keras.layers.ReLU()}, "`units`"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        cc.CCSAM(backbone(), **arguments)


def test_features_must_be_flat():
    inputs = keras.Input((6, 6, 2))
    images = keras.Model(inputs, keras.layers.ReLU()(inputs))
    with pytest.raises(ValueError, match="GlobalAveragePooling2D"):
        cc.CCSAM(images, class_counts=COUNTS)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (keras.losses.SparseCategoricalCrossentropy(), "from_logits=True"),
        (keras.losses.SparseCategoricalCrossentropy(True, reduction=None), "reduction=None"),
        (["mse", "mse"], "one loss"),
    ],
)
def test_losses_that_do_not_fit(loss, words):
    with pytest.raises(ValueError, match=words):
        cc.CCSAM(backbone(), class_counts=COUNTS).compile("sgd", loss)


def test_a_method_by_class_needs_a_loss_and_labels():
    x, y = toy_batches(12)
    model = batch_norm_model(cc.sharpness.ClassConditional(COUNTS))
    model.compile("sgd")
    with pytest.raises(Exception, match="needs labels, and a loss"):
        model.fit(x, y, verbose=0)
    plain = batch_norm_model()
    plain.compile("sgd")
    plain.fit(x, y, verbose=0)  # regularisers alone, as in Keras


def test_labels_out_of_range_are_named():
    x, y = toy_batches(12)
    model = cc.CCSAM(backbone(), class_counts=COUNTS)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"from 0 to 4.*=7"):
        model.fit(x, np.where(y == 0, 7, y), verbose=0)
    with pytest.raises(ValueError, match="5 columns"):
        model.fit(x, np.eye(6)[y], verbose=0)


def test_a_pattern_without_a_match_is_refused_when_compiled():
    with pytest.raises(ValueError, match="regular expression"):
        cc.CCSAM(classifier_backbone(), class_counts=COUNTS, perturb="(")
    model = cc.CCSAM(classifier_backbone(), class_counts=COUNTS, perturb="block9")
    with pytest.raises(ValueError, match=r"conv2d.*block9"):
        model.compile("sgd", "sparse_categorical_crossentropy")


def test_a_one_hot_label_and_a_sparse_loss_do_not_go_together():
    x, y = toy_batches(12)
    model = cc.CCSAM(backbone(), class_counts=COUNTS)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="categorical_crossentropy"):
        model.fit(x, np.eye(5)[y], verbose=0)


def test_a_method_is_an_object():
    with pytest.raises(ValueError, match="sharpness='sam'"):
        cc.SharpnessAwareModel(backbone(), keras.layers.Dense(5), "sam")


def test_evaluate_tells_probabilities_from_logits():
    x, y = toy_batches(40)
    reports = []
    for activation in (None, "softmax"):
        keras.utils.set_random_seed(0)
        reports.append(cc.evaluate(classifier(activation), (x, y), COUNTS))
    assert abs(reports[0].ece - reports[1].ece) < 1e-6
    assert abs(reports[0].nll - reports[1].nll) < 1e-5


def classifier_backbone():
    model = classifier()
    return keras.Model(model.inputs, model.layers[-1].input)


@pytest.mark.any_backend
@pytest.mark.parametrize("name", ["ccsam", "sam", "cosine", "erm"])
def test_save_and_load_goes_on_training_alike(name, tmp_path):
    method, head = {
        "ccsam": (cc.sharpness.ClassConditional(COUNTS, 0.3, 0.4), None),
        "sam": (cc.sharpness.SAM(0.1, adaptive=True), None),
        "cosine": (cc.sharpness.ClassConditional(COUNTS, 0.3), cc.heads.Cosine(5, scale=8.0)),
        "erm": (cc.sharpness.ERM(), None),
    }[name]
    x, y = toy_batches(24)
    model = batch_norm_model(method, head=head, weight_decay=1e-3)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=12, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded.sharpness) is type(model.sharpness)
    assert loaded.sharpness.get_config() == model.sharpness.get_config()
    assert loaded.weight_decay == model.weight_decay
    for each in (model, loaded):
        each.fit(x, y, batch_size=12, shuffle=False, verbose=0)
    for a, b in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(a), ops.convert_to_numpy(b), atol=1e-6, err_msg=a.path
        )


def test_ccsam_saves_as_itself_and_leaves_the_compiler_to_the_loader(tmp_path):
    x, y = toy_batches(12)
    model = cc.CCSAM(classifier_backbone(), class_counts=COUNTS, radius_scale=0.2)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    assert model.get_compile_config()["jit_compile"] == "auto"
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert isinstance(loaded, cc.CCSAM)
    assert loaded.sharpness.get_config() == model.sharpness.get_config()


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(None, marks=pytest.mark.any_backend),
        lambda: cc.heads.Cosine(5, scale=8.0),
    ],
)
def test_the_plain_export_predicts_alike(head, tmp_path):
    x, _ = toy_batches(12)
    model = cc.CCSAM(classifier_backbone(), class_counts=COUNTS, head=head and head())
    model.export_plain().save(tmp_path / "plain.keras")
    plain = keras.models.load_model(tmp_path / "plain.keras")
    assert not any(type(layer).__module__.startswith("keras_ccsam") for layer in plain.layers)
    np.testing.assert_allclose(
        ops.convert_to_numpy(plain(x)), ops.convert_to_numpy(model(x)), atol=1e-5
    )


class Recorded(cc.data.BatchSequence):
    """Remembers which batch of which epoch was asked for."""

    asked: list

    def __getitem__(self, index):
        self.asked.append((self.epoch, index))
        return super().__getitem__(index)


def test_fit_tells_a_sequence_its_epochs_in_order():
    x, y = toy_batches(30)
    batches = Recorded(cc.data.from_arrays(x, y))
    batches = Recorded(batches.data, "train", dataclasses.replace(batches.options, batch_size=12))
    batches.asked = []
    model = cc.CCSAM(classifier_backbone(), class_counts=COUNTS)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(batches, None, None, 5, 0, initial_epoch=3)
    expected = [(epoch, step) for epoch in (3, 4) for step in range(len(batches))]
    # Keras and the label check look at a batch or two of epoch 0 first.
    assert [pair for pair in batches.asked if pair[0] >= 3] == expected
    assert set(batches.asked) <= {*expected, (0, 0), (0, 1)}


def test_a_loss_on_logits_over_a_softmax_says_what_to_change():
    built = cc.SharpnessAwareModel(
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)]),
        keras.layers.Dense(2, activation="softmax"),
    )
    with pytest.raises(ValueError, match="leave the softmax out of the head"):
        built.compile("sgd", cc.losses.LogitAdjustment([5, 2]))


def test_a_method_in_the_place_of_the_head_is_refused():
    with pytest.raises(ValueError, match=r"`head` must be a Keras layer.*Received: head="):
        cc.SharpnessAwareModel(keras.layers.Flatten(), cc.sharpness.SAM(0.05))
