"""A dataset from a path: what the path holds is recognised, or said."""

import os
from typing import Any

from keras_ccsam.data.sources import (
    folder,
    hugging_face,
    image_list,
    inat,
    large,
    numpy_files,
    own_images,
    table,
)
from keras_ccsam.data.sources.listing import Listing
from keras_ccsam.data.sources.recognise import KINDS, recognise
from keras_ccsam.data.sources.source import Source
from keras_ccsam.declare import find, part
from keras_ccsam.hints import did_you_mean
from keras_ccsam.options import checked

# Imported for what they declare.
_DECLARING = (folder, hugging_face, image_list, inat, large, numpy_files, table)


def open_path(
    path: str | os.PathLike[str], kind: str | None = None, *, seed: int = 0, **options: Any
) -> Source:
    """Labelled images from a folder, a list, a table, annotations or arrays.

    Args:
        path: a folder or a file.
        kind: one of `recognise.KINDS`; None: what `recognise` says.
        seed: of the test images that are held out where the path has none.
        **options: of the kind, such as `size`, `test_fraction` or `label_column`.

    Returns:
        Names and labels; images are read when they are asked for.

    Raises:
        ValueError: as `recognise` and the source of that kind; or an unknown kind or option.
    """
    if kind is None:
        kind = recognise(path).kind
    elif kind not in KINDS:
        raise ValueError(
            f"what a path holds is one of {', '.join(KINDS)}{did_you_mean(kind, KINDS)} "
            f"Received: kind={kind!r}"
        )
    found = find("data", kind)
    for name in options:
        if name not in found.options:
            hint = did_you_mean(name, found.options) or "."
            raise ValueError(
                f"the source {kind!r} has the options {', '.join(found.options)}{hint} "
                f"Received: {name}={options[name]!r}"
            )
    made: Source = found.build(checked(found.make, options), path=path, seed=seed)
    return made


def list_path(path: str | os.PathLike[str], kind: str | None = None, root: str = "") -> Listing:
    """The image files that a path lists, whether they exist or not.

    Args:
        path: a folder, a list, a table or annotations.
        kind: one of `recognise.KINDS`; None: what `recognise` says.
        root: the folder of the images; empty: as the source of that kind finds it.

    Raises:
        ValueError: as `open_path`; also of arrays, which are no files of images.
    """
    kind = recognise(path).kind if kind is None else kind
    where = own_images.given(path)
    if kind == "folder":
        return folder.listed(where)
    if kind == "table":
        return table.listed(where, root)
    if kind in ("list", "inat"):
        read = image_list.listed if kind == "list" else inat.listed
        return image_list.placed(read(where, root), where, root)
    raise ValueError(
        "image files are listed by a folder, a list, a table or annotations "
        f"(folder, list, table, inat). Received: kind={kind!r} of {os.fspath(path)!r}"
    )


@part("data", "images")
def load_images(
    path: str | os.PathLike[str] | None = None,
    size: own_images.Size = "auto",
    channels: own_images.Channels = 3,
    test_fraction: own_images.TestFraction = 0.2,
    packed: own_images.Packed = "",
    *,
    seed: int = 0,
) -> Source:
    """Images of one's own, in whichever way they are labelled.

    Args:
        path: a folder or a file; see `recognise`.
        size, channels, test_fraction, packed: as `own_images` explains them; arrays have their own
            size, and are not packed.
        seed: of the test images that are held out.

    Raises:
        ValueError: as `open_path`.
    """
    kind = recognise(own_images.given(path)).kind
    options: dict[str, Any] = {
        "size": size,
        "channels": channels,
        "test_fraction": test_fraction,
        "packed": packed,
    }
    known = find("data", kind).options
    chosen = {name: value for name, value in options.items() if name in known}
    return open_path(own_images.given(path), kind, seed=seed, **chosen)
