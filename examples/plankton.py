"""Draws a folder of photographs for trying the command line: plankton of six kinds, long-tailed.

    python examples/plankton.py photos                 # 332 images, 200 to 2 per class
    python examples/plankton.py photos --largest 60 --ratio 20

One folder per class, as `ccsam train ccsam --data photos/` takes it. Each image is grey plankton of
random size, place and turn on a noisy background, as a camera in the sea would see it.
"""

import argparse
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 64
# Shapes are drawn four times as large, so that turning them leaves smooth edges.
LARGE = 4 * SIDE

Draw = ImageDraw.ImageDraw


def copepod(draw: Draw, rng: np.random.Generator) -> None:
    """A drop with two long antennae and a forked tail."""
    draw.ellipse((88, 60, 168, 190), fill=200, outline=240)
    reach = int(rng.integers(70, 100))
    draw.line((110, 75, 128 - reach, 70 + reach // 3), fill=220, width=5)
    draw.line((146, 75, 128 + reach, 70 + reach // 3), fill=220, width=5)
    draw.line((128, 185, 112, 235), fill=220, width=5)
    draw.line((128, 185, 144, 235), fill=220, width=5)


def diatom(draw: Draw, rng: np.random.Generator) -> None:
    """A chain of boxes."""
    count = int(rng.integers(4, 8))
    for i in range(count):
        left = 128 - 15 * count + 30 * i
        draw.rectangle((left, 100, left + 26, 156), fill=150, outline=240, width=4)


def radiolarian(draw: Draw, rng: np.random.Generator) -> None:
    """A ball with spines on all sides."""
    for i in range(count := int(rng.integers(9, 16))):
        angle = 2 * math.pi * i / count
        end = (128 + 105 * math.cos(angle), 128 + 105 * math.sin(angle))
        draw.line((128, 128, *end), fill=230, width=4)
    draw.ellipse((83, 83, 173, 173), fill=170, outline=240, width=5)


def jellyfish(draw: Draw, rng: np.random.Generator) -> None:
    """A bell with tentacles."""
    draw.pieslice((58, 50, 198, 190), 180, 360, fill=180, outline=240)
    for left in range(70, 195, 20):
        points = [(left + 8 * math.sin(y / 12 + left), y) for y in range(120, 230, 6)]
        draw.line(points[: int(rng.integers(10, 19))], fill=210, width=4)


def larva(draw: Draw, rng: np.random.Generator) -> None:
    """A bent worm with a thick head."""
    bend = rng.uniform(20, 55)
    points = [(x, 128 + bend * math.sin(x / 38)) for x in range(50, 210, 4)]
    draw.line(points, fill=190, width=24, joint="curve")
    draw.ellipse((30, points[0][1] - 24, 80, points[0][1] + 24), fill=230)


def dinoflagellate(draw: Draw, rng: np.random.Generator) -> None:
    """An armoured body with one horn in front and two behind."""
    horn = int(rng.integers(0, 30))
    draw.polygon([(128, 20 + horn), (175, 128), (128, 150), (81, 128)], fill=190, outline=240)
    draw.polygon([(85, 128), (75, 225), (110, 140)], fill=190, outline=240)
    draw.polygon([(171, 128), (181, 225), (146, 140)], fill=190, outline=240)


# The most frequent first.
KINDS = (copepod, diatom, radiolarian, jellyfish, larva, dinoflagellate)


def photograph(kind: int, rng: np.random.Generator) -> Image.Image:
    """A drawn animal on a noisy background, 64 x 64 in colour."""
    shape = Image.new("L", (LARGE, LARGE))
    KINDS[kind](ImageDraw.Draw(shape), rng)
    shape = shape.rotate(rng.uniform(0, 360), Image.Resampling.BILINEAR)
    size = int(rng.uniform(0.6, 0.95) * SIDE)
    shape = shape.resize((size, size), Image.Resampling.LANCZOS)
    whole = Image.new("L", (SIDE, SIDE))
    whole.paste(shape, tuple(int(x) for x in rng.integers(0, SIDE - size + 1, 2)))
    light = np.asarray(whole.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8))), np.float64)
    sea = rng.uniform(25, 60) + rng.normal(0, 9, (SIDE, SIDE)) + 0.5 * light
    colour = np.stack([sea * tint for tint in (0.8, 1.0, 1.15)], axis=-1)
    return Image.fromarray(colour.clip(0, 255).astype(np.uint8))


def counts(largest: int, ratio: float) -> list[int]:
    """Images of each class, falling exponentially."""
    last = len(KINDS) - 1
    return [max(1, round(largest * ratio ** (-kind / last))) for kind in range(last + 1)]


def main() -> None:
    """Draw the folder."""
    parser = argparse.ArgumentParser(description="Draw a folder of plankton, one folder per class.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--largest", type=int, default=200, help="images of the largest class")
    parser.add_argument("--ratio", type=float, default=100, help="largest class over smallest")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    if chosen.folder.exists() and any(chosen.folder.iterdir()):
        parser.error(f"the folder {chosen.folder} is not empty")
    rng = np.random.default_rng(chosen.seed)
    for kind, count in enumerate(counts(chosen.largest, chosen.ratio)):
        folder = chosen.folder / KINDS[kind].__name__
        folder.mkdir(parents=True)
        for i in range(count):
            photograph(kind, rng).save(folder / f"{i:04}.jpg", quality=90)
        print(f"{folder}: {count} images")


if __name__ == "__main__":
    main()
