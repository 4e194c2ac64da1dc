"""A tournament on a folder of photographs."""

import numpy as np
import pytest
from PIL import Image

from keras_ccsam.auto import auto
from keras_ccsam.auto.plan import ask
from keras_ccsam.runs.run_directory import RunDirectory

OPTIONS = {
    "recipes": ("ce", "crt"),
    "overrides": ("stage1.epochs=2", "stage1.batch_size=16", "stage2.epochs=1"),
    "budget": "100h",
    "compile_cache": "off",
    "progress": "none",
}


def photographs(root, splits):
    rng = np.random.default_rng(0)
    for split, counts in splits.items():
        for c, count in enumerate(counts):
            folder = root / split / f"kind{c}"
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 90, (12, 14, 3), dtype="uint8")
                pixels[3 * c : 3 * c + 3, :, c] = 220
                Image.fromarray(pixels).save(folder / f"{i}.png")


@pytest.mark.any_backend
def test_a_folder_becomes_a_classifier(tmp_path):
    photographs(tmp_path / "photos", {"train": (30, 15, 5), "test": (4, 4, 4)})
    result = auto(str(tmp_path / "photos"), out=tmp_path / "out", **OPTIONS)
    assert result.content["data"]["classes"] == 3
    assert (result.content["data"]["train"], result.content["data"]["validation"]) == (40, 10)
    assert result.content["test"]["num_samples"] == 12
    winner = RunDirectory(result.path / "winner").results()
    assert winner["class_counts"] == [30, 15, 5]


@pytest.mark.any_backend
def test_test_images_are_not_even_opened_before_the_end(tmp_path):
    root = tmp_path / "photos"
    photographs(root, {"train": (30, 15, 5), "test": (4, 4, 4)})
    for path in sorted((root / "test").rglob("*.png")):
        path.write_bytes(path.read_bytes()[:60])  # its header is whole, its pixels are not
    with pytest.raises(ValueError, match=r"\.png"):
        auto(str(root), out=tmp_path / "out", **OPTIONS)
    assert len(list((tmp_path / "out" / "rung-1").glob("*/results.json"))) == 2
    assert not (tmp_path / "out" / "winner").exists()  # the winner's training begins with a look


@pytest.mark.any_backend
def test_validation_images_of_its_own_stay_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photographs(tmp_path / "photos", {"train": (9, 5), "val": (3, 3), "test": (2, 2)})
    named = {key: OPTIONS[key] for key in ("recipes", "overrides")}
    asked = ask("photos", **named)
    assert asked.outline.validation_counts == (3, 3)
    assert not asked.refit
    assert str(asked.path) in ("runs/auto-photos", "runs\\auto-photos")
    assert any("its own validation part" in text for text in asked.facts["warnings"])
