"""Sources of image files: names and counts before an image is read, and the right files after."""

import gzip
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_ccsam as cc
from keras_ccsam.data.images import decode
from keras_ccsam.data.sources import image_list, known_lists
from keras_ccsam.data.sources.recognise import IMAGE_SUFFIXES, recognise
from tests.made_images import COUNTS, folder, imagenet, inat, picture, places, table

pytestmark = pytest.mark.any_backend
PUBLISHED = Path(__file__).parents[5] / "shared" / "data" / "splits"


def counts(labels: np.ndarray) -> tuple[int, ...]:
    return tuple(np.bincount(labels).tolist())


def test_a_folder_holds_out_a_test_part_and_keeps_singletons(tmp_path: Path) -> None:
    found = cc.data.open_path(folder(tmp_path / "photos"))
    assert found.name == "photos" and found.class_names == ("class0", "class1", "class2", "class3")
    assert counts(found.y_train) == (6, 3, 1, 1) and counts(found.y_test) == (2, 1, 1)
    assert "4 of 15 images are held out" in found.notes[-1]
    assert "1 class has none" in found.notes[-1]
    files = {*found.x_train.paths, *found.x_test.paths}
    assert len(files) == 15
    # Positions count the files in their order, those held out included.
    every = sorted(files)
    assert [every[i] for i in found.positions] == found.x_train.paths


def test_nothing_is_read_before_it_is_asked_for(tmp_path: Path, monkeypatch) -> None:
    folder(tmp_path)
    monkeypatch.setattr(decode.Image, "open", lambda *_, **__: pytest.fail("an image was read"))
    found = cc.data.open_path(tmp_path, size=16)
    assert found.available == (6, 3, 1, 1) and found.x_train.shape == (11, 16, 16, 3)


def test_the_pixels_are_those_of_the_class(tmp_path: Path) -> None:
    found = cc.data.open_path(folder(tmp_path), size=8)
    for image, label in zip(found.x_train[:], found.y_train, strict=True):
        assert image.shape == (8, 8, 3) and image.dtype == np.uint8
        assert image.mean((0, 1)).argmax() == label % 3


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Training", "valid", "testing"), ("TRAIN", "dev", "tst")]
)
def test_parts_of_a_folder_in_their_spellings(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name, scale in zip(names, (4, 1, 2), strict=True):
        folder(tmp_path, (2 * scale, scale), name)
    found = cc.data.open_path(tmp_path)
    assert counts(found.y_train) == (8, 4)
    assert counts(found.y_validation) == (2, 1) and counts(found.y_test) == (4, 2)
    assert found.notes == ()


def test_a_set_with_a_validation_part_keeps_its_training_part_whole(tmp_path: Path) -> None:
    from keras_ccsam.data.tails.cut import cut
    from keras_ccsam.data.tails.tail import Tail

    for name in ("train", "val"):
        folder(tmp_path, (6, 3), name)
    made = cut(cc.data.open_path(tmp_path), Tail(None, validation_fraction=0.3))
    assert made.outline.validation_counts == (6, 3)
    assert any("cuts nothing" in note for note in made.notes)


def test_system_files_are_left_out_and_others_are_named(tmp_path: Path) -> None:
    folder(tmp_path)
    for name in ("Thumbs.db", ".DS_Store", "._0.png", "notes.txt"):
        (tmp_path / "class0" / name).write_bytes(b"x")
    (tmp_path / "__MACOSX").mkdir()
    picture(tmp_path / "class1" / "deeper" / "UPPER.JPG", 1)
    for name in ("..dots", ".git"):
        (tmp_path / name).mkdir()
    picture(tmp_path / "..dots" / "0.png", 1)
    found = cc.data.open_path(tmp_path)
    assert sum(found.available) + len(found.y_test) == 16
    assert [note for note in found.notes if note.startswith("the folder ..dots in ")]
    assert [note for note in found.notes if "notes.txt" in note]
    assert not [note for note in found.notes if "Thumbs" in note]


@pytest.mark.parametrize("images", ["standard", "256"])
@pytest.mark.parametrize("lists", ["standard", "256"])
def test_places_in_both_layouts(tmp_path: Path, images: str, lists: str) -> None:
    found = cc.data.open_path(places(tmp_path, images, lists))
    assert counts(found.y_train) == (6, 4, 2)
    assert counts(found.y_validation) == (1, 1, 1) and counts(found.y_test) == (2, 2, 2)
    assert found.class_names[2] == "zen_garden"
    for part, labels in ((found.x_train, found.y_train), (found.x_test, found.y_test)):
        assert [image.mean((0, 1)).argmax() for image in part[:]] == labels.tolist()
    assert any("called like the published list Places_LT_train" in note for note in found.notes)


@pytest.mark.parametrize("flat", [False, True])
def test_imagenet_with_its_validation_in_a_folder_or_in_many(tmp_path: Path, flat: bool) -> None:
    root = imagenet(tmp_path, flat=flat)
    lists = tmp_path / "lists"
    lists.mkdir()
    for file in root.glob("*.txt"):
        file.rename(lists / file.name)
    # The lists lie beside the images' folders, or the root is said.
    for found in (
        cc.data.open_path(lists),
        cc.data.open_path(lists / "ImageNet_LT_train.txt", root=str(tmp_path)),
    ):
        assert found.class_names == ("n01440764", "n01443537", "n15075141")
        assert counts(found.y_test) == (2, 2, 2) and len(found.x_test[:]) == 6


def test_line_ends_marks_blank_lines_and_spaces_in_lists(tmp_path: Path) -> None:
    names = ["a b/1.png", "a b/2.png", "c/1.png", "c/2.png"]
    for i, name in enumerate(names):
        picture(tmp_path / name, i // 2)
    text = "\r\n\r\n".join(f"{name} {i // 2}" for i, name in enumerate(names))
    file = tmp_path / "mine.txt"
    file.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n")
    found = cc.data.open_path(file)
    assert found.class_names == ("a b", "c") and counts(found.y_train) == (1, 1)
    with gzip.open(tmp_path / "packed.txt.gz", "wb") as packed:
        packed.write(file.read_bytes())
    assert cc.data.open_path(tmp_path / "packed.txt.gz").class_names == ("a b", "c")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published lists are not here")
def test_the_published_lists_are_recognised(tmp_path: Path) -> None:
    for name, classes in (("Places_LT_train", 365), ("Places_LT_v2_train", 365)):
        content = gzip.decompress((PUBLISHED / f"{name}.txt.gz").read_bytes())
        for number, text in enumerate((content, content.replace(b"\n", b"\r\n"))):
            file = tmp_path / f"{name}{number}.txt"
            file.write_bytes(text)
            found = image_list.listed(file)
            assert len(found.class_names) == classes and len(found.train) == 62_500
            assert f"the published list {name}" in found.notes[0]
        assert found.class_names[364] == "zen_garden"
    largest = np.bincount(found.train.labels)
    assert (largest.max(), largest.min()) == (4980, 5)


def test_a_known_list_is_known_by_its_content() -> None:
    assert known_lists.blob_id(b"what is up, doc?") == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"
    assert known_lists.known_list(b"train/a.jpg 0\n") is None


def test_inaturalist_is_tested_on_its_validation(tmp_path: Path) -> None:
    found = cc.data.open_path(inat(tmp_path))
    assert found.name == "inat2018" and found.class_names[1] == "species 1"
    assert counts(found.y_train) == (6, 3, 2) and counts(found.y_test) == (2, 2, 2)
    assert found.x_validation is None and "is the test part" in found.notes[0]
    assert found.x_train[0].mean((0, 1)).argmax() == 0


def test_a_table_with_all_columns(tmp_path: Path) -> None:
    rows = []
    for label, count in enumerate((8, 4)):
        for i in range(count):
            split = "train" if i < count // 2 else "val" if i == count // 2 else "test"
            rows.append(f"class{label}/{i}.png;{'cat' if label else 'dog'};{split};{i / 2}")
    file = table(tmp_path, "File;Species;Split;w", *rows)
    found = cc.data.open_path(file, weight_column="w")
    assert found.class_names == ("cat", "dog")
    assert counts(found.y_train) == (2, 4) and len(found.y_validation) == 2
    assert found.weights.tolist() == [0, 0.5, 1, 1.5, 0, 0.5]
    assert "path 'File'" in found.notes[0]
    assert found.notes[1].endswith("what the column 'w' says, 0 to 1.5")


def test_a_parquet_table(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    folder(tmp_path)
    paths = [f"class{label}/{i}.png" for label, n in enumerate(COUNTS) for i in range(n)]
    labels = [label for label, n in enumerate(COUNTS) for _ in range(n)]
    made = pyarrow.table({"image_path": paths, "label": labels, "thumb": [b"x"] * len(paths)})
    parquet.write_table(made, tmp_path / "images.parquet")
    found = cc.data.open_path(tmp_path / "images.parquet")
    assert counts(found.y_train) == (6, 3, 1, 1)


def test_groups_are_on_one_side(tmp_path: Path) -> None:
    folder(tmp_path, (12, 12, 6))
    rows = [
        f"class{label}/{i}.png,{label},patient{label}{i // 3}"
        for label, n in enumerate((12, 12, 6))
        for i in range(n)
    ]
    file = tmp_path / "images.csv"
    file.write_text("path,label,group\n" + "\n".join(rows))
    found = cc.data.open_path(file, test_fraction=0.3)
    at = {row.split(",")[0]: row.split(",")[2] for row in rows}
    sides = [{at[path] for path in part.paths} for part in (found.x_train, found.x_test)]
    assert not sides[0] & sides[1] and len(found.y_test)
    assert set(found.y_test.tolist()) == {0, 1, 2}
    assert "whole groups" in found.notes[-1]


@pytest.mark.any_backend
@pytest.mark.parametrize("grouped", [True, False])
def test_a_class_without_a_test_image_lacks_groups_or_images(tmp_path: Path, grouped: bool) -> None:
    rows = ["image,label,group", *(f"{i}.png,a,{i}" for i in range(5))]
    rows += [f"{i}.png,b,9" for i in range(5, 10 if grouped else 6)]
    for i in range(len(rows) - 1):
        Image.new("L", (8, 8), i).save(tmp_path / f"{i}.png")
    if not grouped:
        rows = [row.rpartition(",")[0] for row in rows]
    (tmp_path / "t.csv").write_text("\n".join(rows), encoding="utf-8")
    found = cc.data.open_path(tmp_path / "t.csv")
    want = "groups" if grouped else "images"
    assert found.notes[-1].endswith(f"1 class has none, for want of {want}")


def test_group_splits_meet_the_shares_and_empty_no_class() -> None:
    from keras_ccsam.data.tails.grouped import grouped_split

    rng = np.random.default_rng(3)
    groups = rng.integers(0, 200, 3000)
    labels = np.where(rng.random(3000) < 0.8, groups % 5, rng.integers(0, 5, 3000)).astype(np.int32)
    kept, held = grouped_split(labels, groups, 0.2, seed=1, stream=0)
    assert not set(groups[kept]) & set(groups[held])
    assert sorted([*kept, *held]) == list(range(3000))
    share = np.bincount(labels[held]) / np.bincount(labels)
    assert np.all(abs(share - 0.2) < 0.05), share
    again = grouped_split(labels, groups, 0.2, seed=1, stream=0)[1]
    other = grouped_split(labels, groups, 0.2, seed=2, stream=0)[1]
    assert np.array_equal(held, again) and not np.array_equal(held, other)
    # One group per class: none can be held out.
    assert len(grouped_split(labels % 2, labels % 2, 0.5, 0, 0)[1]) == 0


@pytest.mark.parametrize("packed", [False, True])
def test_arrays_stay_on_the_disk_where_they_can(tmp_path: Path, packed: bool) -> None:
    x = np.random.default_rng(0).integers(0, 255, (12, 5, 5, 3), dtype=np.uint8)
    arrays = {
        "x_train": x[:8],
        "y_train": np.arange(8) % 2,
        "x_test": x[8:],
        "y_test": [0, 1, 0, 1],
    }
    save = np.savez_compressed if packed else np.savez
    save(tmp_path / "all.npz", **arrays, class_names=["a", "b"])
    found = cc.data.open_path(tmp_path / "all.npz")
    assert isinstance(found.x_train, np.ndarray) == packed
    assert np.array_equal(found.x_train[:], x[:8]) and np.array_equal(
        found.x_test[[3, 1]], x[[11, 9]]
    )
    assert found.class_names == ("a", "b")
    for name, values in arrays.items():
        np.save(tmp_path / f"{name}.npy", values)
    mapped = cc.data.open_path(tmp_path)
    assert recognise(tmp_path).kind == "arrays" and not isinstance(mapped.x_train, np.ndarray)
    assert np.array_equal(mapped.x_train[2:4], x[2:4])


@pytest.mark.parametrize("pixels, size", [(8, 8), (32, 32), (50, 32), (100, 96), (300, 224)])
def test_the_size_is_that_of_the_images(tmp_path: Path, pixels: int, size: int) -> None:
    for label in range(2):
        for i in range(3):
            picture(tmp_path / f"{label}" / f"{i}.png", label, pixels)
    assert cc.data.open_path(tmp_path).x_train.shape[1:] == (size, size, 3)


def test_what_is_an_image_by_its_name_can_be_decoded() -> None:
    decoded = {ending for endings in decode.SUFFIXES.values() for ending in endings}
    assert decoded == IMAGE_SUFFIXES


def test_links_are_followed(tmp_path: Path) -> None:
    folder(tmp_path / "real")
    (tmp_path / "photos").mkdir()
    for label in range(4):
        (tmp_path / "photos" / f"class{label}").mkdir()
        for file in (tmp_path / "real" / f"class{label}").iterdir():
            (tmp_path / "photos" / f"class{label}" / file.name).symlink_to(file)
    assert Counter(cc.data.open_path(tmp_path / "photos").y_train.tolist())[0] == 6


def test_a_folder_of_other_bytes_has_a_name_that_files_keep(tmp_path: Path) -> None:
    folder(tmp_path, (2, 2))
    (tmp_path / "class0").rename(tmp_path / os.fsdecode(b"caf\xe9"))
    found = cc.data.open_path(tmp_path, test_fraction=0.0)
    assert found.class_names == ("caf\\xe9", "class1")
    assert found.x_train[:].shape[0] == 4
