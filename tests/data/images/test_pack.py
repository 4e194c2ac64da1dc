"""Packed images are the files' images, and say when they are not any more."""

import json
import os

import numpy as np
import pytest
from PIL import Image

import keras_ccsam.data as ccdata
from keras_ccsam.data import ImageFiles, PackedImages, UnreadableImage, pack
from keras_ccsam.data.images import pack_claim
from tests.data.images.conftest import picture

pytestmark = pytest.mark.any_backend


@pytest.fixture
def store(folder):
    root, names, _ = folder()
    return ImageFiles(names, root, size=24)


def test_packed_pixels_are_those_of_the_files(store, tmp_path):
    found = pack(store, tmp_path / "pack")
    assert (found.images, found.form, found.side, found.bytes) == (40, "pixels", 24, 40 * 24 * 72)
    assert found.sha256[:8] in found.table() and found.to_dict()["images"] == 40
    packed = PackedImages(tmp_path / "pack")
    assert packed.shape == store.shape and packed.dtype == store.dtype
    assert np.array_equal(packed[:], store[:])
    assert np.array_equal(packed.take([7, 3])[1], store[3])
    packed.check()
    assert sorted(os.listdir(tmp_path / "pack")) == ["images.bin", "index.json"]


def test_a_part_of_the_files_is_found_in_a_pack_of_all(store, tmp_path):
    pack(store, tmp_path / "pack", side=32)
    part = store.take([30, 2, 11])
    packed = PackedImages.of(part, tmp_path / "pack")
    assert packed.shape == part.shape
    assert np.abs(packed[:].astype(int) - part[:]).mean() < 3
    assert not np.array_equal(packed[0], packed[1])


@pytest.mark.parametrize("form", ["pixels", "jpeg"])
def test_a_pack_is_trained_on_as_files_are(folder, tmp_path, form):
    root, names, labels = folder()
    store = ImageFiles(names, root, size=24)
    pack(store, tmp_path / "pack", form=form)
    x = PackedImages.of(store, tmp_path / "pack")
    data = ccdata.from_arrays(x, labels, validation_fraction=0.2)
    batches = [data.batches(batch_size=8, workers=workers) for workers in (1, 3)]
    for step in (1, 0):
        images, other = (sequence[step][0] for sequence in batches)
        assert images.shape == (8, 24, 24, 3)
        assert np.array_equal(images, other)
    assert data.validation[0][0].shape[1:] == (24, 24, 3)


def test_jpeg_keeps_proportions_and_is_not_enlarged(tmp_path):
    Image.fromarray(picture(600, 300)).save(tmp_path / "wide.png")
    Image.fromarray(picture(40, 20)).save(tmp_path / "small.png")
    store = ImageFiles(["wide.png", "small.png"], tmp_path, size=32)
    pack(store, tmp_path / "pack", form="jpeg", side=100, quality=95)
    packed = PackedImages.of(store, tmp_path / "pack")
    from keras_ccsam.data.images.decode import decode

    ends = packed.index.ends
    data = (tmp_path / "pack" / "images.bin").read_bytes()
    assert decode(data[: ends[0]]).shape == (100, 200, 3)
    assert decode(data[ends[0] :]).shape == (20, 40, 3)
    assert np.abs(packed[:].astype(int) - store[:]).mean() < 4


def test_the_same_pack_is_found_and_another_is_refused(store, tmp_path):
    first = pack(store, tmp_path / "pack")
    again = pack(store, tmp_path / "pack")
    assert again.seconds == 0 and again.sha256 == first.sha256
    before = (tmp_path / "pack" / "index.json").read_bytes()
    with pytest.raises(ValueError, match="Received: folder="):
        pack(store, tmp_path / "pack", side=12)
    with pytest.raises(ValueError, match="Received: folder="):
        pack(store.take([0, 1]), tmp_path / "pack")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(ValueError, match="new or empty"):
        pack(store, tmp_path / "mine")
    with pytest.raises(ValueError, match="a folder"):
        pack(store, tmp_path / "mine" / "notes.txt")
    assert (tmp_path / "pack" / "index.json").read_bytes() == before


def test_a_source_that_changed_is_refused(store, tmp_path):
    pack(store, tmp_path / "pack")
    Image.fromarray(picture(30, 30, seed=99)).save(store.path(5))
    with pytest.raises(ValueError, match=r"0/5.jpg was changed"):
        PackedImages.of(store, tmp_path / "pack")
    assert PackedImages.of(store.take([0, 1]), tmp_path / "pack").shape[0] == 2
    other = ImageFiles(["elsewhere.png"], store.root, size=24)
    with pytest.raises(ValueError, match=r"elsewhere.png is not in the pack"):
        PackedImages.of(other, tmp_path / "pack")


def test_a_pack_that_was_changed_is_noticed(store, tmp_path):
    pack(store, tmp_path / "pack")
    data = bytearray((tmp_path / "pack" / "images.bin").read_bytes())
    data[1000] ^= 255
    (tmp_path / "pack" / "images.bin").write_bytes(data)
    with pytest.raises(ValueError, match="SHA-256"):
        PackedImages(tmp_path / "pack").check()
    (tmp_path / "pack" / "images.bin").write_bytes(data[:-1])
    with pytest.raises(ValueError, match="bytes"):
        PackedImages(tmp_path / "pack")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kind": "packed images", "format": 99}'])
def test_an_index_that_is_none(tmp_path, content):
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(ValueError, match="Received: folder="):
        PackedImages(tmp_path)


def test_a_broken_image_leaves_no_pack_behind(store, tmp_path):
    with open(store.path(20), "wb") as file:
        file.write(b"broken")
    with pytest.raises(UnreadableImage):
        pack(store, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()
    (tmp_path / "own").mkdir()
    with pytest.raises(UnreadableImage):
        pack(store, tmp_path / "own")
    assert os.listdir(tmp_path / "own") == []


def test_what_a_killed_pack_left_is_cleared_away(store, tmp_path, monkeypatch):
    left = [tmp_path / "pack" / name for name in (".0123abcd.images.bin", "packing.json")]
    left[0].parent.mkdir()
    left[0].write_bytes(b"half")
    left[1].write_text(json.dumps({"process": {"pid": 7}}))
    monkeypatch.setattr(pack_claim.writer, "standing", lambda process: pack_claim.writer.HERE)
    with pytest.raises(ValueError, match=r"another process \(7\) packs into this folder"):
        pack(store, tmp_path / "pack")
    assert left[0].read_bytes() == b"half"
    monkeypatch.setattr(pack_claim.writer, "standing", lambda process: pack_claim.writer.GONE)
    pack(store, tmp_path / "pack")
    assert sorted(os.listdir(tmp_path / "pack")) == ["images.bin", "index.json"]


@pytest.mark.parametrize(
    "options", [{"form": "zip"}, {"side": 0}, {"quality": 0}, {"quality": 100, "form": "jpeg"}]
)
def test_options_outside_their_range(store, tmp_path, options):
    with pytest.raises(ValueError, match="Received: "):
        pack(store, tmp_path / "pack", **options)
    assert not (tmp_path / "pack").exists()


def test_progress_and_the_index_say_how_much_there_is(store, tmp_path):
    seen = []
    pack(store, tmp_path / "pack", progress=lambda done, of: seen.append((done, of)))
    assert seen == [(16, 40), (32, 40), (40, 40)]
    index = json.loads((tmp_path / "pack" / "index.json").read_text())
    assert index["bytes"] == (tmp_path / "pack" / "images.bin").stat().st_size
    assert index["paths"] == store.paths
