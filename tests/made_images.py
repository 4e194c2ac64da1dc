"""Miniatures of data sets in their true formats, made for tests."""

from pathlib import Path

import numpy as np
from PIL import Image

COUNTS = (8, 4, 2, 1)


def picture(path: Path, label: int = 0, pixels: int = 12) -> Path:
    """A small image whose colour tells its class."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(label).integers(0, 60, (pixels, pixels + 3, 3))
    values[..., label % 3] += 90 + 20 * (label // 3)
    Image.fromarray(values.clip(0, 255).astype(np.uint8)).save(path)
    return path


def folder(root: Path, counts: tuple[int, ...] = COUNTS, split: str = "") -> Path:
    """One folder of images per class, below a part's folder if one is named."""
    for label, count in enumerate(counts):
        for i in range(count):
            picture(root / split / f"class{label}" / f"{split}{i}.png", label)
    return root


def places(root: Path, layout: str, list_layout: str) -> Path:
    """Places-LT's lists and images: each in the layout "standard" or "256"."""
    classes = ("airfield", "arena-hockey", "zen_garden")
    lines: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for label, name in enumerate(classes):
        for part, count in (("train", 6 - 2 * label), ("val", 1), ("test", 2)):
            for i in range(count):
                file = f"{part}_{label}{i}.jpg"
                at = {"standard": _standard, "256": _packed}
                picture(root / at[layout](part, name, file), label)
                lines[part].append(f"{at[list_layout](part, name, file)} {label}")
    for part, found in lines.items():
        (root / f"Places_LT_{part}.txt").write_text("\n".join(found) + "\n")
    return root


def _standard(part: str, name: str, file: str) -> str:
    return f"{'train' if part == 'train' else 'val'}/{name}/{file}"


def _packed(part: str, name: str, file: str) -> str:
    if part == "train":
        return f"data_256/{name[0]}/{name.replace('-', '/')}/{file}"
    return f"val_256/{file}"


def imagenet(root: Path, *, flat: bool = False) -> Path:
    """ImageNet-LT's lists and images; the list of validation points into the folder train."""
    lines: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for label, name in enumerate(("n01440764", "n01443537", "n15075141")):
        for part, count in (("train", 6 - 2 * label), ("val", 1), ("test", 2)):
            for i in range(count):
                file = f"{name}_{part}{i}.JPEG"
                listed = f"{'val' if part == 'test' else 'train'}/{name}/{file}"
                lines[part].append(f"{listed} {label}")
                picture(root / (f"val/{file}" if flat and part == "test" else listed), label)
    for part, found in lines.items():
        (root / f"ImageNet_LT_{part}.txt").write_text("\n".join(found) + "\n")
    return root


def inat(root: Path) -> Path:
    """iNaturalist 2018's JSON and images."""
    import json

    categories = [{"id": i, "name": f"species {i}"} for i in range(3)]
    number = 0
    for part, counts in (("train", (6, 3, 2)), ("val", (2, 2, 2))):
        images, annotations = [], []
        for label, count in enumerate(counts):
            for _ in range(count):
                name = f"train_val2018/Plantae/{label}/{number}.jpg"
                picture(root / name, label)
                images.append({"id": number, "file_name": name})
                annotations.append({"id": number, "image_id": number, "category_id": label})
                number += 1
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"{part}2018.json").write_text(json.dumps(content))
    return root


def table(root: Path, header: str = "path,label", *rows: str) -> Path:
    """A CSV beside a folder of images; rows of its own where some are given."""
    folder(root)
    if not rows:
        rows = tuple(
            f"class{label}/{i}.png,{label}" for label, n in enumerate(COUNTS) for i in range(n)
        )
    file = root / "images.csv"
    file.write_text("\n".join([header, *rows]) + "\n")
    return file
