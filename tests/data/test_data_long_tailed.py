"""`LongTailedData`: parts, description and index files."""

import hashlib
import struct

import numpy as np
import pytest

import keras_ccsam.data as ccdata

pytestmark = pytest.mark.any_backend


@pytest.fixture(scope="module")
def data():
    return ccdata.load("digits-lt", imbalance_ratio=50, validation_fraction=0.2, seed=3)


def test_validation_is_cut_from_train(data):
    plain = ccdata.load("digits-lt", imbalance_ratio=50)
    both = np.concatenate([data.train_indices, data.validation_indices])
    assert sorted(both) == sorted(plain.train_indices)
    assert data.class_counts == tuple(np.bincount(data.y_train))
    assert min(data.class_counts) >= 1
    for whole, kept in zip(plain.class_counts, data.class_counts, strict=True):
        assert whole - kept == min(whole - 1, max(1, round(0.2 * whole)))


def test_digest_is_over_little_endian_64_bit(data):
    packed = b"".join(struct.pack("<q", i) for i in data.train_indices.tolist())
    assert data.index_sha256 == hashlib.sha256(packed).hexdigest()


def test_indices_round_trip(data, tmp_path):
    path = tmp_path / "indices.npz"
    data.save_indices(path)
    saved = ccdata.load_indices(path)
    assert saved.name == "digits-lt"
    assert np.array_equal(saved.train_indices, data.train_indices)
    assert np.array_equal(saved.validation_indices, data.validation_indices)
    assert saved.class_counts == data.class_counts
    assert saved.index_sha256 == data.index_sha256
    assert [p.name for p in tmp_path.iterdir()] == ["indices.npz"]
    first = path.read_bytes()
    data.save_indices(path)
    assert path.read_bytes() == first


def test_a_failed_write_leaves_the_old_file(data, tmp_path, monkeypatch):
    path = tmp_path / "indices.npz"
    path.write_bytes(b"old")

    def full_disk(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="no space"):
        data.save_indices(path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["indices.npz"]


def test_bad_index_files(data, tmp_path):
    with pytest.raises(ValueError, match="folder of an index file must exist"):
        data.save_indices(tmp_path / "absent" / "indices.npz")
    path = tmp_path / "indices.npz"
    with pytest.raises(ValueError, match="Received: path="):
        ccdata.load_indices(path)
    path.write_bytes(b"garbage")
    with pytest.raises(ValueError, match="no npz"):
        ccdata.load_indices(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(ValueError, match="index file written by save_indices"):
        ccdata.load_indices(path)
    data.save_indices(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="Received: path="):
        ccdata.load_indices(path)


def test_changed_indices_are_noticed(data, tmp_path):
    path = tmp_path / "indices.npz"
    data.save_indices(path)
    with np.load(path) as file:
        content = {key: file[key] for key in file.files}
    content["train_indices"][0] += 1
    np.savez(path, **content)
    with pytest.raises(ValueError, match="SHA-256"):
        ccdata.load_indices(path)


def test_description(data):
    facts = data.describe()
    assert facts["train"] == sum(row["train"] for row in facts["classes"]) == len(data.y_train)
    assert facts["validation"] == sum(row["validation"] for row in facts["classes"])
    assert facts["test"] == 500
    assert [row["train"] for row in facts["classes"]] == list(data.class_counts)
    assert facts["classes"][3]["name"] == "3"
    assert facts["index_sha256"] == data.index_sha256
    assert facts["settings"]["imbalance_ratio"] == 50
    assert "train=" in repr(data)


def test_parts(data):
    assert data.train.split == "train"
    assert data.validation.num_images == sum(r["validation"] for r in data.describe()["classes"])
    assert data.test.num_images == 500
    assert data.train is not data.train
    # Groups are defined by the training counts, whatever is evaluated.
    assert data.test.class_counts == data.class_counts
    with pytest.raises(ValueError, match="without a validation part"):
        ccdata.load("digits-lt").batches("validation")
    with pytest.raises(ValueError, match="split='dev'"):
        data.batches("dev")


def test_loading_is_reproducible():
    first = ccdata.load("digits-lt", protocol="seeded", seed=1, validation_fraction=0.1)
    again = ccdata.load("digits-lt", protocol="seeded", seed=1, validation_fraction=0.1)
    other = ccdata.load("digits-lt", protocol="seeded", seed=2, validation_fraction=0.1)
    assert first.index_sha256 == again.index_sha256 != other.index_sha256
    assert np.array_equal(first.validation_indices, again.validation_indices)
