"""NumPy arrays in files: `.npy`, and `.npz` that is not compressed, stay on the disk."""

import os
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from keras_ccsam.data.images.array_rows import ArrayRows
from keras_ccsam.data.npz import UNREADABLE, open_npz
from keras_ccsam.data.sources import own_images as own
from keras_ccsam.data.sources.array_checks import check_images
from keras_ccsam.data.sources.arrays import source
from keras_ccsam.data.sources.recognise import entries
from keras_ccsam.data.sources.source import Source
from keras_ccsam.declare import part
from keras_ccsam.labels import check_labels

_TRAIN = (("x_train", "y_train"), ("x", "y"), ("images", "labels"), ("data", "labels"))
_NAMES = frozenset(
    {"x_test", "y_test", "x_validation", "y_validation", "x_val", "y_val", "class_names"}
    | {"class_counts"}
    | {name for pair in _TRAIN for name in pair}
)
# Bytes of a ZIP member's local header, before its name.
_LOCAL_HEADER = 30
_EXPECTED = (
    "arrays are x and y, or x_train and y_train with x_test and y_test: in one npz, or as .npy "
    "files of these names in a folder"
)


@part("data", "arrays")
def load_files(
    path: str | os.PathLike[str] | None = None,
    test_fraction: own.TestFraction = 0.2,
    *,
    seed: int = 0,
) -> Source:
    """NumPy arrays of images and labels, in an npz or as `.npy` files.

    Images of `.npy` files, and of an npz that is not compressed (`numpy.savez`), stay on the disk:
    batches are read from the mapped file.

    Args:
        path: an npz, a folder of `.npy` files, or one of these files. `class_counts`, if there,
            must be the counts of the labels.
        test_fraction: share of each class held out where there is no x_test.
        seed: of that.

    Raises:
        ValueError: a file is missing, truncated or holds pickled objects, or the arrays do not fit
            together; the message names the array.
    """
    where = own.given(path)
    arrays = _npz(where) if where.suffix.lower() == ".npz" else _npy(where)
    x, y = next(((a, b) for a, b in _TRAIN if {a, b} <= set(arrays)), ("", ""))
    if not x:
        raise ValueError(
            f"{_EXPECTED}. Received: path={str(where)!r} with {', '.join(arrays) or 'none'}"
        )
    test = _pair(arrays, where, "test")
    validation = _pair(arrays, where, "validation", "val")
    try:
        made = source(
            arrays[x],
            arrays[y],
            x_test=None if test is None else test[0],
            y_test=None if test is None else test[1],
            class_names=_names(arrays),
            class_counts=arrays.get("class_counts"),
            seed=seed,
            test_fraction=0.0 if test else test_fraction,
            name=where.stem,
        )
        held = _validated(made, validation)
    except ValueError as error:
        raise ValueError(f"{error} of {str(where)!r}") from None
    notes = []
    if test is None and made.y_test is not None:
        held_out, of = len(made.y_test), len(made.y_test) + len(made.y_train)
        notes.append(
            f"there is no test part: {held_out} of {of} images are held out for it "
            f"(test_fraction {test_fraction:g})"
        )
    return replace(made, origin=f"the arrays {where}", notes=tuple(notes), **held)


def _validated(made: Source, pair: tuple[Any, Any] | None) -> dict[str, Any]:
    """The validation part, of the shape of the others."""
    if pair is None:
        return {}
    x = check_images(pair[0], "x_validation")
    if x.shape[1:] != made.x_train.shape[1:] or x.dtype != made.x_train.dtype:
        raise ValueError(
            f"x_validation must have the image shape and type of x, {made.x_train.shape[1:]} "
            f"{made.x_train.dtype}. Received: x_validation.shape={x.shape}, {x.dtype}"
        )
    labels = check_labels(pair[1], "y_validation", len(x), made.num_classes)
    return {"x_validation": x, "y_validation": labels}


def _names(arrays: Mapping[str, Any]) -> list[str] | None:
    names = arrays.get("class_names")
    return None if names is None else [str(name) for name in np.asarray(names).tolist()]


def _pair(arrays: Mapping[str, Any], where: Path, *spellings: str) -> tuple[Any, Any] | None:
    """Images and labels of a part; None where the files have neither."""
    for split in spellings:
        there = [name for name in (f"x_{split}", f"y_{split}") if name in arrays]
        if len(there) == 2:
            return arrays[there[0]], arrays[there[1]]
        if there:
            raise ValueError(
                f"x_{split} and y_{split} come together. Received: only {there[0]} of {where}"
            )
    return None


def _npy(where: Path) -> dict[str, Any]:
    """The arrays of a folder of `.npy` files; images stay on the disk."""
    folder = where if where.is_dir() else where.parent
    found = {}
    for entry in entries(folder):
        name, ending = os.path.splitext(entry.name)
        if ending == ".npy" and name in _NAMES:
            found[name] = _opened(Path(entry.path))
    return found


def _opened(file: Path) -> Any:
    try:
        with file.open("rb") as opened:
            array = _mapped(opened, file, 0)
    except UNREADABLE as error:
        raise _unreadable(file, error) from None
    return _stored(file.stem, array)


def _npz(where: Path) -> dict[str, Any]:
    """The arrays of an npz; images that are not compressed stay on the disk."""
    try:
        with open_npz(where) as archive:
            names = [name for name in archive.files if name in _NAMES]
            there = ", ".join(archive.files)
        found = {}
        with zipfile.ZipFile(where) as packed, where.open("rb") as raw:
            for name in names:
                found[name] = _stored(name, _member(packed, raw, where, f"{name}.npy"))
    except UNREADABLE as error:
        raise _unreadable(where, error) from None
    if not found:
        raise ValueError(f"{_EXPECTED}. Received: path={str(where)!r} with {there or 'no array'}")
    return found


def _member(packed: zipfile.ZipFile, raw: BinaryIO, where: Path, name: str) -> NDArray[Any]:
    info = packed.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED:
        with packed.open(info) as member:
            array: NDArray[Any] = npy.read_array(member, allow_pickle=False)
            return array
    raw.seek(info.header_offset)
    header = raw.read(_LOCAL_HEADER)
    names, extra = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
    raw.seek(info.header_offset + _LOCAL_HEADER + names + extra)
    return _mapped(raw, where, raw.tell())


def _mapped(raw: BinaryIO, file: Path, start: int) -> NDArray[Any]:
    """The array that begins at a place of a file, without reading its values."""
    version = npy.read_magic(raw)
    if version[0] == 1:
        shape, in_columns, dtype = npy.read_array_header_1_0(raw)
    elif version[0] == 2:
        shape, in_columns, dtype = npy.read_array_header_2_0(raw)
    else:
        raise ValueError(f"it is of the npy version {version[0]}")
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are pickled: they are not loaded")
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(
        file, dtype, "r", offset=raw.tell(), shape=shape, order="F" if in_columns else "C"
    )


def _stored(name: str, array: NDArray[Any]) -> Any:
    """Images that can be read batch by batch as a store; everything else in memory."""
    images = name.startswith("x") or name in ("images", "data")
    if images and isinstance(array, np.memmap) and array.ndim == 4 and array.dtype == np.uint8:
        return ArrayRows(array)
    return np.array(array)


def _unreadable(file: Path, error: Exception) -> ValueError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ValueError(
        f"the arrays cannot be read: {' '.join(reason.split())}. {_EXPECTED[0].upper()}"
        f"{_EXPECTED[1:]}. Received: path={str(file)!r}"
    )
