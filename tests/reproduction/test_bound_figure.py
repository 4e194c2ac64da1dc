"""Figure 3 on the digits, as small as it goes."""

import json

import pytest

from keras_ccsam import reproduction

QUICK = (
    "stage1.epochs=2",
    "stage1.batch_size=64",
    "stage2.epochs=1",
    "model.backbone.width=4",
    "model.backbone.features=8",
)


@pytest.mark.any_backend
def test_the_bound_is_recorded_while_the_row_trains(tmp_path):
    out = tmp_path / "out"
    options = {"scale": "tiny", "overrides": QUICK, "progress": "none", "out": out}
    found = reproduction.reproduce("figure3", **options)
    assert (out / "figure3.png").stat().st_size > 10_000
    (record,) = out.rglob("bound.json")
    values = json.loads(record.read_text())["values"]
    (seed,) = json.loads((out / "figure3.json").read_text())["figure"]["seeds"]["CC-SAM"]
    assert seed["bound (16)"] == pytest.approx(values["bound_16_zero_one"][-1][0])
    assert seed["below"] == sum(row[0] < 1 for row in values["root_16"]) / 2
    assert "square-root term" in found.text()

    record.unlink()
    again = reproduction.reproduce("figure3", **options)
    assert "trained before without recording the bound" in again.text()


@pytest.mark.any_backend
def test_a_figure_of_accuracies_is_drawn(tmp_path):
    out = tmp_path / "out"
    quick = [key for key in QUICK if not key.startswith("stage1.epochs")]
    options = {"scale": "tiny", "overrides": (*quick, "stage1.epochs=1"), "progress": "none"}
    found = reproduction.reproduce("figure2", out=out, **options)
    assert (out / "figure2.png").stat().st_size > 10_000
    assert "Picture: " in found.text()
