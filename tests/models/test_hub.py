"""Image encoders of keras-hub: small ones with random weights, saved to a local folder."""

import importlib
import importlib.util
import sys

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam import models

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("keras_hub") is None, reason="keras-hub is not installed"
)


def hub():
    """keras-hub. It brings TensorFlow along, and only the process that runs this file needs it."""
    return importlib.import_module("keras_hub")


SHAPE = (16, 16, 3)
TOWER = {"patch_size": 4, "hidden_dim": 8, "num_layers": 2, "num_heads": 2, "intermediate_dim": 16}
TEXT = {
    "vocabulary_size": 20,
    "embedding_dim": 8,
    "hidden_dim": 8,
    "num_layers": 1,
    "num_heads": 2,
    "intermediate_dim": 16,
    "max_sequence_length": 6,
}


def clip():
    towers = (
        hub().models.CLIPVisionEncoder(**TOWER, image_shape=SHAPE),
        hub().models.CLIPTextEncoder,
    )
    return hub().models.CLIPBackbone(towers[0], towers[1](**TEXT), projection_dim=6)


def siglip():
    vision = hub().models.SigLIPVisionEncoder(**TOWER, image_shape=SHAPE)
    return hub().models.SigLIPBackbone(vision, hub().models.SigLIPTextEncoder(**TEXT))


def vit():
    sizes = {"patch_size": 4, "num_layers": 2, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 16}
    return hub().models.ViTBackbone(image_shape=SHAPE, **sizes)


def dino2():
    return hub().models.DINOV2Backbone(**TOWER, image_shape=SHAPE)


def dino3():
    return hub().models.DINOV3Backbone(**TOWER, image_shape=SHAPE)


def resnet():
    return hub().models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )


ENCODERS = {
    "vit": (vit, "ViTImageConverter", 8),
    "clip": (clip, "CLIPImageConverter", 6),
    "siglip": (siglip, "SigLIPImageConverter", 8),
    "dino2": (dino2, "DINOV2ImageConverter", 8),
    "dino3": (dino3, "DINOV3ImageConverter", 8),
    "resnet": (resnet, "ResNetImageConverter", 64),
}
SCALE, OFFSET = [1 / 50, 1 / 60, 1 / 70], [-1.0, -2.0, -0.5]


def preset(folder, name, converter=True):
    """A folder as `save_to_preset` writes it, and the backbone in it."""
    keras.utils.set_random_seed(0)
    make, kind, _ = ENCODERS[name]
    backbone = make()
    backbone.save_to_preset(str(folder / name))
    if converter:
        made = getattr(hub().layers, kind)(image_size=SHAPE[:2], scale=SCALE, offset=OFFSET)
        made.save_to_preset(str(folder / name))
    return str(folder / name), backbone


def pixels(shape=SHAPE, n=2):
    return np.random.default_rng(0).integers(0, 256, (n, *shape)).astype("uint8")


# What they compute is keras-hub's own; how they are read is the same on each backend.
READ_EVERYWHERE = ("vit",)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in READ_EVERYWHERE else pytest.mark.any_backend)
        for name in sorted(ENCODERS)
    ],
)
def test_pixels_go_in_and_features_come_out(name, tmp_path):
    folder, backbone = preset(tmp_path, name)
    model = models.build("hub", SHAPE, preset=folder)
    assert model.output_shape == (None, ENCODERS[name][2])
    x = pixels()
    scaled = (x * np.array(SCALE) + np.array(OFFSET)).astype("float32")
    if name in ("clip", "siglip"):
        expected = backbone.get_vision_embeddings(scaled)
    elif name == "resnet":
        expected = ops.mean(backbone(scaled), axis=(1, 2))
    elif name == "dino3":
        expected = backbone({"pixel_values": scaled})[:, 0]
    else:
        expected = (backbone({"images": scaled} if name == "dino2" else scaled))[:, 0]
    np.testing.assert_allclose(
        model.predict(x, verbose=0), ops.convert_to_numpy(expected), rtol=1e-4, atol=1e-4
    )


@pytest.mark.any_backend
def test_images_of_another_size_and_grey_ones_are_fitted(tmp_path):
    folder, _ = preset(tmp_path, "vit")
    grey = models.build("hub", (20, 12, 1), preset=folder)
    colour = models.build("hub", (20, 12, 3), preset=folder)
    x = pixels((20, 12, 1))
    np.testing.assert_allclose(
        grey.predict(x, verbose=0), colour.predict(np.repeat(x, 3, -1), verbose=0), atol=1e-5
    )


@pytest.mark.any_backend
@pytest.mark.parametrize("pooling", ["token", "mean", "max"])
def test_pooling_is_what_is_asked_for(pooling, tmp_path):
    folder, backbone = preset(tmp_path, "vit")
    model = models.build("hub", SHAPE, preset=folder, pooling=pooling, normalization="none")
    x = pixels().astype("float32")
    tokens = ops.convert_to_numpy(backbone(x))
    expected = {"token": tokens[:, 0], "mean": tokens.mean(1), "max": tokens.max(1)}[pooling]
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-4)


def test_low_rank_factors_in_an_encoder_are_kept_and_exported(tmp_path):
    folder, _ = preset(tmp_path, "vit")
    backbone = models.train_low_rank(models.build("hub", SHAPE, preset=folder), rank=2)
    # query and value of two blocks: two factors each
    assert len(backbone.trainable_variables) == 8
    model = cc.CCSAM(backbone, class_counts=[6, 4, 2], perturb="all", radius_scale=1e-2)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    x, y = pixels(n=12), np.arange(12) % 3
    model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for trained in (model, loaded):
        trained.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    expected = model.predict(x, verbose=0)
    np.testing.assert_allclose(loaded.predict(x, verbose=0), expected, rtol=1e-5, atol=1e-6)
    plain = model.export_plain()
    plain.save(tmp_path / "plain.keras")
    again = keras.models.load_model(tmp_path / "plain.keras")
    np.testing.assert_allclose(again.predict(x, verbose=0), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.any_backend
def test_what_cannot_be_had_is_one_line(tmp_path, monkeypatch):
    folder, _ = preset(tmp_path, "vit", converter=False)
    typo = "vit_base_patch16_224_imagenett"
    wrong = {
        "does not say how pixels are scaled": {"preset": folder},
        "needs the name of a preset": {},
        "did you mean 'vit_base_patch16_224_imagenet'": {"preset": typo},
        "it has no config.json": {"preset": str(tmp_path)},
        "pooling": {"preset": folder, "pooling": "first"},
    }
    for message, options in wrong.items():
        with pytest.raises(ValueError, match=message) as told:
            models.build("hub", SHAPE, **options)
        assert "\n" not in str(told.value) and "Received: " in str(told.value)

    def unreachable(*_, **__):
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr(hub().models.Backbone, "from_preset", unreachable)
    with pytest.raises(ValueError, match=r"cannot be downloaded.*ConnectionError: no network"):
        models.build("hub", SHAPE, preset="vit_base_patch16_224_imagenet")
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ValueError, match=r"pip install keras-ccsam\[hub\]"):
        models.build("hub", SHAPE, preset=folder)
