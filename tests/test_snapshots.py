"""States of a run on disk: exact, and whole or passed over."""

import errno
import json
import shutil
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from keras_ccsam import atomic, snapshots

pytestmark = pytest.mark.any_backend

ARRAYS = {
    "dense/kernel": np.arange(12, dtype="float32").reshape(3, 4).T,
    "file": np.array([-0.0, np.nan, np.inf]),
    "../step": np.array(7),
    "none": np.zeros((0, 3), "int8"),
    "half": np.array([1.5, -2.0], ml_dtypes.bfloat16),
    "eighth": np.array([[0.5], [448.0]], ml_dtypes.float8_e4m3fn),
    "seed": np.array([3, 2**32 - 1], "uint32"),
    "swapped": np.array([1, 2], ">i4"),
}
FACTS = {"step": 12, "best": float("inf"), "rate": 0.1 + 0.2, "name": "é", "rest": [None, True]}


def test_arrays_and_facts_come_back_as_they_were(tmp_path):
    path = snapshots.write(tmp_path / "states", ARRAYS, FACTS)
    found, passed_over = snapshots.latest(tmp_path / "states")
    assert found is not None and not passed_over
    assert found.path == path == tmp_path / "states" / "snapshot-000001"
    assert found.facts == FACTS
    assert list(found.arrays) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype, name
        assert found.arrays[name].shape == array.shape, name
        assert found.arrays[name].tobytes() == array.tobytes(), name
        assert found.arrays[name].flags.writeable, name
    with np.load(path / "arrays.npz", allow_pickle=False) as plain:
        np.testing.assert_array_equal(plain["dense/kernel"], ARRAYS["dense/kernel"])


def test_where_there_is_none(tmp_path):
    assert snapshots.latest(tmp_path / "absent") == (None, [])
    assert snapshots.latest(tmp_path) == (None, [])


def _numbers(folder: Path) -> list[int]:
    return [number for number, _ in snapshots._present(folder)]


def test_the_last_ones_stay_and_their_numbers_go_on(tmp_path):
    for step in range(4):
        snapshots.write(tmp_path, {}, {"step": step})
    assert _numbers(tmp_path) == [3, 4]
    snapshots.write(tmp_path, {}, {"step": 4}, keep=3)
    assert _numbers(tmp_path) == [3, 4, 5]
    snapshots.write(tmp_path, {}, {"step": 5}, keep=1)
    assert _numbers(tmp_path) == [6]
    # Beyond six digits the order is that of the numbers.
    (tmp_path / "snapshot-000006").rename(tmp_path / "snapshot-999999")
    snapshots.write(tmp_path, {}, {"step": 6})
    found, _ = snapshots.latest(tmp_path)
    assert found.path.name == "snapshot-1000000" and found.facts["step"] == 6


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


@pytest.mark.parametrize("name", [snapshots.ARRAYS, snapshots.FACTS, snapshots.MANIFEST])
@pytest.mark.parametrize(
    "harm", [_truncate, _flip, Path.unlink, lambda path: path.write_bytes(b"")]
)
def test_a_damaged_one_is_passed_over(tmp_path, name, harm):
    first = snapshots.write(tmp_path, ARRAYS, FACTS)
    harm(snapshots.write(tmp_path, ARRAYS, FACTS) / name)
    found, passed_over = snapshots.latest(tmp_path)
    assert found.path == first
    assert len(passed_over) == 1
    assert "snapshot-000002" in passed_over[0] and name in passed_over[0]


def test_every_single_flipped_bit_is_noticed(tmp_path):
    path = snapshots.write(tmp_path, {"w": np.array([1.0], ml_dtypes.bfloat16)}, {"step": 3})
    for name in (snapshots.ARRAYS, snapshots.FACTS, snapshots.MANIFEST):
        whole = (path / name).read_bytes()
        for place in range(len(whole)):
            harmed = bytearray(whole)
            harmed[place] ^= 1 << place % 8
            (path / name).write_bytes(harmed)
            found, passed_over = snapshots.latest(tmp_path)
            if found is not None:  # a space for a line's end changes no value
                assert name == snapshots.MANIFEST and not passed_over
                assert json.loads(harmed) == json.loads(whole)
        (path / name).write_bytes(whole)


def test_a_later_version_and_a_foreign_folder_are_passed_over(tmp_path):
    first = snapshots.write(tmp_path, {}, {})
    later = snapshots.write(tmp_path, {}, {})
    manifest = json.loads((later / snapshots.MANIFEST).read_text())
    (later / snapshots.MANIFEST).write_text(json.dumps(manifest | {"version": 2}))
    foreign = tmp_path / "snapshot-000003"
    foreign.mkdir()
    (foreign / snapshots.MANIFEST).write_text('{"kind": "another"}')
    found, passed_over = snapshots.latest(tmp_path)
    assert found.path == first
    assert "not that of a snapshot" in passed_over[0]
    assert "version 2 of the format, and 1 is known" in passed_over[1]


def test_what_a_killed_writer_left_is_swept_and_links_are_left_alone(tmp_path):
    states, elsewhere = tmp_path / "states", tmp_path / "elsewhere"
    states.mkdir()
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("mine")
    left = states / ".snapshot-000001.0123abcd.writing"
    left.mkdir()
    (left / snapshots.ARRAYS).write_bytes(b"half")
    (states / "snapshot-000001").symlink_to(elsewhere, target_is_directory=True)
    assert snapshots.latest(states) == (None, [])
    (states / "snapshot-000001").unlink()
    (states / ".snapshot-000002.0123abcd.writing").symlink_to(elsewhere, target_is_directory=True)
    snapshots.write(states, {}, {}, keep=1)
    assert not left.exists() and (elsewhere / "mine.txt").read_text() == "mine"


def test_a_full_disk_keeps_the_earlier_ones_and_says_how_much_was_needed(tmp_path, monkeypatch):
    first = snapshots.write(tmp_path, {}, {"step": 1})

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array", full)
        with pytest.raises(
            OSError, match=r"left on device, 9,\d+ bytes were needed, [\d,]+ are f"
        ) as caught:
            snapshots.write(tmp_path, {"w": np.zeros(1000)}, {})
    assert caught.value.filename == str(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [first.name]
    found, _ = snapshots.latest(tmp_path)
    assert found.facts["step"] == 1


def test_one_that_does_not_read_back_is_taken_away_and_the_earlier_ones_stay(tmp_path, monkeypatch):
    for step in range(2):
        snapshots.write(tmp_path, {}, {"step": step})
    move = snapshots.os.rename

    def harming(source: Path, target: Path) -> None:
        _flip(source / snapshots.ARRAYS)
        move(source, target)

    monkeypatch.setattr(snapshots.os, "rename", harming)
    with pytest.raises(OSError, match=r"read back is not what was written: arrays\.npz"):
        snapshots.write(tmp_path, {"w": np.ones(3)}, {})
    assert _numbers(tmp_path) == [1, 2]


def test_files_and_folders_are_on_the_disk_before_an_older_one_goes(tmp_path, monkeypatch):
    done = []
    snapshots.write(tmp_path, {}, {})
    rename, remove = snapshots.os.rename, shutil.rmtree
    sync = snapshots.os.fsync

    def note(what, act):
        def noting(*arguments, **options):
            done.append(what)
            return act(*arguments, **options)

        return noting

    monkeypatch.setattr(snapshots.os, "fsync", note("file", sync))
    monkeypatch.setattr(atomic, "flush_folder", note("folder", lambda path: None))
    monkeypatch.setattr(snapshots.os, "rename", note("rename", rename))
    monkeypatch.setattr(snapshots, "_verify", note("verify", snapshots._verify))
    monkeypatch.setattr(snapshots.shutil, "rmtree", note("remove", remove))
    snapshots.write(tmp_path, {}, {}, keep=1)
    assert done == ["file", "file", "file", "folder", "rename", "folder", "verify", "remove"]


@pytest.mark.parametrize(
    ("arrays", "facts", "keep", "words"),
    [
        ({"w": np.array([{}], object)}, {}, 2, "objects are not written. Received: w"),
        ({"a\0b": np.zeros(1)}, {}, 2, "no zero byte"),
        ({}, {"w": np.zeros(1)}, 2, "facts are JSON types"),
        ({}, {}, 0, "keep=0"),
    ],
)
def test_what_cannot_be_written(tmp_path, arrays, facts, keep, words):
    with pytest.raises(ValueError, match=words):
        snapshots.write(tmp_path, arrays, facts, keep=keep)
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_gone_is_not_made_again(tmp_path):
    with pytest.raises(FileNotFoundError):
        snapshots.write(tmp_path / "gone" / "states", {}, {})
