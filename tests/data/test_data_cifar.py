"""CIFAR from local files of every format, whole and broken."""

import io
import os
import pickle
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_ccsam.data as ccdata
from keras_ccsam.data.sources.cifar import load_cifar
from keras_ccsam.data.sources.restricted_pickle import read_batch

pytestmark = pytest.mark.any_backend


def expected_images(files, names):
    planes = np.concatenate([files[name][b"data"] for name in names])
    return planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


TRAIN10 = [f"data_batch_{i}" for i in range(1, 6)]


@pytest.mark.parametrize("protocol", range(6))
def test_cifar10_python_batches_of_every_pickle_protocol(write_batches, protocol):
    folder, files = write_batches(10, protocol=protocol)
    source = load_cifar("cifar10-lt", folder)
    labels = [label for name in TRAIN10 for label in files[name][b"labels"]]
    assert source.y_train.tolist() == labels
    assert np.array_equal(source.x_train, expected_images(files, TRAIN10))
    assert np.array_equal(source.x_test, expected_images(files, ["test_batch"]))
    assert source.y_test.tolist() == files["test_batch"][b"labels"]
    assert source.positions.tolist() == list(range(40))


def test_cifar100_reads_fine_labels(write_batches):
    folder, files = write_batches(100)
    source = load_cifar("cifar100-lt", folder)
    assert source.num_classes == 100
    assert source.y_train.tolist() == files["train"][b"fine_labels"]
    assert np.array_equal(source.x_train, expected_images(files, ["train"]))


def test_parent_folder_archive_and_home(write_batches, pack, monkeypatch):
    folder, _ = write_batches(10)
    direct = load_cifar("cifar10-lt", folder)
    archive = pack(folder)
    monkeypatch.setenv("HOME", str(folder.parent))
    for path in (folder.parent, str(folder), archive, "~/cifar-10-batches-py"):
        source = load_cifar("cifar10-lt", path)
        assert np.array_equal(source.x_train, direct.x_train)
        assert np.array_equal(source.y_test, direct.y_test)
    shutil.rmtree(folder)
    archive.rename(archive.parent / "cifar-10-python.tar.gz")
    assert len(load_cifar("cifar10-lt", folder.parent).x_train) == 40


def test_python_2_pickle_is_read():
    # What Python 2 wrote: byte strings (opcode U), the old module path of NumPy, protocol 2.
    raw = bytes(range(12))
    stream = (
        b"\x80\x02}(U\x04dataq\x00cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
        b"K\x00\x85U\x01b\x87R(K\x01K\x02K\x06\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x0c" + raw + b"tb"
        b"U\x06labels](K\x03K\x07eu."
    )
    batch = read_batch(io.BytesIO(stream))
    assert batch["labels"] == [3, 7]
    assert batch["data"].tolist() == np.arange(12).reshape(2, 6).tolist()


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_survive_the_restricted_reader(protocol):
    content = {
        "fortran": np.asfortranarray(np.arange(6, dtype=np.int64).reshape(2, 3)),
        "big endian": np.arange(3, dtype=">i4"),
        "scalars": [np.int64(4), np.uint8(9), 2],
    }
    batch = read_batch(io.BytesIO(pickle.dumps(content, protocol=protocol)))
    assert batch["fortran"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert batch["big endian"].tolist() == [0, 1, 2]
    assert batch["scalars"] == [4, 9, 2]


class RunsACommand:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


class Evaluates:
    def __reduce__(self):
        return eval, ("1 + 1",)


class LoadsFromNumpy:
    def __reduce__(self):
        return np.load, ("other.npy", None, True)


def test_a_malicious_pickle_is_refused_and_nothing_runs(write_batches, tmp_path):
    folder, _ = write_batches(10)
    marker = tmp_path / "ran"
    for payload in (RunsACommand(marker), Evaluates(), LoadsFromNumpy()):
        for protocol in (0, 2, 4):
            content = {b"labels": [0], b"data": payload}
            (folder / "data_batch_3").write_bytes(pickle.dumps(content, protocol=protocol))
            with pytest.raises(ValueError, match=r"data_batch_3.*not admitted") as error:
                load_cifar("cifar10-lt", folder)
            assert str(folder) in str(error.value)
            assert not marker.exists()
    # The same payload runs under the plain unpickler: the test would notice a lapse.
    pickle.loads(pickle.dumps(RunsACommand(marker)))
    assert marker.exists()


def test_object_arrays_and_lying_shapes_are_refused():
    odd = np.array([{"a": 1}], dtype=object)
    with pytest.raises(ValueError, match="not a readable batch"):
        read_batch(io.BytesIO(pickle.dumps({"data": odd})))
    stream = pickle.dumps({"data": np.zeros((2, 3), np.uint8)}, protocol=2)
    lying = stream.replace(b"K\x02K\x03\x86", b"K\x7fK\x7f\x86")
    assert lying != stream
    with pytest.raises(ValueError, match="wrong number of bytes"):
        read_batch(io.BytesIO(lying))


def broken(folder: Path, kind: str) -> str:
    """Damages a folder of batches and returns what the message should say."""
    batch = folder / "data_batch_2"
    if kind == "missing":
        batch.unlink()
        return "data_batch_2 is missing"
    if kind == "truncated":
        batch.write_bytes(batch.read_bytes()[:-700])
        return "data_batch_2 is not a readable batch"
    if kind == "empty":
        batch.write_bytes(b"")
        return "data_batch_2 is not a readable batch"
    if kind == "garbage":
        batch.write_bytes(b"<html>404 not found</html>")
        return "data_batch_2 is not a readable batch"
    contents = {
        "no labels": {b"data": np.zeros((1, 3072), np.uint8)},
        "labels no list": {b"data": np.zeros((1, 3072), np.uint8), b"labels": 5},
        "other image size": {b"data": np.zeros((1, 48), np.uint8), b"labels": [0]},
        "label out of range": {b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]},
        "no dictionary": [1, 2],
    }
    batch.write_bytes(pickle.dumps(contents[kind], protocol=2))
    return {
        "no labels": "lacks 'labels'",
        "labels no list": "lacks 'labels'",
        "other image size": "lacks 'data'",
        "label out of range": "from 0 to 9",
        "no dictionary": "does not hold a dictionary",
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "missing",
        "truncated",
        "empty",
        "garbage",
        "no labels",
        "labels no list",
        "other image size",
        "label out of range",
        "no dictionary",
    ],
)
def test_broken_batches_give_one_line_with_path_and_expectation(write_batches, kind):
    folder, _ = write_batches(10)
    reason = broken(folder, kind)
    with pytest.raises(ValueError) as error:
        load_cifar("cifar10-lt", folder)
    message = str(error.value)
    assert reason in message
    assert "cifar-10-batches-py" in message
    assert message.endswith(f"Received: path={str(folder)!r}")
    assert "\n" not in message


def test_wrong_places(tmp_path, write_batches):
    folder, _ = write_batches(100)
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "bad.tar.gz").write_bytes(b"not an archive")
    (tmp_path / "bad.npz").write_bytes(b"not an archive")
    np.savez(tmp_path / "lacks.npz", x_train=np.zeros((1, 32, 32, 3), np.uint8))
    for path, reason in [
        (tmp_path / "absent", "no such file or folder"),
        (tmp_path / "notes.txt", "neither an npz nor a tar"),
        (tmp_path / "bad.tar.gz", "gzip"),
        (tmp_path / "bad.npz", "no npz"),
        (tmp_path / "lacks.npz", "lacks y_train, x_test, y_test"),
        (folder, "holds neither data_batch_1"),  # CIFAR-100 where CIFAR-10 is wanted
    ]:
        with pytest.raises(ValueError, match=reason) as error:
            ccdata.load("cifar10-lt", path=path)
        assert f"path={str(path)!r}" in str(error.value)


def test_npz_truncated_or_with_pickles(cifar_npz):
    path = cifar_npz([4] * 10)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="truncated"):
        load_cifar("cifar10-lt", path)
    path = cifar_npz([4] * 10, y_train=np.array([{}] * 40, dtype=object))
    with pytest.raises(ValueError, match="cannot be read"):
        load_cifar("cifar10-lt", path)


def test_npz_of_another_shape(cifar_npz):
    path = cifar_npz([4] * 10, x_train=np.zeros((40, 3, 32, 32), np.uint8))
    with pytest.raises(ValueError, match=r"\(N, 32, 32, 3\)"):
        load_cifar("cifar10-lt", path)


def test_npz_is_cut_like_the_published_protocol(cifar_npz):
    path = cifar_npz([40] * 10)
    data = ccdata.load("cifar10-lt", path=path, imbalance_ratio=20)
    labels = np.repeat(np.arange(10), 40)
    stream = np.random.RandomState(0)
    expected = []
    for label, count in enumerate(ccdata.profile_counts(40, 10, 20)):
        rows = np.flatnonzero(labels == label)
        stream.shuffle(rows)
        expected.extend(rows[:count])
    assert data.train_indices.tolist() == expected
    with np.load(path) as file:
        assert np.array_equal(data.x_train, file["x_train"][expected])


@pytest.fixture
def drawn(cifar_npz):
    """A whole set, and a file that holds only its draw at ratio 5."""
    whole = cifar_npz([40] * 10, name="whole.npz")
    data = ccdata.load("cifar10-lt", path=whole, imbalance_ratio=5)
    path = cifar_npz(
        list(data.class_counts),
        name="drawn.npz",
        x_train=data.x_train,
        y_train=data.y_train,
        train_indices=data.train_indices,
    )
    return whole, path


@pytest.mark.parametrize("ratio", [5, 10, 40])
def test_a_long_tailed_file_gives_the_nested_draw(drawn, ratio):
    whole, path = drawn
    expected = ccdata.load("cifar10-lt", path=whole, imbalance_ratio=ratio)
    data = ccdata.load("cifar10-lt", path=path, imbalance_ratio=ratio)
    assert data.index_sha256 == expected.index_sha256
    assert np.array_equal(data.x_train, expected.x_train)
    assert np.array_equal(data.y_train, expected.y_train)


def test_the_draw_of_cc_sams_code_from_a_part_of_the_set_is_noted(drawn):
    _, path = drawn
    note = "draws from that part: these are not the images of CC-SAM's code"
    found = ccdata.load("cifar10-lt", path=path, protocol="ccsam", imbalance_ratio=10)
    assert any(note in text for text in found.notes)
    assert not ccdata.load("cifar10-lt", path=path, imbalance_ratio=10).notes


def test_a_long_tailed_file_cannot_give_a_smaller_ratio(drawn):
    _, path = drawn
    with pytest.raises(ValueError, match=r"Class 1 \(automobile\).* has 33 images .*wants 34"):
        ccdata.load("cifar10-lt", path=path, imbalance_ratio=4)


def test_no_ratio_keeps_the_file_as_it_is(drawn):
    _, path = drawn
    data = ccdata.load("cifar10-lt", path=path, imbalance_ratio=None)
    with np.load(path) as file:
        assert np.array_equal(data.train_indices, file["train_indices"])
        assert np.array_equal(data.x_train, file["x_train"])


def test_a_file_without_a_class(cifar_npz):
    path = cifar_npz([4] * 9 + [0])
    with pytest.raises(ValueError, match=r"class 9 \(truck\) has none"):
        ccdata.load("cifar10-lt", path=path, imbalance_ratio=2)


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_keras_downloader_is_used_and_its_layout_undone(monkeypatch, layout):
    images = np.random.default_rng(0).integers(0, 256, size=(20, 32, 32, 3), dtype=np.uint8)
    labels = np.repeat(np.arange(10), 2).astype(np.uint8)[:, None]
    given = images if layout == "channels_last" else images.transpose(0, 3, 1, 2)
    monkeypatch.setattr(keras.config, "image_data_format", lambda: layout)
    monkeypatch.setattr(
        keras.datasets.cifar10, "load_data", lambda: ((given, labels), (given, labels))
    )
    source = load_cifar("cifar10-lt")
    assert np.array_equal(source.x_train, images)
    assert source.y_train.tolist() == labels[:, 0].tolist()


def test_a_failed_download_points_to_path(monkeypatch):
    def no_network():
        raise Exception("URL fetch failure on https://example.org: None -- no route to host")

    monkeypatch.setattr(keras.datasets.cifar100, "load_data", no_network)
    with pytest.raises(ValueError, match=r"no route to host.*Give path= .*--data-path.* cifar-100"):
        ccdata.load("cifar100-lt")
