"""Networks that were trained before and lie on this machine, for recipes that train a head alone.

It imports the standard library alone: the command line asks it before Keras is imported.
"""

import json
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_ccsam.hints import closest

ENDINGS = (".weights.h5", ".keras", ".h5")
LEAST_SIDE = 32
"""Pixels below which the networks of keras.applications cannot be built."""

CACHED = {
    "ConvNeXtTiny": "convnext_tiny_notop.h5",
    "EfficientNetV2S": "efficientnetv2-s_notop.h5",
    "EfficientNetV2B0": "efficientnetv2-b0_notop.h5",
    "EfficientNetB0": "efficientnetb0_notop.h5",
    "ResNet50": "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "ResNet50V2": "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "ResNet101": "resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "ResNet152": "resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "DenseNet121": "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "MobileNetV2": "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
}
"""The file of keras.applications with a network's ImageNet weights; the first choice first."""


def cached() -> str | None:
    """Return NAME=FILE of the first of `CACHED` that Keras' cache holds; nothing is downloaded."""
    found = ((name, _cache() / file) for name, file in CACHED.items())
    return next((f"{name}={file}" for name, file in found if file.is_file()), None)


def network(text: str) -> tuple[str, tuple[str, ...]]:
    """Return a network's name and the overrides of a recipe that take it.

    Args:
        text: NAME, whose weights Keras' cache holds; NAME=FILE; NAME=imagenet, which downloads
            what is not cached; hub=PRESET, which does so, too; FILE, of the recipe's own network
            or, beside a run's recipe.toml, of that run's; or FOLDER of a keras-hub preset.

    Raises:
        ValueError: there is no such file or folder, or no weights of that name.
    """
    name, separator, weights = text.partition("=")
    if separator and name and weights:
        return name, tuple(_named(name, weights, text))
    if os.path.isdir(text):
        return Path(text).name, tuple(_hub(os.path.abspath(text)))
    if text.endswith(ENDINGS):
        file = _file(text, text)
        return file.name, (*_beside(file), _set("model.weights", str(file)))
    file = _cache() / CACHED.get(text, "")
    if text in CACHED and file.is_file():
        return text, tuple(_named(text, str(file), text))
    near = closest(text, list(CACHED))
    hint = f"; did you mean {near!r}?" if near and near != text else ";"
    raise ValueError(
        f"no weights of such a network lie in {_cache()}{hint} NAME=FILE says where they are, "
        f"NAME=imagenet or hub=PRESET downloads them. Received: backbone={text!r}"
    )


def _named(name: str, weights: str, text: str) -> list[str]:
    if name == "hub":
        return _hub(os.path.abspath(weights) if os.path.isdir(weights) else weights)
    if weights == "imagenet":
        return [_set("model.backbone.name", name), _set("model.backbone.weights", weights)]
    return [_set("model.backbone.name", name), _set("model.weights", str(_file(weights, text)))]


def _hub(preset: str) -> list[str]:
    return [_set("model.backbone.name", "hub"), _set("model.backbone.preset", preset)]


def _file(path: str, text: str) -> Path:
    file = Path(os.path.abspath(path))
    if not file.name.endswith(ENDINGS):
        raise ValueError(
            f"weights lie in a file that ends in {', '.join(ENDINGS)}. Received: backbone={text!r}"
        )
    if not file.is_file():
        beside = [other.name for other in file.parent.iterdir()] if file.parent.is_dir() else []
        near = closest(file.name, [other for other in beside if other.endswith(ENDINGS)])
        hint = f"; did you mean {near!r}?" if near else "."
        raise ValueError(f"there is no such file{hint} Received: backbone={text!r}")
    return file


def _beside(file: Path) -> list[str]:
    """Which network a run's model is, by the recipe beside it; nothing where there is none."""
    try:
        recipe = tomllib.loads((file.parent / "recipe.toml").read_text(encoding="utf-8"))
        options: dict[str, Any] = dict(recipe["model"]["backbone"])
    except (OSError, ValueError, KeyError, TypeError):
        return []
    # The weights are those of the file.
    known = {key: value for key, value in options.items() if key not in ("weights", "load_weights")}
    return [_set(f"model.backbone.{key}", value) for key, value in known.items()]


def _set(key: str, value: Any) -> str:
    # JSON's text, numbers, truth values and lists are TOML's.
    return f"{key}={json.dumps(value)}"


def together(chosen: Sequence[str], overrides: Sequence[str]) -> tuple[str, ...]:
    """Return the overrides of `network` and those that were asked for and do not contradict them.

    Args:
        chosen: of `network`.
        overrides: as in `recipes.load`; those of weights, and of a network that `chosen` names
            otherwise, do not count.
    """
    named = any(text.startswith("model.backbone.") for text in chosen)
    other = ("model.weights", "model.train", *(["model.backbone"] if named else []))
    return (
        *chosen,
        *(text for text in overrides if not text.partition("=")[0].strip().startswith(other)),
    )


def _cache() -> Path:
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return Path(home) / "models"
