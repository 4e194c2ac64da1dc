"""JSON annotations as iNaturalist 2018 has them: images, annotations, categories."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam.data.sources import own_images as own
from keras_ccsam.data.sources.image_list import placed
from keras_ccsam.data.sources.listing import Listing, Rows, below
from keras_ccsam.data.sources.recognise import entries, kind_of_file, split_of_file
from keras_ccsam.data.sources.source import Source
from keras_ccsam.declare import part

LICENCE = (
    "Each image has its own; for research. G. Van Horn et al., The iNaturalist Species "
    "Classification and Detection Dataset, 2018."
)


@part("data", "inat")
def load_inat(
    path: str | os.PathLike[str] | None = None,
    root: own.Root = "",
    size: own.Size = "auto",
    channels: own.Channels = 3,
    test_fraction: own.TestFraction = 0.2,
    packed: own.Packed = "",
    on_error: own.OnError = "raise",
    *,
    seed: int = 0,
) -> Source:
    """JSON annotations as iNaturalist 2018 has them.

    Beside `train2018.json`, `val2018.json` is taken as the test part, as the field does: the labels
    of the test images are not public. Other sets in that form (COCO's, with one category per image)
    are read as well.

    Args:
        path: the JSON to train on, or its folder.
        root: the folder that the images' `file_name` are below; empty: that of the JSON, or one
            above it.
        size, channels, test_fraction, packed, on_error: as `own_images` explains them.
        seed: of the test images that are held out.

    Raises:
        ValueError: names the entry that is wrong, or the image that is missing.
    """
    where = own.given(path)
    found = placed(listed(where, root), where, root)
    return own.as_source(
        found, size, channels, test_fraction, seed, packed=packed, on_error=on_error
    )


def listed(path: Path, root: str = "") -> Listing:
    """What the annotations say; no image is looked for.

    Raises:
        ValueError: names what is wrong.
    """
    files = _files(path)
    read = {split: _read(file) for split, file in files.items()}
    names = _class_names(*read["train"], files["train"])
    base = Path(root).expanduser() if root else None
    parts = {s: _rows(*content, base or files[s].parent, names) for s, content in read.items()}
    ids = sorted(names)
    origin = f"the annotations {files['train']}"
    notes = []
    if ids != list(range(len(ids))):
        notes.append(f"{len(ids)} of the categories have images; they are numbered anew, in order")
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
        notes.append(f"{files['validation'].name} is the test part, as the field has it")
    return Listing(
        name="inat2018" if "2018" in files["train"].name else files["train"].stem,
        root=path if path.is_dir() else path.parent,
        class_names=tuple(names[i] for i in ids),
        train=parts["train"],
        test=parts.get("test"),
        origin=origin,
        notes=tuple(notes),
        licence=LICENCE if "2018" in files["train"].name else "the owner's",
    )


def _files(path: Path) -> dict[str, Path]:
    if not path.exists():
        raise ValueError(f"there is no such file or folder. Received: path={str(path)!r}")
    if path.is_file() and split_of_file(path.name) != "train":
        return {"train": path}
    folder = path if path.is_dir() else path.parent
    found: dict[str, Path] = {}
    for entry in entries(folder):
        split = split_of_file(entry.name)
        if split and kind_of_file(entry.name) == "inat" and split not in found:
            found[split] = Path(entry.path)
    if path.is_file():
        found["train"] = path
    if "train" not in found:
        raise ValueError(
            "there is no JSON of annotations to train on, such as train2018.json. "
            f"Received: path={str(path)!r}"
        )
    # Test annotations that are published have no labels.
    return {split: found[split] for split in ("train", "validation") if split in found}


def _read(file: Path) -> tuple[dict[str, Any], str]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    except UnicodeDecodeError:
        reason = "it is no UTF-8 text"
    except (ValueError, RecursionError) as error:
        reason = f"it is no JSON, or is truncated ({str(error)[:80]})"
    else:
        lacks = [
            key
            for key in ("images", "annotations")
            if not isinstance(content, dict) or not isinstance(content.get(key), list)
        ]
        if lacks:
            raise ValueError(
                "annotations are an object with the lists images and annotations, and this one "
                f"lacks {' and '.join(lacks)}. Received: path={str(file)!r}"
            )
        return content, file.name
    raise ValueError(f"the annotations cannot be read: {reason}. Received: path={str(file)!r}")


def _class_names(content: dict[str, Any], name: str, file: Path) -> dict[int, str]:
    """The name of each category that there are images of, by its number."""
    used = sorted(
        {
            _number(entry, "category_id", f"annotations[{i}] of {name}")
            for i, entry in enumerate(content["annotations"])
        }
    )
    if not used:
        raise ValueError(f"there are no annotations. Received: path={str(file)!r}")
    named: dict[int, str] = {}
    categories = content.get("categories") or []
    if not isinstance(categories, list):
        kind = type(categories).__name__
        raise ValueError(f"the categories of {name} must be a list. Received: categories of {kind}")
    for i, entry in enumerate(categories):
        where = f"categories[{i}] of {name}"
        label = _number(entry, "id", where)
        if label in named:
            raise ValueError(f"{where} has the id of another one. Received: id={label}")
        named[label] = str(entry.get("name", label))
    return {label: named.get(label, str(label)) for label in used}


def _rows(content: dict[str, Any], name: str, base: Path, names: dict[int, str]) -> Rows:
    paths: dict[int, str] = {}
    for i, entry in enumerate(content["images"]):
        where = f"images[{i}] of {name}"
        number = _number(entry, "id", where)
        text = entry.get("file_name")
        if not isinstance(text, str):
            raise ValueError(f"{where} lacks its file_name. Received: file_name={text!r}")
        if number in paths:
            raise ValueError(f"{where} has the id of another one. Received: id={number}")
        paths[number] = below(text, base, where)
    label_of = {number: label for label, number in enumerate(sorted(names))}
    found: dict[int, int] = {}
    for i, entry in enumerate(content["annotations"]):
        where = f"annotations[{i}] of {name}"
        image = _number(entry, "image_id", where)
        category = _number(entry, "category_id", where)
        if image not in paths:
            raise ValueError(
                f"{where} is of an image that is not there. Received: image_id={image}"
            )
        if category not in label_of:
            raise ValueError(
                f"{where} has a category that is not there to train on. "
                f"Received: category_id={category}"
            )
        if found.setdefault(image, label_of[category]) != label_of[category]:
            raise ValueError(
                f"{where} gives an image a second category, and it has one. "
                f"Received: image_id={image}"
            )
    without = [number for number in paths if number not in found]
    if without:
        raise ValueError(
            f"{len(without)} images of {name} have no annotation, the first is "
            f"{paths[without[0]]!r}. Received: {name}"
        )
    return Rows([paths[i] for i in found], np.fromiter(found.values(), np.int32, len(found)))


def _number(entry: Any, key: str, where: str) -> int:
    value = entry.get(key) if isinstance(entry, dict) else None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(
            f"{where} must have a whole number from 0 on as its {key}. Received: {key}={value!r}"
        )
    return value
