"""A folder of JPEG files with the statistics of photographs, made without any.

Amplitudes fall with 1/f, as those of photographs do (Field 1987), the channels go together, and
ellipses with sharp edges lie over them. Shorter side 256 pixels, proportions from 3:4 to 4:3,
quality 90. Classes are 1,000 with sizes after a power law from 256 to 1, as those of ImageNet-LT.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHORTER = 256
QUALITY = 90
LARGEST = 256


def class_sizes(images: int, classes: int) -> np.ndarray:
    """(C,) sizes from 256 to 1 that add up to about `images`: n_c = 256 c^-a, at least 1."""
    place = np.arange(1, classes + 1, dtype=float)
    low, high = 0.0, 5.0
    sizes = np.ones(classes, int)
    for _ in range(60):
        power = (low + high) / 2
        sizes = np.maximum(1, np.round(LARGEST * place**-power)).astype(int)
        low, high = (power, high) if sizes.sum() > images else (low, power)
    return sizes


def photograph(seed: int) -> bytes:
    """The bytes of one JPEG file."""
    rng = np.random.default_rng(seed)
    longer = int(SHORTER * rng.uniform(1.0, 4 / 3))
    high, wide = (SHORTER, longer) if rng.random() < 0.7 else (longer, SHORTER)
    f = np.sqrt(np.fft.fftfreq(high)[:, None] ** 2 + np.fft.rfftfreq(wide)[None] ** 2)
    f[0, 0] = np.inf
    noise = rng.normal(size=(4, *f.shape)) + 1j * rng.normal(size=(4, *f.shape))
    shared, *own = np.fft.irfft2(noise / f, s=(high, wide))
    pixels = np.stack([shared + 0.4 * channel for channel in own], axis=-1)
    pixels = 120 + 50 * (pixels - pixels.mean()) / pixels.std()
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(2, 7)):
        x, y = rng.uniform(0, wide), rng.uniform(0, high)
        w, h = rng.uniform(10, 120, size=2)
        draw.ellipse((x, y, x + w, y + h), fill=tuple(rng.integers(0, 256, 3).tolist()))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def make(folder: Path, images: int, classes: int) -> tuple[list[str], list[int]]:
    """The files and their classes; those that are there already are kept."""
    sizes = class_sizes(images, classes)
    labels = np.repeat(np.arange(len(sizes)), sizes)[:images].tolist()
    names = [f"{label:04d}/{i:06d}.jpg" for i, label in enumerate(labels)]
    for i, name in enumerate(names):
        path = folder / name
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(photograph(i))
    return names, labels
