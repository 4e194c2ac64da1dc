"""Files that cannot be read are left out before anything is counted, and named."""

import os

import numpy as np
import pytest

from keras_ccsam.data.sources import skipping
from keras_ccsam.data.sources.folder import load_folder
from keras_ccsam.data.sources.listing import Listing, Rows
from keras_ccsam.data.tails.cut import cut
from keras_ccsam.data.tails.tail import Tail

pytestmark = pytest.mark.any_backend


@pytest.fixture
def listing(folder):
    root, names, labels = folder()
    for row in (3, 25, 39):
        (root / names[row]).write_bytes(b"no image" * (row != 25))
    half = np.arange(40) % 2 == 1
    parts = [
        Rows([names[row] for row in np.flatnonzero(chosen)], labels[chosen].astype(np.int32))
        for chosen in (half, ~half)
    ]
    return Listing("set", root, ("a", "b", "c"), parts[0], test=parts[1], notes=("before",))


def test_counts_are_those_of_what_can_be_read(listing, tmp_path):
    found, skipped = skipping.readable(listing, tmp_path / "cache")
    assert np.bincount(listing.train.labels).tolist() == [12, 5, 3]
    assert np.bincount(found.train.labels).tolist() == [11, 4, 2]
    assert found.test.paths == listing.test.paths
    assert not {each.path for each in skipped} & set(found.train.paths)
    assert [(each.split, each.path, each.class_name, each.kind) for each in skipped] == [
        ("train", "0/3.jpg", "a", "foreign"),
        ("train", "1/25.jpg", "b", "empty"),
        ("train", "2/39.jpg", "c", "foreign"),
    ]
    assert found.notes[0] == "before"
    for words in ("3 images", "1 of class b (train)", "1/25.jpg: it has zero bytes"):
        assert words in found.notes[1]


def test_what_was_found_is_kept_until_a_file_changes(listing, tmp_path, monkeypatch):
    reads = []
    verify = skipping.verify
    monkeypatch.setattr(skipping, "verify", lambda *a: reads.append(len(a[0])) or verify(*a))
    first = skipping.readable(listing, tmp_path / "cache")
    again = skipping.readable(listing, tmp_path / "cache")
    assert reads == [20, 20] and again[1] == first[1]
    assert again[0].train.paths == first[0].train.paths
    os.utime(listing.root / listing.test.paths[0], ns=(1, 1))
    skipping.readable(listing, tmp_path / "cache")
    assert reads == [20, 20, 20]


def test_a_damaged_or_unwritable_cache_is_no_reason_to_stop(listing, tmp_path):
    expected = skipping.readable(listing, tmp_path / "cache")[1]
    for file in (tmp_path / "cache").iterdir():
        file.write_text("{")
    assert skipping.readable(listing, tmp_path / "cache")[1] == expected
    (tmp_path / "file").write_text("")
    assert skipping.readable(listing, tmp_path / "file")[1] == expected


def test_a_sound_listing_stays_as_it_is(folder, tmp_path):
    root, names, labels = folder()
    listing = Listing("set", root, ("a", "b", "c"), Rows(names, labels.astype(np.int32)))
    assert skipping.readable(listing, tmp_path / "cache") == (listing, ())


def test_a_folder_with_broken_images_is_trained_on_without_them(folder, tmp_path, monkeypatch):
    root, names, _ = folder()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))
    (root / names[0]).write_bytes(b"")
    found = load_folder(root, size=16, on_error="skip")
    images = cut(found, Tail(imbalance_ratio=None))
    assert sum(images.class_counts) + len(images.y_test) == 39
    assert [each.path for each in images.skipped] == [names[0]]
    assert any("1 image cannot be read and is left out" in note for note in images.notes)


def test_a_class_that_loses_all_of_its_images_is_named(listing, tmp_path):
    for path, label in zip(listing.train.paths, listing.train.labels, strict=True):
        if label == 2:
            (listing.root / path).write_bytes(b"")
    words = r"on_error=\"skip\" leaves no image of class c to train on.*Received: 2/\d+.*zero bytes"
    with pytest.raises(ValueError, match=words):
        skipping.readable(listing, tmp_path / "cache")


def test_a_name_that_is_no_utf_8_is_known_by_its_bytes(tmp_path):
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / name).write_bytes(b"")
    rows, none = Rows([name], np.zeros(1, np.int32)), Rows([], np.zeros(0, np.int32))
    listing = Listing("set", tmp_path, ("a", "b"), none, test=rows)
    for _ in range(2):
        found, skipped = skipping.readable(listing, tmp_path / "cache")
        assert [each.path for each in skipped] == [name] and len(found.test) == 0
    assert len(list((tmp_path / "cache").iterdir())) == 2  # one of each part
