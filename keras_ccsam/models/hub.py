"""Image encoders of keras-hub: by the name of a preset, or from a local folder of one.

    images 0..255 -> the encoder's size -> the preset's scaling -> encoder -> features (B, D)

keras-hub is an extra (`pip install keras-ccsam[hub]`), imported when such a network is asked for.
"""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import keras
from keras import layers
from pydantic import Field

from keras_ccsam.declare import part
from keras_ccsam.hints import did_you_mean
from keras_ccsam.models.normalization import (
    Normalization,
    affine_layer,
    normalization_layer,
)
from keras_ccsam.options import checked
from keras_ccsam.typing import Tensor

Pooling: TypeAlias = Literal["auto", "token", "mean", "max"]
_SAVED = "config.json"


@part("backbone", "hub")
def HubBackbone(
    preset: Annotated[
        str, Field(description="name of a keras-hub preset, or a local folder of one")
    ] = "",
    input_shape: tuple[int | None, int | None, int] = (224, 224, 3),
    pooling: Annotated[
        Pooling,
        Field(description="of tokens or a map; auto: the network's own embedding, or its token"),
    ] = "auto",
    normalization: Annotated[
        Literal["preset"] | Normalization,
        Field(description="of pixels; preset: as keras-hub knows it; unit, cifar, [mean, std]"),
    ] = "preset",
    image_size: Annotated[
        int, Field(ge=0, description="pixels per side that the network sees; 0: its own")
    ] = 0,
    name: str | None = None,
    load_weights: bool = True,
) -> keras.Model:
    """An image encoder of keras-hub: ViT, CLIP, SigLIP, DINOv2 and 3, ResNet, EfficientNet, ...

    Args:
        preset: such as `"vit_base_patch16_224_imagenet"`, `"hf://keras/clip_vit_base_patch16"`, or
            a folder that `save_to_preset` has written. A name is downloaded on first use.
        input_shape: of the images. They are resized inside the model where the network wants
            another size, and grey ones are given three channels.
        pooling: of tokens (B, T, D) or a map (B, h, w, D): `"token"` takes the first token,
            `"mean"` and `"max"` all of them. `"auto"`: the image embedding of CLIP and SigLIP,
            the class token of a network that has one, else the mean.
        normalization: `"preset"` is that of the preset's image converter; otherwise as in
            `keras_ccsam.models.normalization`.
        image_size: for networks that can be built for another size than their preset's.
        name: of the model.
        load_weights: False builds the network with fresh weights.

    Returns:
        A functional `keras.Model` from images in 0..255 to features (B, D).

    Raises:
        ValueError: keras-hub is not installed, there is no such preset or folder, it cannot be
            downloaded, is no image encoder, or does not say how pixels are scaled.
    """
    options = {"pooling": pooling, "normalization": normalization, "image_size": image_size}
    checked(HubBackbone, {"preset": preset, **options})
    hub = _keras_hub()
    check_preset(preset)
    encoder = _loaded(hub, preset, image_size, load_weights)
    images = keras.Input(tuple(input_shape), name="images")
    channels = input_shape[2]
    height, width = _wanted(encoder, preset)
    x: Tensor = images
    if channels == 1:
        x = layers.Concatenate(axis=-1, name="grey_to_colour")([x, x, x])
    elif channels != 3:
        raise ValueError(
            f"A network of keras-hub takes colour or grey images. Received: channels={channels}"
        )
    if height and tuple(input_shape[:2]) != (height, width):
        x = layers.Resizing(
            height, width, antialias=True, data_format="channels_last", name="resizing"
        )(x)
    scale = (
        _converter_layer(hub, preset)
        if normalization == "preset"
        else normalization_layer(normalization, 3)
    )
    x = x if scale is None else scale(x)
    features = _pooled(_features(encoder, x, pooling, preset), encoder, pooling, preset)
    return keras.Model(images, features, name=name or "hub")


def check_preset(preset: str) -> None:
    """Refuses a preset that cannot be, before anything is downloaded.

    Raises:
        ValueError: with the closest name.
    """
    folder = Path(preset)
    if not preset:
        raise ValueError(
            "a backbone of keras-hub needs the name of a preset, such as "
            "'vit_base_patch16_224_imagenet', or a folder of one. Received: preset=''"
        )
    if "://" in preset:
        return
    if folder.exists():
        if not (folder / _SAVED).is_file():
            raise ValueError(
                f"the folder is no preset of keras-hub: it has no {_SAVED}, as "
                f"backbone.save_to_preset writes it. Received: preset={preset!r}"
            )
        return
    known = list(_keras_hub().models.Backbone.presets)
    if preset not in known:
        raise ValueError(
            "keras-hub has no preset of that name, and there is no such folder"
            f"{did_you_mean(preset, known) or '.'} Received: preset={preset!r}"
        )


def _keras_hub() -> Any:
    try:
        return importlib.import_module("keras_hub")
    except ImportError as error:
        raise ValueError(
            "a backbone of keras-hub needs the package: pip install keras-ccsam[hub] "
            f"({error}). Received: backbone='hub'"
        ) from None


def _loaded(hub: Any, preset: str, image_size: int, load_weights: bool) -> Any:
    """The backbone with its weights, under the dtype policy in force."""
    options: dict[str, Any] = {"dtype": keras.config.dtype_policy().name}
    if image_size:
        options["image_shape"] = (image_size, image_size, 3)
    made = hub.models.Backbone.from_preset
    return _told(lambda: made(preset, load_weights=load_weights, **options), preset)


def _told(make: Callable[[], Any], preset: str) -> Any:
    """What `make` returns; an error of keras-hub, or of the network, in one line."""
    try:
        return make()
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        hint = (
            "the preset cannot be loaded"
            if Path(preset).exists()
            else "the preset cannot be downloaded or loaded; without a network give the folder "
            "of a downloaded one"
        )
        raise ValueError(f"{hint} ({said}). Received: preset={preset!r}") from error


def _converter_layer(hub: Any, preset: str) -> keras.Layer | None:
    """The scaling of the preset's image converter, as a stock layer."""
    try:
        converter = hub.layers.ImageConverter.from_preset(preset)
    except Exception as error:
        raise ValueError(
            "the preset does not say how pixels are scaled: give backbone.normalization, such as "
            f"'unit' or [mean, standard deviation]. Received: preset={preset!r}"
        ) from error
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    if converter.scale is None and converter.offset is None:
        return None
    return affine_layer(scale, offset, 3)


def _wanted(encoder: Any, preset: str) -> tuple[int, int] | tuple[None, None]:
    """Height and width of the images that a network was built for; None where it takes any."""
    inputs = _image_inputs(encoder)
    if len(inputs) != 1:
        raise ValueError(
            f"the preset is no image encoder: it takes {', '.join(inputs)}. "
            f"Received: preset={preset!r}"
        )
    shape = tuple(next(iter(inputs.values())).shape)
    if len(shape) != 4 or shape[-1] != 3:
        raise ValueError(
            "the preset takes no colour images with their channels last. "
            f"Received: preset={preset!r}, whose input has the shape {shape}"
        )
    return (shape[1], shape[2]) if shape[1] and shape[2] else (None, None)


def _image_inputs(encoder: Any) -> dict[str, Any]:
    """The inputs by name; of a network of images and text, the images alone."""
    inputs: dict[str, Any] = (
        encoder.input if isinstance(encoder.input, dict) else {"images": encoder.input}
    )
    if hasattr(encoder, "get_vision_embeddings"):
        return {"images": inputs["images"]}
    return inputs


def _features(encoder: Any, images: Tensor, pooling: Pooling, preset: str) -> Tensor:
    """What the encoder makes of images, one tensor."""
    embed = getattr(encoder, "get_vision_embeddings", None)
    if embed is not None:  # CLIP and its relatives, which have a text encoder too
        if pooling == "auto":
            return embed(images)
        encoder = encoder.vision_encoder
    name = next(iter(_image_inputs(encoder)))
    outputs = encoder({name: images} if isinstance(encoder.input, dict) else images)
    if isinstance(outputs, dict):
        if "sequence_output" not in outputs:
            raise ValueError(
                f"the preset puts out {', '.join(outputs)}, none of which are its features. "
                f"Received: preset={preset!r}"
            )
        return outputs["sequence_output"]
    return outputs


def _pooled(features: Tensor, encoder: Any, pooling: Pooling, preset: str) -> Tensor:
    rank = len(features.shape)
    if rank == 2:
        return features
    if rank == 4:
        pool = layers.GlobalMaxPooling2D if pooling == "max" else layers.GlobalAveragePooling2D
        return pool(data_format="channels_last", name="pooling")(features)
    if rank != 3:
        raise ValueError(
            f"the preset puts out features of {rank} axes, not 2 to 4. Received: preset={preset!r}"
        )
    if pooling == "token" or (pooling == "auto" and _has_token(encoder)):
        return features[:, 0]
    pool = layers.GlobalMaxPooling1D if pooling == "max" else layers.GlobalAveragePooling1D
    return pool(data_format="channels_last", name="pooling")(features)


def _has_token(encoder: Any) -> bool:
    """Whether the first of the tokens stands for the image."""
    stated = getattr(encoder, "use_class_token", None)
    if stated is not None:
        return bool(stated)
    return type(encoder).__name__ in _WITH_TOKEN


_WITH_TOKEN = (
    "CLIPVisionEncoder",
    "DINOV2Backbone",
    "DINOV3Backbone",
    "DeiTBackbone",
    "MetaCLIP2VisionEncoder",
)
