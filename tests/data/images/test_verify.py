"""`verify` finds everything that is wrong with a list of files, and blames nothing else."""

import json
import os

import pytest
from PIL import Image

from keras_ccsam.data import verify
from tests.data.images.conftest import picture

pytestmark = pytest.mark.any_backend


def image(path, seed=0, kind=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(64, 48, seed=seed)).save(path, kind)
    return path


@pytest.fixture
def broken(tmp_path):
    """A root with one of everything, and the list of it."""
    root = tmp_path / "root"
    image(tmp_path / "outside.png", 50)
    image(root / "a/good.png", 1)
    image(root / "a/good.jpg", 2)
    whole = image(root / "a/whole.jpg", 3).read_bytes()
    (root / "a/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "a/empty.png").write_bytes(b"")
    (root / "a/text.jpg").write_text("no image")
    image(root / "b/really.jpg", 4, "PNG")
    (root / "b/twin.png").write_bytes((root / "a/good.png").read_bytes())
    (root / "b/link.png").symlink_to(tmp_path / "outside.png")
    (root / "b/inside.jpg").symlink_to(root / "a/good.jpg")
    damaged = bytearray(image(root / "b/damaged.png", 5).read_bytes())
    damaged[len(damaged) // 2] ^= 255
    (root / "b/damaged.png").write_bytes(damaged)
    names = [
        "a/good.png", "a/good.jpg", "a/whole.jpg", "a/cut.jpg", "a/empty.png", "a/text.jpg",
        "b/really.jpg", "b/twin.png", "b/link.png", "b/damaged.png", "b/absent.png",
        "../outside.png", "/etc/hostname", "a/../a/good.png", "a/good.png", "b/./really.jpg",
    ]  # fmt: skip
    return root, names


def test_everything_that_is_wrong_is_found(broken):
    root, names = broken
    labels = [0] * 6 + [1] * 10
    found = verify(names, root, labels=labels, class_names=("a", "b"))
    kinds = {(fault.path, fault.row): fault.kind for fault in found.faults}
    assert (
        kinds
        == {
            ("a/cut.jpg", 3): "truncated",
            ("a/empty.png", 4): "empty",
            ("a/text.jpg", 5): "foreign",
            ("b/really.jpg", 6): "misnamed",
            ("b/twin.png", 7): "duplicate content",
            ("b/link.png", 8): "leaves the root",
            ("b/damaged.png", 9): "corrupt",
            ("b/absent.png", 10): "missing",
            ("../outside.png", 11): "leaves the root",
            ("/etc/hostname", 12): "leaves the root",
            ("a/../a/good.png", 13): "duplicate path",
            ("a/good.png", 14): "duplicate path",
            ("b/./really.jpg", 15): "duplicate path",
        }
        or kinds.get(("b/damaged.png", 9)) == "truncated"
    )
    assert found.images == 16
    assert [fault.row for fault in found.unusable] == [3, 4, 5, 8, 9, 10, 11, 12, 13]
    assert found.class_counts == (6, 10)
    assert found.usable_counts() == (3, 4)
    twin = next(fault for fault in found.faults if fault.row == 7)
    assert "a/good.png" in twin.reason and "another class" in twin.reason
    text = found.table(limit=3)
    for words in ("16 images, 9 that cannot be used", "a/cut.jpg", "usable", "more"):
        assert words in text
    content = json.loads(json.dumps(found.to_dict()))
    assert content["unusable"] == 9 and len(content["faults"]) == len(found.faults)
    assert content["classes"][1] == {"label": 1, "name": "b", "images": 10, "usable": 4}


@pytest.mark.parametrize("workers", [1, 4])
def test_the_answer_does_not_depend_on_the_workers(broken, workers):
    root, names = broken
    assert verify(names, root, workers=workers) == verify(names, root)


def test_a_link_that_stays_inside_is_no_fault(broken):
    root, _ = broken
    assert verify(["b/inside.jpg"], root).faults == ()


def test_a_sound_set_is_said_to_be_one(folder):
    root, names, labels = folder()
    seen = []
    found = verify(names, root, labels=labels, progress=lambda *each: seen.append(each))
    assert found.faults == () and found.unusable == ()
    assert found.table() == "40 images, nothing is wrong with them"
    assert found.class_names == ("0", "1", "2") and found.usable_counts() == (24, 10, 6)
    assert seen == [(32, 40), (40, 40)]
    assert verify([], root).images == 0


def test_without_a_root_any_path_is_good(folder):
    root, names, _ = folder((2, 1))
    assert verify([os.path.join(root, name) for name in names]).faults == ()


def test_labels_that_are_too_few(folder):
    root, names, _ = folder((2, 1))
    with pytest.raises(ValueError, match="Received: 1 labels"):
        verify(names, root, labels=[0])
