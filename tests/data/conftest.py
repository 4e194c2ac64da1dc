"""Tiny CIFAR files in every format that the reader takes, made on the spot."""

import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Files = dict[str, Any]


def python_batches(num_classes: int, per_class: int = 4, test_per_class: int = 2) -> Files:
    """Batches as CIFAR stores them: 'data' plane by plane, labels in a list, bytes as keys."""
    rng = np.random.default_rng(0)

    def batch(count: int, labels: np.ndarray) -> dict[bytes, Any]:
        data = rng.integers(0, 256, size=(count, 3072), dtype=np.uint8)
        key = b"labels" if num_classes == 10 else b"fine_labels"
        return {b"batch_label": b"a batch", key: labels.tolist(), b"data": data}

    train = rng.permutation(np.repeat(np.arange(num_classes), per_class))
    test = np.repeat(np.arange(num_classes), test_per_class)
    if num_classes == 100:
        return {"train": batch(len(train), train), "test": batch(len(test), test)}
    parts = {
        f"data_batch_{i + 1}": batch(len(labels), labels)
        for i, labels in enumerate(np.array_split(train, 5))
    }
    return parts | {"test_batch": batch(len(test), test)}


@pytest.fixture
def write_batches(tmp_path: Path) -> Callable[..., tuple[Path, Files]]:
    """Writes a folder of Python batches; returns it and what was written."""

    def write(num_classes: int = 10, protocol: int = 2, **sizes: int) -> tuple[Path, Files]:
        name = "cifar-10-batches-py" if num_classes == 10 else "cifar-100-python"
        folder = tmp_path / name
        folder.mkdir()
        files = python_batches(num_classes, **sizes)
        for file, content in files.items():
            (folder / file).write_bytes(pickle.dumps(content, protocol=protocol))
        return folder, files

    return write


@pytest.fixture
def cifar_npz(tmp_path: Path) -> Callable[..., Path]:
    """Writes an npz of CIFAR-10 shape with the class counts that are asked for."""

    def write(counts: list[int], name: str = "cifar.npz", **extra: np.ndarray) -> Path:
        rng = np.random.default_rng(1)
        labels = np.repeat(np.arange(len(counts)), counts).astype(np.uint8)
        path = tmp_path / name
        arrays = {
            "x_train": rng.integers(0, 256, size=(len(labels), 32, 32, 3), dtype=np.uint8),
            "y_train": labels,
            "x_test": np.zeros((len(counts), 32, 32, 3), dtype=np.uint8),
            "y_test": np.arange(len(counts), dtype=np.uint8)[:, None],
        }
        np.savez(path, **(arrays | extra))
        return path

    return write


def as_archive(folder: Path) -> Path:
    """Packs a folder of batches the way it is published."""
    path = folder.parent / "packed.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, arcname=folder.name)
    return path


@pytest.fixture
def pack() -> Callable[[Path], Path]:
    return as_archive
