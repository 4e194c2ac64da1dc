"""Which weights of a network are trained: all, none, the last blocks, or low-rank factors.

A frozen layer keeps its weights, and BatchNorm in it runs in inference mode: its statistics stay
too. A network of which nothing is trained runs in inference mode as a whole, so that an image has
the same features in every epoch.
"""

import re
from typing import Annotated

import keras
from pydantic import Field

from keras_ccsam.declare import part
from keras_ccsam.hints import did_you_mean
from keras_ccsam.layers.lora import adapted, enable_lora, lora_candidates
from keras_ccsam.layers.walk import all_layers
from keras_ccsam.models.blocks import blocks, weighted_layers
from keras_ccsam.options import checked

# The names of what attention is asked with and answers with, in Keras and in keras-hub.
_ATTENTION = re.compile(r"(query|value)(_dense)?|[qv]_proj|(query|value)_proj")


@part("tuning", "all")
def train_all(backbone: keras.Model) -> keras.Model:
    """Every weight that the network itself would train."""
    return backbone


@part("tuning", "frozen")
def freeze(backbone: keras.Model) -> keras.Model:
    """No weight: only the head is trained, on features that do not change.

    Args:
        backbone: changed in place.

    Returns:
        The same object.
    """
    backbone.trainable = False
    return backbone


@part("tuning", "last_block")
def train_last_blocks(
    backbone: keras.Model,
    blocks: Annotated[int, Field(ge=1, description="how many, counted from the output")] = 1,
    start: Annotated[
        str, Field(description="name of the first layer that is trained; empty: by blocks")
    ] = "",
) -> keras.Model:
    """The last blocks, and what follows them; everything before is frozen.

    What a block is, the layers' names tell; see `models.blocks`.

    Args:
        backbone: changed in place.
        blocks: how many of them.
        start: in their place, the name of the first layer that is trained.

    Returns:
        The same object.

    Raises:
        ValueError: if the network has fewer blocks, or no layer of that name has weights.
    """
    checked(train_last_blocks, {"blocks": blocks, "start": start})
    trained = _from(backbone, start) if start else _last(backbone, blocks)
    _freeze_inside(backbone)
    # A layer's flag is that of its variables, whatever the flags of the layers around it.
    for layer in trained:
        layer.trainable = True
    return backbone


@part("tuning", "lora")
def train_low_rank(
    backbone: keras.Model,
    rank: Annotated[int, Field(ge=1, description="of the trained factors")] = 8,
    alpha: Annotated[
        float | None, Field(gt=0, description="their product counts alpha / rank; absent: rank")
    ] = None,
    layers: Annotated[
        str,
        Field(
            description="regular expression on a layer's name or path; empty: query and value of "
            "attention, or else every convolution and dense layer"
        ),
    ] = "",
) -> keras.Model:
    """Low-rank factors beside frozen kernels (LoRA, Hu et al., ICLR 2022).

    Args:
        backbone: built; changed in place.
        rank: of the factors.
        alpha: the factors' product is multiplied by alpha / rank; `rank` by default.
        layers: which Dense, EinsumDense and convolutional layers; matched against the name and
            the path.

    Returns:
        The same object.

    Raises:
        ValueError: if no layer matches, `layers` is no regular expression, or the network is
            adapted already.
    """
    checked(train_low_rank, {"rank": rank, "alpha": alpha, "layers": layers})
    if adapted(backbone):
        raise ValueError(
            f"The network has low-rank factors already. Received: backbone={backbone.name!r}"
        )
    chosen = _chosen(backbone, layers)
    _freeze_inside(backbone)
    for layer in chosen:
        enable_lora(layer, rank, float(rank) if alpha is None else alpha)
    return backbone


def trainable_parameters(network: keras.Layer) -> int:
    """The scalars that a training step of the network changes."""
    return sum(int(keras.ops.size(v)) for v in network.trainable_variables)


def _last(backbone: keras.Model, count: int) -> list[keras.Layer]:
    cut = blocks(backbone)
    if count >= len(cut):
        raise ValueError(
            f"The network {backbone.name!r} has {len(cut)} blocks of layers, and the first of "
            f"them stays frozen: train fewer, or all of it. Received: blocks={count}"
        )
    return [layer for block in cut[-count:] for layer in block]


def _from(backbone: keras.Model, start: str) -> list[keras.Layer]:
    layers = weighted_layers(backbone)
    at = next((i for i, layer in enumerate(layers) if start in (layer.name, layer.path)), None)
    if at is None:
        names = [layer.name for layer in layers]
        raise ValueError(
            f"The network {backbone.name!r} has no layer of that name with weights"
            f"{did_you_mean(start, names) or '.'} Received: start={start!r}"
        )
    return layers[at:]


def _freeze_inside(backbone: keras.Model) -> None:
    """Every layer, but not the network's own flag: that one decides on inference mode."""
    backbone.trainable = True
    for layer in all_layers(backbone):
        if layer is not backbone:
            layer.trainable = False


def _chosen(backbone: keras.Model, layers: str) -> list[keras.Layer]:
    candidates = lora_candidates(backbone)
    if not layers:
        attention = [layer for layer in candidates if _ATTENTION.fullmatch(layer.name)]
        chosen = attention or candidates
    else:
        try:
            pattern = re.compile(layers)
        except re.error as error:
            raise ValueError(
                f"`layers` must be a regular expression: {error}. Received: layers={layers!r}"
            ) from None
        chosen = [x for x in candidates if pattern.search(x.name) or pattern.search(x.path)]
    if not chosen:
        names = ", ".join(dict.fromkeys(layer.name for layer in candidates)) or "none"
        raise ValueError(
            "No layer that can be adapted has such a name; a Dense, an EinsumDense or a "
            f"convolution can. Here: {names}. Received: layers={layers!r}"
        )
    return chosen
