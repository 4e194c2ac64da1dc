"""Image files of many kinds, made on the spot."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Folder = tuple[Path, list[str], np.ndarray]


def picture(width: int = 64, height: int = 48, seed: int = 0) -> np.ndarray:
    """(height, width, 3): smooth colours, so that what a JPEG loses is small."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    phase = rng.uniform(0, 6, size=3)
    waves = [np.sin(rows / 9 + p) + np.cos(columns / 11 - p) for p in phase]
    return np.clip(128 + 55 * np.stack(waves, axis=-1), 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Folder]:
    """Writes PNG and JPEG files of several sizes; returns their folder, names and classes."""

    def write(counts: tuple[int, ...] = (24, 10, 6)) -> Folder:
        labels = np.repeat(np.arange(len(counts)), counts)
        names = []
        for i, label in enumerate(labels):
            pixels = picture(40 + i % 7, 36 + i % 5, seed=i)
            # Half of the brightness says the class.
            pixels = (pixels // 2 + 30 * label).astype(np.uint8)
            names.append(f"{label}/{i}.{'jpg' if i % 2 else 'png'}")
            path = tmp_path / names[-1]
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(pixels).save(path)
        return tmp_path, names, labels

    return write
