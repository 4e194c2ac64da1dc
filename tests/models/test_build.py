"""Backbones by name or from a model."""

import keras
import numpy as np
import pytest

from keras_ccsam import models
from keras_ccsam.hints import plain
from keras_ccsam.models.build import SCALINGS, _scaled

PREPROCESSING = {
    "caffe": keras.applications.resnet.preprocess_input,
    "tf": keras.applications.mobilenet_v2.preprocess_input,
    "torch": keras.applications.densenet.preprocess_input,
}


@pytest.mark.any_backend
@pytest.mark.parametrize("name", ["resnet8", "ResNet8", "resnet-8", "RESNET_8"])
def test_our_names_in_any_spelling(name):
    model = models.build(name, (16, 16, 3), normalization="unit")
    assert model.name == "resnet8"
    assert model.input_shape == (None, 16, 16, 3)
    assert model.output_shape == (None, 64)
    assert models.build("SmallCNN", (8, 8, 1), features=32).output_shape == (None, 32)


@pytest.mark.parametrize(
    ("name", "closest"),
    [("resnet33", "resnet32"), ("smal_cnn", "small_cnn"), ("efficientnet-b00", "EfficientNetB0")],
)
def test_unknown_name_offers_the_closest(name, closest):
    with pytest.raises(
        ValueError, match=f"closest is '{closest}'.*Received: name_or_model='{name}"
    ):
        models.build(name, (32, 32, 3))


def test_unknown_option_is_named():
    with pytest.raises(ValueError, match=r"Received: options=\['widht'\]"):
        models.build("small_cnn", (8, 8, 1), widht=3)


@pytest.mark.any_backend
@pytest.mark.slow
def test_applications_network_scales_plain_pixels():
    model = models.build("mobilenet", (32, 32, 3), alpha=0.25)
    assert model.output_shape == (None, 256)
    network = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    x = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    expected = network.predict(PREPROCESSING["tf"](x.copy()), verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small"])
def test_applications_are_built_without_top_and_weights(name, monkeypatch):
    asked = {}

    def network(include_top=True, weights="imagenet", input_shape=None, pooling=None, alpha=1.0):
        asked.update(top=include_top, weights=weights, pooling=pooling, alpha=alpha)
        images = keras.Input(input_shape)
        return keras.Model(images, keras.layers.GlobalAveragePooling2D()(images), name="network")

    monkeypatch.setattr(keras.applications, name, network)
    model = models.build(name.lower(), (8, 8, 3), alpha=0.5)
    assert asked == {"top": False, "weights": None, "pooling": "avg", "alpha": 0.5}
    # version 3 begins with its own scaling, version 2 gets -1..1
    feature = float(keras.ops.convert_to_numpy(model(np.full((1, 8, 8, 3), 255.0)))[0, 0])
    assert feature == pytest.approx({"MobileNetV2": 1.0, "MobileNetV3Small": 255.0}[name])
    models.build(name, (8, 8, 3), weights="imagenet")
    assert asked["weights"] == "imagenet"


def test_application_of_unknown_scaling_is_refused(monkeypatch):
    def Newcomer(include_top, weights, input_shape, pooling):
        images = keras.Input(input_shape)
        return keras.Model(images, keras.layers.GlobalAveragePooling2D()(images))

    monkeypatch.setattr(keras.applications, "Newcomer", Newcomer, raising=False)
    with pytest.raises(ValueError, match="Received: name_or_model='Newcomer'"):
        models.build("newcomer", (8, 8, 3))


@pytest.mark.parametrize("scaling", ["caffe", "tf", "torch"])
def test_scalings_equal_preprocess_input(scaling):
    images = keras.Input((4, 4, 3))
    scale = keras.Model(images, _scaled(images, scaling))
    x = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3)).astype("float32")
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(scale(x)),
        PREPROCESSING[scaling](x.copy()),
        rtol=1e-5,
        atol=1e-4,
    )
    grey = keras.Input((4, 4, 1))
    assert _scaled(grey, scaling).shape == (None, 4, 4, 1)


def test_every_application_has_the_scaling_of_its_module():
    """The table against the modules themselves, whatever this Keras version ships."""
    modules = [
        value for value in vars(keras.applications).values() if hasattr(value, "preprocess_input")
    ]
    x = np.full((1, 2, 2, 3), 100.0, dtype="float32") + np.arange(3, dtype="float32")
    for name in models.available()["keras.applications"]:
        family = max((key for key in SCALINGS if plain(name).startswith(key)), key=len)
        named = [module for module in modules if hasattr(module, name)]
        assert named or name.startswith("MobileNetV3")  # whose module exports no network
        expected = named[0].preprocess_input(x.copy()) if named else x
        scaling = SCALINGS[family]
        actual = x if scaling is None else PREPROCESSING[scaling](x.copy())
        np.testing.assert_allclose(actual, expected, err_msg=name)


def test_feature_map_is_pooled():
    images = keras.Input((8, 8, 3))
    body = keras.Model(images, keras.layers.Conv2D(5, 3)(images))
    model = models.build(body, (8, 8, 3))
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype("float32")
    assert model.output_shape == (None, 5)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(model(x)),
        keras.ops.convert_to_numpy(body(x)).mean((1, 2)),
        rtol=1e-5,
        atol=1e-6,
    )


def test_model_with_features_is_returned_itself():
    model = models.ResNet8()
    assert models.build(model, (32, 32, 3)) is model
    assert models.build(model) is model


def test_sequential_and_subclassed_models():
    class Body(keras.Model):
        def __init__(self):
            super().__init__()
            self.convolution = keras.layers.Conv2D(4, 3)

        def call(self, images):
            return self.convolution(images)

    assert models.build(Body(), (8, 8, 1)).output_shape == (None, 4)
    lazy = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(7)])
    assert models.build(lazy, (8, 8, 1)).output_shape == (None, 7)
    with pytest.raises(ValueError, match="does not know its input"):
        models.build(Body())


def test_models_that_are_no_backbone_are_refused():
    images = keras.Input((8, 8, 3))
    row = keras.layers.Reshape((8, 24))(images)
    with pytest.raises(ValueError, match=r"outputs \[\(None, 8, 24\)\]"):
        models.build(keras.Model(images, row), (8, 8, 3))
    flat = keras.layers.Flatten()(images)
    with pytest.raises(ValueError, match="one output"):
        models.build(keras.Model(images, [flat, flat]), (8, 8, 3))
    other = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="2 inputs"):
        models.build(keras.Model([images, other], keras.layers.Add()([images, other])))
    with pytest.raises(ValueError, match=r"Received: input_shape=\(32, 32, 3\)"):
        models.build(keras.Model(images, flat), (32, 32, 3))
    with pytest.raises(ValueError, match="takes no options"):
        models.build(keras.Model(images, flat), (8, 8, 3), weights="imagenet")
    with pytest.raises(ValueError, match="Received: name_or_model=3"):
        models.build(3, (8, 8, 3))
    with pytest.raises(ValueError, match=r"Received: input_shape=\(8, 8\)"):
        models.build("resnet8", (8, 8))
