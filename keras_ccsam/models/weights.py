"""A network's weights from a file on this machine.

Taken are `.weights.h5` of the network, `.keras` of the network or of a classifier on it, and the
`.h5` files of keras.applications. Nothing in the file is run.
"""

import os
import zipfile
from pathlib import Path
from typing import Any

import keras

from keras_ccsam.finite import check_finite_weights
from keras_ccsam.hints import closest

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ENDINGS = (".weights.h5", ".keras", ".h5")


def check_weights_file(path: str | os.PathLike[str]) -> Path:
    """The file, if it is there and may hold weights.

    Raises:
        ValueError: with what would be right.
    """
    file = Path(path)
    if not file.name.endswith(_ENDINGS):
        raise ValueError(
            "weights must be a file that ends in .weights.h5, .keras or .h5. "
            f"Received: weights={os.fspath(path)!r}"
        )
    if not file.is_file():
        beside = []
        if file.parent.is_dir():
            beside = [other.name for other in file.parent.iterdir()]
        near = closest(file.name, [name for name in beside if name.endswith(_ENDINGS)])
        hint = f"; did you mean {near!r}?" if near else "."
        raise ValueError(f"there is no such file{hint} Received: weights={os.fspath(path)!r}")
    return file


def check_weights(weights: str) -> None:
    """Refuses what a network of keras.applications cannot take as its `weights`.

    Raises:
        ValueError: for a file that is not there; a name is left to the network's own function.
    """
    if weights.endswith(_ENDINGS) or os.sep in weights:
        check_weights_file(weights)


def load_weights(network: keras.Model, path: str | os.PathLike[str]) -> keras.Model:
    """Gives a network the weights of a file.

    Args:
        network: built; changed in place.
        path: `.weights.h5` of the same network; `.keras`, a model that is the network or holds one
            of the same weights, such as a `model.keras` of an earlier run; or `.h5` of
            keras.applications without its top.

    Returns:
        The same object.

    Raises:
        ValueError: if there is no such file, it is damaged, or holds other weights, or NaN or
            infinity; the network is then as it was.
    """
    file = check_weights_file(path)
    before = network.get_weights()
    try:
        if file.name.endswith(".keras"):
            _from_model(network, file)
        else:
            _from_h5(network, file)
        check_finite_weights(network)
    except ValueError as error:
        network.set_weights(before)
        said = str(error).partition(" Received:")[0]
        raise ValueError(
            f"{_short(said)} Received: weights={os.fspath(path)!r} for {network.name!r}"
        ) from error
    return network


def _from_h5(network: keras.Model, file: Path) -> None:
    with open(file, "rb") as opened:
        beginning = opened.read(len(_HDF5))
    if beginning != _HDF5:
        raise ValueError("the file is damaged, or no HDF5 file.")
    target = inner_network(network) if file.name.endswith(".weights.h5") else None
    tried = [network] if target is None or target is network else [network, target]
    said: Exception | None = None
    for each in tried if file.name.endswith(".weights.h5") else [inner_network(network)]:
        try:
            each.load_weights(file)
            return
        except Exception as error:
            said = said or error
    raise ValueError(f"the file's weights are not those of this network: {_short(str(said))}")


def _from_model(network: keras.Model, file: Path) -> None:
    if not zipfile.is_zipfile(file):
        raise ValueError("the file is damaged, or no Keras archive.")
    try:
        model = keras.models.load_model(file, compile=False, safe_mode=True)
    except Exception as error:
        raise ValueError(f"the file cannot be read: {_short(str(error))}") from error
    wanted = [tuple(w.shape) for w in network.weights]
    for candidate in _networks(model):
        if [tuple(w.shape) for w in candidate.weights] == wanted:
            network.set_weights(candidate.get_weights())
            return
    shapes = [tuple(w.shape) for w in model.weights]
    at = next((i for i, (a, b) in enumerate(zip(shapes, wanted, strict=False)) if a != b), None)
    if at is None and len(shapes) > len(wanted):
        network.set_weights(model.get_weights()[: len(wanted)])  # a classifier on the network
        return
    where = (
        f"it has {len(shapes)} weights where {len(wanted)} are wanted"
        if at is None
        else f"weight {at} ({network.weights[at].path}) has the shape {wanted[at]}, and "
        f"{shapes[at]} in the file"
    )
    raise ValueError(f"the file's weights are not those of this network: {where}.")


def _networks(model: Any) -> list[Any]:
    """A model, its backbone if it has one, and the models that are layers of it."""
    found = [model, getattr(model, "backbone", None), *getattr(model, "layers", ())]
    return [part for part in found if isinstance(part, keras.Model)]


def inner_network(network: keras.Model) -> keras.Model:
    """The network inside its wrapper of preprocessing and pooling; itself where there is none."""
    inside = [layer for layer in network.layers if isinstance(layer, keras.Model)]
    return inside[0] if len(inside) == 1 else network


def _short(text: str) -> str:
    return " ".join(text.split())[:240]
