"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), downloaded by Keras or read from a local path."""

import os
import tarfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.npz import UNREADABLE, open_npz
from keras_ccsam.data.sources.array_checks import check_images
from keras_ccsam.data.sources.cifar_names import CIFAR10_NAMES, CIFAR100_NAMES
from keras_ccsam.data.sources.restricted_pickle import read_batch
from keras_ccsam.data.sources.source import Images, Source
from keras_ccsam.declare import part
from keras_ccsam.labels import check_labels

LICENCE = (
    "No licence is stated; made for research by Krizhevsky, Nair and Hinton. Cite: A. Krizhevsky, "
    "Learning Multiple Layers of Features from Tiny Images, 2009."
)


@dataclass(frozen=True)
class _Layout:
    """How one of the two sets is stored."""

    title: str
    folder: str
    archive: str
    train: tuple[str, ...]
    test: str
    label_key: str
    class_names: tuple[str, ...]

    @property
    def expected(self) -> str:
        return (
            f"the folder {self.folder} (with {self.train[0]} ... {self.test}), the folder that "
            f"contains it, {self.archive}, or an npz with x_train, y_train, x_test, y_test"
        )


_LAYOUTS = {
    "cifar10-lt": _Layout(
        title="CIFAR-10",
        folder="cifar-10-batches-py",
        archive="cifar-10-python.tar.gz",
        train=tuple(f"data_batch_{i}" for i in range(1, 6)),
        test="test_batch",
        label_key="labels",
        class_names=CIFAR10_NAMES,
    ),
    "cifar100-lt": _Layout(
        title="CIFAR-100",
        folder="cifar-100-python",
        archive="cifar-100-python.tar.gz",
        train=("train",),
        test="test",
        label_key="fine_labels",
        class_names=CIFAR100_NAMES,
    ),
}


@part("data", "cifar10-lt")
def load_cifar10(path: str | os.PathLike[str] | None = None) -> Source:
    """CIFAR-10: 32 x 32 colour images in ten classes; see `load_cifar`."""
    return load_cifar("cifar10-lt", path)


@part("data", "cifar100-lt")
def load_cifar100(path: str | os.PathLike[str] | None = None) -> Source:
    """CIFAR-100: 32 x 32 colour images in a hundred classes; see `load_cifar`."""
    return load_cifar("cifar100-lt", path)


def load_cifar(name: str, path: str | os.PathLike[str] | None = None) -> Source:
    """Reads a whole CIFAR set.

    Args:
        name: `"cifar10-lt"` or `"cifar100-lt"`.
        path: `None` lets Keras download the set into its cache (KERAS_HOME, default ~/.keras).
            Otherwise the folder of the Python batches, the folder that contains it, its .tar.gz, or
            an npz with x_train, y_train, x_test, y_test and optionally train_indices (the position
            of each training image in the set's own order).

    Raises:
        ValueError: if the download fails, or a file is missing, truncated or of another kind; the
            message names the path and what is expected there.
    """
    layout = _LAYOUTS[name]
    if path is None:
        return _source(name, layout, f"{layout.title}, downloaded by Keras", _download(layout))
    where = Path(path).expanduser()
    try:
        arrays = _read(where, layout)
        return _source(name, layout, f"{layout.title}, from {where}", arrays)
    except (*UNREADABLE, tarfile.TarError) as error:
        raise _unreadable(layout, error, path) from error


def class_names(name: str) -> tuple[str, ...]:
    """The classes of `"cifar10-lt"` or `"cifar100-lt"`, known before the images are there."""
    return _LAYOUTS[name].class_names


def check_path(name: str, path: str | os.PathLike[str]) -> None:
    """Refuses a path of `load_cifar` where there is nothing, without reading what is there.

    Raises:
        ValueError: as `load_cifar`.
    """
    if not Path(path).expanduser().exists():
        raise _unreadable(_LAYOUTS[name], "there is no such file or folder", path)


def _unreadable(layout: _Layout, reason: object, path: object) -> ValueError:
    return ValueError(
        f"{layout.title} cannot be read: {reason}. Expected {layout.expected}. "
        f"Received: path={str(path)!r}"
    )


def _source(name: str, layout: _Layout, origin: str, arrays: dict[str, NDArray[Any]]) -> Source:
    num_classes = len(layout.class_names)
    images: dict[str, Images] = {}
    labels = {}
    for half in ("train", "test"):
        x = check_images(arrays[f"x_{half}"], f"x_{half}")
        if x.shape[1:] != (32, 32, 3) or x.dtype != np.uint8:
            raise ValueError(
                f"x_{half} must be uint8 of the shape (N, 32, 32, 3), not {x.dtype} {x.shape}"
            )
        images[half] = x
        labels[half] = check_labels(arrays[f"y_{half}"], f"y_{half}", len(x), num_classes)
    positions = np.arange(len(images["train"]), dtype=np.int64)
    drawn = False
    if "train_indices" in arrays:
        given = arrays["train_indices"]
        if given.shape != positions.shape or given.dtype.kind not in "iu":
            raise ValueError(
                f"train_indices must be integers of the shape {positions.shape}, not "
                f"{given.dtype} {given.shape}"
            )
        positions = given.astype(np.int64)
        counts = np.bincount(labels["train"], minlength=num_classes)
        drawn = bool(counts.min() != counts.max())
    return Source(
        name=name,
        x_train=images["train"],
        y_train=labels["train"],
        x_test=images["test"],
        y_test=labels["test"],
        class_names=layout.class_names,
        positions=positions,
        origin=origin,
        licence=LICENCE,
        drawn=drawn,
    )


def _download(layout: _Layout) -> dict[str, NDArray[Any]]:
    package = keras.datasets.cifar10 if layout.title == "CIFAR-10" else keras.datasets.cifar100
    try:
        (x_train, y_train), (x_test, y_test) = package.load_data()
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise ValueError(
            f"Keras could not download {layout.title} ({error}). Give path= (on the command "
            f"line: --data-path) with {layout.expected}. Received: path=None"
        ) from error
    if keras.config.image_data_format() == "channels_first":
        x_train, x_test = (np.transpose(x, (0, 2, 3, 1)) for x in (x_train, x_test))
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def _read(where: Path, layout: _Layout) -> dict[str, NDArray[Any]]:
    if where.is_dir():
        for folder in (where, where / layout.folder):
            if any((folder / name).is_file() for name in (*layout.train, layout.test)):
                return _read_folder(folder, layout)
        if (where / layout.archive).is_file():
            return _read(where / layout.archive, layout)
        raise ValueError(f"the folder holds neither {layout.train[0]} nor {layout.folder}")
    if not where.is_file():
        raise ValueError("there is no such file or folder")
    if where.suffix == ".npz":
        return _read_npz(where)
    if where.name.endswith((".tar.gz", ".tgz", ".tar")):
        return _read_archive(where, layout)
    raise ValueError("the file is neither an npz nor a tar archive")


def _read_folder(folder: Path, layout: _Layout) -> dict[str, NDArray[Any]]:
    return _read_batches(layout, lambda name: (folder / name).open("rb"))


def _read_archive(where: Path, layout: _Layout) -> dict[str, NDArray[Any]]:
    with tarfile.open(where) as archive:
        members = {Path(m.name).name: m for m in archive.getmembers() if m.isfile()}

        def opened(name: str) -> IO[bytes]:
            # Members are read in place: nothing is unpacked, so no name can leave the folder.
            file = archive.extractfile(members[name]) if name in members else None
            if file is None:
                raise FileNotFoundError(name)
            return file

        return _read_batches(layout, opened)


def _read_npz(where: Path) -> dict[str, NDArray[Any]]:
    with open_npz(where) as file:
        wanted = ("x_train", "y_train", "x_test", "y_test")
        missing = [key for key in wanted if key not in file.files]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)} (it has {', '.join(file.files)})")
        keys = [*wanted, *(["train_indices"] if "train_indices" in file.files else [])]
        return {key: file[key] for key in keys}


def _read_batches(layout: _Layout, opened: Callable[[str], IO[bytes]]) -> dict[str, NDArray[Any]]:
    parts = {name: _read_one(layout, name, opened) for name in (*layout.train, layout.test)}
    return {
        "x_train": np.concatenate([parts[name][0] for name in layout.train]),
        "y_train": np.concatenate([parts[name][1] for name in layout.train]),
        "x_test": parts[layout.test][0],
        "y_test": parts[layout.test][1],
    }


def _read_one(
    layout: _Layout, name: str, opened: Callable[[str], IO[bytes]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(opened(name))
        except FileNotFoundError:
            raise ValueError(f"the batch {name} is missing") from None
        try:
            batch = read_batch(file)
        except ValueError as error:
            raise ValueError(f"{name} is {error}") from error
    data, labels = batch.get("data"), batch.get(layout.label_key)
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != 3072:
        raise ValueError(f"{name} lacks 'data' of the shape (N, 3072)")
    if not isinstance(labels, list | np.ndarray) or len(labels) != len(data):
        raise ValueError(f"{name} lacks '{layout.label_key}' for its {len(data)} images")
    # Stored plane by plane: 1024 red values, 1024 green, 1024 blue, each row after row.
    return data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.asarray(labels)
