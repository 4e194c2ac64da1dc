"""What images are like, and which of them cannot be meant."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam import pixels


def photographs(count: int = 60, seed: int = 0, size: int = 12) -> np.ndarray:
    """Smooth colour images whose red is above their blue, as skin, earth and lamps have it."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(0, 1, size)
    bright = random.uniform(40, 200, (count, 1, 1, 1))
    tint = np.array([22.0, 4.0, -18.0]) + random.normal(0, 12, (count, 1, 1, 3))
    slope = (
        random.uniform(-60, 60, (count, 1, 1, 1)) * (ramp[:, None] + ramp[None])[None, ..., None]
    )
    noise = random.normal(0, 6, (count, size, size, 3))
    return np.clip(np.rint(bright + tint + slope + noise), 0, 255).astype("uint8")


@contextmanager
def said(words: str) -> Iterator[None]:
    """Expect a warning; those that Keras raises about itself are let pass, as everywhere."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    assert any(words in str(warning.message) for warning in caught), [str(w) for w in caught]


TRAINED = pixels.record(photographs())


def kinds(images: np.ndarray, record: pixels.PixelRecord | None = TRAINED) -> list[str]:
    """What is found, fatal ones with a mark."""
    some = images.reshape(len(images), -1)
    if (some.max(1) > some.min(1)).any():  # but for those that nothing can be seen in
        images = images[some.max(1) > some.min(1)]
    return [f.kind + "!" * f.fatal for f in pixels.findings(images, record)]


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("images", "found"),
    [
        (photographs(seed=1) / 255.0, "range!"),
        ((photographs(seed=1) / 127.5 - 1).astype("float32"), "range!"),
        (photographs(seed=1).astype("uint16") * 257, "range!"),
        ((photographs(seed=1) > 100).astype("float32"), "range"),
        (photographs(seed=1).astype("float32") - 100, "range"),
        (np.moveaxis(photographs(seed=1), -1, 1), "layout!"),
        (photographs(seed=1)[..., ::-1], "colour"),
        (np.full((3, 12, 12, 3), 7, "uint8"), "constant"),
        (np.where(np.arange(3) == 1, np.nan, photographs(4).astype("float32")), "nan!"),
    ],
    ids=["0..1", "-1..1", "16 bits", "black and white", "centred", "first", "bgr", "flat", "nan"],
)
def test_what_cannot_be_meant_is_found(images: np.ndarray, found: str) -> None:
    assert kinds(images) == [found]


@pytest.mark.any_backend
@pytest.mark.parametrize(
    "images",
    [
        photographs(seed=5),
        photographs(seed=5).astype("float32"),
        photographs(1, seed=5),
        (photographs(seed=5) // 20),
        (photographs(seed=5) // 200),
        (photographs(seed=5) // 20).astype("float32"),
        np.clip(photographs(seed=5).astype(int) * 4, 0, 255).astype("uint8"),
        np.repeat(photographs(seed=5).mean(axis=-1, keepdims=True), 3, -1).astype("uint8"),
        photographs(40, seed=5)[np.argsort(photographs(40, seed=5).mean((1, 2, 3)))[:8]],
        np.clip(photographs(seed=5).astype(int) + np.array([0, 0, 25]), 0, 255).astype("uint8"),
        np.random.default_rng(0).integers(0, 256, (60, 12, 12, 3)).astype("uint8"),
    ],
    ids=[
        "like them",
        "as floats",
        "one",
        "dark",
        "almost black",
        "dark floats",
        "saturated",
        "grey",
        "the darkest few",
        "bluish",
        "noise",
    ],
)
def test_ordinary_images_raise_no_alarm(images: np.ndarray) -> None:
    assert kinds(images) == []


@pytest.mark.any_backend
def test_a_model_of_fractions_refuses_bytes() -> None:
    record = pixels.record(photographs().astype("float32") / 255)
    assert kinds(photographs(seed=1), record) == ["range!"]
    assert kinds(photographs(seed=1) / 255.0, record) == []
    assert kinds(photographs(seed=1)[..., ::-1] / 255.0, record) == ["colour"]
    normalised = pixels.record(photographs() / 60.0 - 2)
    assert kinds(photographs(seed=1), normalised) == ["range!"]
    assert kinds(photographs(seed=1) / 60.0 - 2, normalised) == []
    sixteenths = pixels.record(photographs().astype("float32") // 16)
    assert kinds(photographs(seed=1), sixteenths) == ["range!"]
    assert kinds(photographs(seed=1) / 255.0, sixteenths) == ["range!"]


@pytest.mark.any_backend
def test_a_record_is_kept_as_json() -> None:
    assert TRAINED is not None
    content = TRAINED.to_dict()
    assert content["layout"] == "channels_last" and content["size"] == [12, 12]
    assert pixels.PixelRecord.from_dict(content) == TRAINED
    assert pixels.PixelRecord.from_dict(None) is None
    assert pixels.PixelRecord.from_dict({"dtype": "uint8"}) is None
    for other in ({"red_minus_blue": 0}, {"red_minus_blue": [1]}, {"resize": ""}):
        assert pixels.PixelRecord.from_dict(content | other) is None
    assert pixels.record(np.zeros((3, 4))) is None


def _model(channels: int = 3) -> cc.SharpnessAwareModel:
    model = cc.SharpnessAwareModel(
        cc.models.SmallCNN((12, 12, channels), width=4, features=8), keras.layers.Dense(2)
    )
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


def test_a_model_remembers_its_first_images_and_is_saved_with_them(tmp_path: Path) -> None:
    x, y = photographs(32), np.arange(32) % 2
    model = _model()
    assert model.pixels is None
    model.fit(x, y, verbose=0)
    assert model.pixels == pixels.record(x)
    model.save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    assert loaded.pixels == model.pixels
    with pytest.raises(ValueError, match=r"multiply them by 255.*Received: x of shape"):
        cc.evaluate(loaded, (x / 255.0, y), [16, 16])
    with said("Red and blue look exchanged"):
        cc.evaluate(loaded, (photographs(64)[..., ::-1], np.arange(64) % 2), [16, 16])
    cc.evaluate(loaded, (x // 30, y), [16, 16])
    with said("trained on pixels from"):
        loaded.fit(x / 255.0, y, verbose=0)
    assert loaded.pixels == model.pixels


def test_a_network_that_scales_bytes_warns_of_fractions_without_a_record() -> None:
    x, y = photographs(32), np.arange(32) % 2
    model = _model()
    with said("scaling pixels of 0..255 down"):
        model.fit(x / 255.0, y, verbose=0)
    plain = _model().export_plain()
    with said("multiply them by 255"):
        cc.evaluate(plain, (x / 255.0, y), [16, 16])
    cc.evaluate(plain, (x, y), [16, 16])


@pytest.mark.any_backend
def test_arrays_of_ones_own_are_looked_at() -> None:
    x, y = photographs(32), np.arange(32) % 2
    with pytest.raises(ValueError, match=r"channels came first.*swapaxes.*Received: x of shape"):
        cc.data.from_arrays(np.moveaxis(x, -1, 1), y)
    grey = np.moveaxis(x[..., :1], -1, 1)
    with pytest.raises(ValueError, match="channels came first"):
        cc.data.from_arrays(grey, y)
    with said("channels came first"):  # twelve signals in 20 places, perhaps
        cc.data.from_arrays(np.repeat(grey, 2, axis=2)[:, :, :20], y)
    # Three pixels high and twelve channels, with the width first.
    cc.data.from_arrays(np.swapaxes(np.moveaxis(x, -1, 1), 1, 2), y)
    blank = x.copy()
    blank[3] = 9
    with said("1 of 32 images that were looked at have one value"):
        cc.data.from_arrays(blank, y)
    floats = x.astype("float32")
    with pytest.raises(ValueError, match=r"multiply them by 255.*Received: x_test"):
        cc.data.from_arrays(floats, y, floats / 255, y)
