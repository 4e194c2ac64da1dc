"""What killed writers leave is swept away, and nothing else."""

import os
import time

import pytest

from keras_ccsam import atomic

pytestmark = pytest.mark.any_backend


def test_what_a_killed_writer_left_is_swept_away_once_it_is_old(tmp_path):
    names = [".0123abcd.model.onnx", ".0123abcd.other.onnx", "model.onnx", ".0123abcd", ".hidden"]
    kept = [".89abcdef.model.onnx", ".89abcdef.saved"]
    for name in (*names, kept[0]):
        (tmp_path / name).write_text("x")
    (tmp_path / kept[1]).mkdir()
    (tmp_path / ".89abcdef.link").symlink_to(tmp_path / "model.onnx")
    for name in names:
        os.utime(tmp_path / name, (time.time() - 2 * 86_400,) * 2)
    atomic.sweep(tmp_path, "model.onnx")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names[1:], *kept, ".89abcdef.link"}
    atomic.sweep(tmp_path, older=0.0)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"model.onnx", ".0123abcd", ".hidden", ".89abcdef.link"}
    atomic.sweep(tmp_path / "absent")
