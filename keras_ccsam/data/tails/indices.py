"""Index lists on disk: which images a run used, with a SHA-256."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from keras_ccsam import atomic
from keras_ccsam.data.npz import UNREADABLE, open_npz

_KEYS = ("name", "train_indices", "validation_indices", "class_counts", "index_sha256")


@dataclass(frozen=True, eq=False)
class SavedIndices:
    """The content of an index file.

    Attributes:
        name: name of the data set.
        train_indices: position of each training image in the source's own order (N,), int64.
        validation_indices: the same for the validation images; empty if there are none.
        class_counts: training images of each class.
        index_sha256: digest of `train_indices`.
        names_sha256: digest of the names of the training images' files, which tells that files
            were renamed, added or taken away where the positions stayed; empty where they are no
            files, and of an older file.
        sizes_sha256: digest of the lengths of the image files of all parts, which tells that some
            were replaced under their names; empty as above.
    """

    name: str
    train_indices: NDArray[np.int64]
    validation_indices: NDArray[np.int64]
    class_counts: tuple[int, ...]
    index_sha256: str
    names_sha256: str = ""
    sizes_sha256: str = ""


def index_digest(indices: NDArray[np.int64]) -> str:
    """SHA-256 over the indices as little-endian 64-bit integers, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(indices, dtype="<i8").tobytes()).hexdigest()


def name_digest(names: Sequence[str]) -> str:
    """SHA-256 over names of files in their order, the same on every system, in hexadecimal."""
    text = "\n".join(name.replace(os.sep, "/") for name in names)
    return hashlib.sha256(os.fsencode(text)).hexdigest()


def size_digest(sizes: Sequence[int]) -> str:
    """SHA-256 over lengths of files in their order, in hexadecimal."""
    return hashlib.sha256(np.asarray(sizes, "<i8").tobytes()).hexdigest()


def save(path: str | os.PathLike[str], saved: SavedIndices) -> None:
    """Writes an index file (npz, no pickles): whole or not at all.

    Raises:
        ValueError: if the folder does not exist.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise ValueError(f"The folder of an index file must exist. Received: path={str(path)!r}")
    needed = saved.train_indices.nbytes + saved.validation_indices.nbytes + 2048
    with atomic.replacing(target, needed) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            name=np.array(saved.name),
            train_indices=saved.train_indices.astype("<i8"),
            validation_indices=saved.validation_indices.astype("<i8"),
            class_counts=np.array(saved.class_counts, dtype="<i8"),
            index_sha256=np.array(saved.index_sha256),
            names_sha256=np.array(saved.names_sha256),
            sizes_sha256=np.array(saved.sizes_sha256),
        )


def load_indices(path: str | os.PathLike[str]) -> SavedIndices:
    """Reads an index file that `LongTailedData.save_indices` wrote, and checks its digest.

    Raises:
        ValueError: if the file is missing, damaged, of another kind, or fails its digest.
    """
    expected = f"an index file written by save_indices (npz with {', '.join(_KEYS)})"
    try:
        with open_npz(path) as file:
            saved = SavedIndices(
                name=str(file["name"]),
                train_indices=file["train_indices"].astype(np.int64),
                validation_indices=file["validation_indices"].astype(np.int64),
                class_counts=tuple(file["class_counts"].tolist()),
                index_sha256=str(file["index_sha256"]),
                names_sha256=str(file["names_sha256"]) if "names_sha256" in file else "",
                sizes_sha256=str(file["sizes_sha256"]) if "sizes_sha256" in file else "",
            )
    except UNREADABLE as error:
        raise ValueError(f"Expected {expected}: {error}. Received: path={str(path)!r}") from error
    digest = index_digest(saved.train_indices)
    if digest != saved.index_sha256:
        raise ValueError(
            f"The indices do not match their SHA-256 ({saved.index_sha256} expected, {digest} "
            f"found): the file was changed. Received: path={str(path)!r}"
        )
    return saved
