"""Figures 4 to 9 on the digits, as small as it goes."""

import json

import numpy as np
import pytest

from keras_ccsam import reproduction
from keras_ccsam.analysis.landscapes import Landscape
from keras_ccsam.reproduction.landscape_figure import measured

pytestmark = pytest.mark.any_backend

QUICK = (
    "stage1.epochs=1",
    "stage1.batch_size=64",
    "model.backbone.width=4",
    "model.backbone.features=8",
)


@pytest.mark.slow
def test_a_figure_is_trained_drawn_and_judged(tmp_path):
    out = tmp_path / "out"
    options = {"scale": "tiny", "overrides": QUICK, "progress": "none", "out": out}
    found = reproduction.reproduce("figure5", seeds=2, **options)
    assert not found.missing
    assert [row.source.label for row in found.rows] == ["CE", "LDAM"]
    assert (out / "figure5.png").stat().st_size > 10_000
    content = json.loads((out / "figure5.json").read_text())["figure"]
    assert [claim["group"] for claim in content["claims"]] == ["overall", "head", "tail"]
    assert all(len(claim["differences"]) == 2 for claim in content["claims"])
    whole = content["measures"]
    first = whole["LDAM"][0]["head"]["whole"] - whole["CE"][0]["head"]["whole"]
    assert content["claims"][1]["differences"][0] == pytest.approx(first)
    assert "LDAM is sharper than CE" in found.text()
    assert "![figure5](figure5.png)" in (out / "figure5.md").read_text()

    kept = {path: path.stat().st_mtime_ns for path in (out / "landscapes").glob("*.npz")}
    assert len(kept) == 4
    for one in map(Landscape.load, kept):
        label = one.about["recipe"].partition("-")[0].upper()
        own = whole[label][one.about["seed_of_run"]]["head"]
        assert own == pytest.approx(measured(one, "head"))
    again = reproduction.reproduce("figure5", seeds=2, **options)
    assert again.figure.content == found.figure.content
    assert kept == {path: path.stat().st_mtime_ns for path in (out / "landscapes").glob("*.npz")}


def test_the_measures_by_hand():
    steps = np.linspace(-1, 1, 9) / 3
    first, second = np.meshgrid(steps * 3, steps * 3, indexing="ij")
    loss = 1.0 + first**2 + np.where(second > 0, second, 0.0)
    landscape = Landscape(
        steps=(steps, steps),
        loss_sum=np.stack([3 * loss, np.ones_like(loss)], axis=-1),
        correct=np.zeros((9, 9, 2), "int64"),
        count=np.array([3, 1]),
        class_counts=(3, 1),
        class_names=("a", "b"),
        groups={},
        gram=np.eye(2),
        path=None,
        about={},
    )
    head = measured(landscape, "head")
    change = loss - 1.0
    assert head["whole"] == pytest.approx(change.sum() / 80)
    rim = [change[i, j] for i in range(9) for j in range(9) if {i, j} & {0, 8}]
    assert head["far"] == pytest.approx(np.mean(rim))
    assert head["near"] == pytest.approx(change[3:6, 3:6].sum() / 8)
    flat = {"near": 0.0, "whole": 0.0, "far": 0.0, "asymmetry": 0.0}
    assert measured(landscape, "tail") == pytest.approx(flat)
