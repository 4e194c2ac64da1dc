"""Every broken set is answered with one line that names the line, the row or the file."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import keras_ccsam as cc
from tests.made_images import COUNTS, folder, inat, picture, table

pytestmark = pytest.mark.any_backend

Made = Callable[[Path], Any]


def lines(text: str | bytes) -> Made:
    """A list with that text, beside images `a/0.png`, `a/1.png`, `b/0.png` and `b/1.png`."""

    def made(root: Path) -> Path:
        for name in "ab":
            for i in range(2):
                picture(root / name / f"{i}.png")
        file = root / "mine.txt"
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    return made


def rows(header: str, *found: str) -> Made:
    return lambda root: table(root, header, *found)


def annotations(**changes: Any) -> Made:
    """iNaturalist's JSON with other lists; None leaves one out."""

    def made(root: Path) -> Path:
        file = inat(root) / "train2018.json"
        content = json.loads(file.read_text()) | changes
        file.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
        return file

    return made


def changed(entry: str, **values: Any) -> Made:
    """iNaturalist's JSON with other values in the second entry of a list."""

    def made(root: Path) -> Path:
        file = inat(root) / "train2018.json"
        content = json.loads(file.read_text())
        content[entry][1] |= values
        file.write_text(json.dumps(content))
        return file

    return made


def arrays(**found: Any) -> Made:
    def made(root: Path) -> Path:
        np.savez(root / "mine.npz", **found)
        return root / "mine.npz"

    return made


def truncated(made: Made, name: str = "") -> Made:
    def cut(root: Path) -> Path:
        file = made(root)
        file.write_bytes(file.read_bytes()[:60])
        return file

    return cut


def parquet(root: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    file = root / "mine.parquet"
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.table({"path": ["a"]}), file)
    return file


def with_file(*names: str) -> Made:
    """Folders of classes, and files beside them."""

    def made(root: Path) -> Path:
        folder(root)
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(b"x")
        return root

    return made


def folders(*names: str) -> Made:
    def made(root: Path) -> Path:
        for name in names:
            (root / name).mkdir(parents=True, exist_ok=True)
        return root

    return made


def split_folders(*names: str, classes: tuple[int, ...] = (2, 2)) -> Made:
    def made(root: Path) -> Path:
        for name in names:
            folder(root, classes, name)
        return root

    return made


def unknown_class(root: Path) -> Path:
    split_folders("train", "test")(root)
    picture(root / "test" / "another" / "0.png")
    return root


def unreadable(root: Path) -> Path:
    folder(root)
    (root / "class1").chmod(0)
    return root


def unwanted(root: Path) -> Path:
    folder(root)
    for i in range(8):
        (root / "class0" / f"{i}.png").write_bytes(b"no image")
    return root


X = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 3), np.uint8)
Y = np.array([0, 1, 0, 1])

CASES: dict[str, tuple[Made, dict[str, Any], str]] = {
    # what the path is
    "nothing there": (lambda root: root / "photos", {}, "no such file or folder"),
    "empty name": (lambda root: "", {}, "must not be empty"),
    "empty folder": (lambda root: root, {}, "the folder is empty"),
    "images without folders": (
        lambda root: picture(root / "a.png").parent,
        {},
        "the classes are not told",
    ),
    "an image": (lambda root: picture(root / "a.png"), {}, "did you mean the folder"),
    "another file": (
        lambda root: root / "no.docx" if _write(root / "no.docx") else root,
        {},
        ".csv",
    ),
    "other folders": (folders("a", "b"), {}, "is no dataset that is known here: it holds a/, b/"),
    "CIFAR": (folders("cifar-10-batches-py"), {}, "--data cifar10-lt"),
    "list and JSON": (
        with_file("train.txt", "train.json"),
        {},
        "can be read in several ways: as 'list' (train.txt), or 'inat' (train.json)",
    ),
    "unknown kind": (folder, {"kind": "folders"}, "did you mean 'folder'"),
    "unknown option": (folder, {"sizes": 3}, "did you mean 'size'"),
    "size as text": (folder, {"size": "large"}, "`size` must be"),
    "size too small": (folder, {"size": 1}, "between 4 and 4,096"),
    "test fraction": (folder, {"test_fraction": 1.0}, "test_fraction=1.0"),
    # folders
    "a file as folder": (lines("a/0.png 0"), {"kind": "folder"}, "it is a file"),
    "one class": (split_folders("", classes=(4,)), {}, "two classes at least"),
    "one folder too high": (
        lambda root: folder(root / "photos").parent,
        {},
        "did you mean the folder",
    ),
    "empty class": (
        lambda root: folders("class9")(folder(root)),
        {},
        "holds no image: fill it, or take it away. Received: class='class9'",
    ),
    "image beside classes": (with_file("loose.jpg"), {}, "Received: 'loose.jpg'"),
    "test alone": (split_folders("test"), {}, "there is no part to train on"),
    "two training parts": (split_folders("train", "training"), {}, "may both be the train part"),
    "classes beside parts": (
        lambda root: folder(split_folders("train")(root)),
        {},
        "which are in no part",
    ),
    "class of the test alone": (unknown_class, {}, "class='another'"),
    "singletons alone": (split_folders("", classes=(1, 1)), {}, "no image can be held out"),
    "no image is one": (
        lambda root: _spoilt(folder(root)),
        {},
        "The image cannot be read",
    ),
    # lists
    "no label": (lines("a/0.png"), {}, "line 1 of mine.txt must be a path and a label"),
    "word as label": (
        lines("a/0.png 0\na/1.png cat"),
        {},
        "line 2 of mine.txt must end in a label",
    ),
    "negative label": (lines("a/0.png -1"), {}, "Received: label='-1'"),
    "NaN label": (lines("a/0.png nan"), {}, "Received: label='nan'"),
    "huge label": (lines("a/0.png 0\nb/0.png 2000000000"), {}, "without a gap"),
    "enormous label": (lines("a/0.png 0\nb/0.png 99999999999999"), {}, "line 2 of mine.txt"),
    "label gap": (lines("a/0.png 0\nb/0.png 2"), {}, "1 is the first that is missing"),
    "labels from 1": (lines("a/0.png 1\nb/0.png 2"), {}, "subtract 1 from each"),
    "no UTF-8": (lines(b"a/0.png 0\n\xff\xfe 1"), {}, "line 2 of mine.txt is no UTF-8 text"),
    "blank list": (lines("\n\r\n"), {}, "the list is empty"),
    "path upward": (
        lines("a/0.png 0\n../b/0.png 1"),
        {},
        "line 2 of mine.txt names a file outside",
    ),
    "absolute path": (lines("/etc/passwd 0"), {}, "outside the images' folder"),
    "missing image": (lines("a/0.png 0\nb/7.png 1"), {}, "no such file"),
    "other case": (lines("a/0.PNG 0\nb/0.png 1"), {}, "there is '0.png'"),
    "missing root": (lines("a/0.png 0\nb/0.png 1"), {"root": "nowhere"}, "root='nowhere'"),
    "wrong layout": (lines("x/0.png 0\ny/0.png 1"), {}, "no image of the list is found"),
    "two labels": (lines("a/0.png 0\nb/0.png 1\na/0.png 1"), {}, "listed with 0 and 1"),
    "no list to train on": (
        lambda root: lines("a/0.png 0")(root).rename(root / "x_test.txt").parent,
        {"kind": "list"},
        "ends in train.txt",
    ),
    "broken gzip": (
        lambda root: lines("a/0.png 0")(root).rename(root / "mine.txt.gz"),
        {},
        "the list cannot be read",
    ),
    # tables
    "no header of a path": (rows("where,label", "a,1"), {}, "no column that is called like a path"),
    "unknown column": (rows("path,label", "a,0"), {"label_column": "kind"}, "no column 'kind'"),
    "two columns": (rows("path,label,label", "a,0,0"), {}, "two columns of one name"),
    "short row": (
        rows("path,label", "class0/0.png,0", "class1/0.png"),
        {},
        "line 3 of images.csv has 1 values for 2 columns",
    ),
    "empty label": (
        rows("path,label", "class0/0.png,0", "class1/0.png,"),
        {},
        "row 3 of images.csv",
    ),
    "number as name": (
        rows("path,label", "class0/0.png,0", "class1/0.png,x"),
        {"labels": "numbers"},
        "row 3 of images.csv must have a whole number",
    ),
    "gap in a table": (
        rows("path,label", "class0/0.png,0", "class1/0.png,5"),
        {},
        'data.labels="names" takes the numbers as names',
    ),
    "negative in a table": (rows("path,label", "class0/0.png,-3"), {}, "row 2 of images.csv"),
    "unknown split": (
        rows("path,label,split", "class0/0.png,0,train", "class1/0.png,1,perhaps"),
        {},
        "row 3 of images.csv must say train, val or test",
    ),
    "nothing to train on": (
        rows("path,label,split", "class0/0.png,0,test", "class1/0.png,1,test"),
        {},
        "no row of the table is there to train on",
    ),
    "class of the test": (
        rows("path,label,split", "class0/0.png,0,train", "class1/0.png,1,test"),
        {},
        "row 3 of images.csv has a class that is not there to train on",
    ),
    "weights": (
        rows("path,label,weight", "class0/0.png,0,1", "class1/0.png,1,-1"),
        {"weight_column": "weight"},
        "row 3 of images.csv must have a weight of at least 0",
    ),
    "group in two parts": (
        rows(
            "path,label,split,patient",
            "class0/0.png,0,train,p",
            "class1/0.png,1,train,q",
            "class0/1.png,0,test,p",
        ),
        {},
        "group='p'",
    ),
    "image in two parts": (
        rows(
            "path,label,split",
            "class0/0.png,0,train",
            "class1/0.png,1,train",
            "class0/0.png,0,test",
        ),
        {},
        "in train and in test",
    ),
    "table without rows": (rows("path,label", ""), {}, "the table has no row"),
    "bytes in a table": (
        lambda root: _written(root / "t.csv", b"path,label\n\xff,1"),
        {},
        "line 2 is no UTF-8 text",
    ),
    "truncated Parquet": (truncated(parquet), {}, "the table cannot be read"),
    # annotations
    "truncated JSON": (truncated(annotations()), {}, "it is no JSON, or is truncated"),
    "JSON without keys": (annotations(images=None), {}, "lacks images"),
    "JSON of a list": (lambda root: _written(root / "a.json", b"[]"), {}, "images and annotations"),
    "no annotations": (annotations(annotations=[]), {}, "there are no annotations"),
    "no file name": (changed("images", file_name=None), {}, "images[1] of train2018.json lacks"),
    "image twice": (changed("images", id=0), {}, "images[1] of train2018.json has the id"),
    "image of none": (changed("annotations", image_id=999), {}, "annotations[1]"),
    "category as text": (changed("annotations", category_id="x"), {}, "category_id='x'"),
    "second category": (changed("annotations", image_id=0, category_id=2), {}, "a second category"),
    "file name upward": (changed("images", file_name="../../x.jpg"), {}, "images[1]"),
    # arrays
    "pickled objects": (arrays(x=X, y=np.array([0, 1, None, 1])), {}, "pickled"),
    "other lengths": (arrays(x=X, y=Y[:3]), {}, "one label per sample"),
    "other names": (arrays(pictures=X, y=Y), {}, "arrays are x and y"),
    "x_test alone": (arrays(x_train=X, y_train=Y, x_test=X), {}, "only x_test"),
    "another shape": (arrays(x_train=X, y_train=Y, x_test=X[:, 1:], y_test=Y), {}, "image shape"),
    "labels of floats": (arrays(x=X, y=Y + 0.5), {}, "Labels must be integers"),
    "NaN labels": (arrays(x=X, y=np.array([0, 1, np.nan, 1])), {}, "Labels must be integers"),
    "gap in arrays": (arrays(x=X, y=Y * 2), {}, "Every class needs a training image"),
    "huge label of arrays": (arrays(x=X, y=Y * 2_000_000_000), {}, "without a gap"),
    "truncated npz": (truncated(arrays(x=X, y=Y)), {}, "is truncated"),
    "no npz": (lambda root: _written(root / "x.npz", b"x"), {}, "is no npz"),
    "no saved dataset": (with_file("dataset_info.json"), {}, "Received: path="),
}


def _write(file: Path) -> bool:
    file.write_bytes(b"x")
    return True


def _written(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    return file


def _spoilt(root: Path) -> Path:
    for file in root.rglob("*.png"):
        file.write_bytes(b"no image")
    return root


@pytest.mark.parametrize("name", CASES)
def test_it_is_said(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, options, said = CASES[name]
    monkeypatch.chdir(tmp_path)
    path = made(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError) as error:
        source = cc.data.open_path(path, **options)
        from keras_ccsam.data.tails.cut import cut
        from keras_ccsam.data.tails.tail import Tail

        cut(source, Tail(None))
    text = str(error.value)
    assert said in text
    assert "Received: " in text and "\n" not in text
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    folder(tmp_path)
    (tmp_path / "class1").chmod(0)
    try:
        with pytest.raises(ValueError, match="permission denied"):
            cc.data.open_path(tmp_path)
    finally:
        (tmp_path / "class1").chmod(0o700)


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 40 and sum(COUNTS) == 15
