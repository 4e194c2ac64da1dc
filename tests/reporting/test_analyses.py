"""The parts that other commands fill: what they show, and what stands there before."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from keras_ccsam import reporting
from keras_ccsam.analysis.report import contour
from tests.reporting.test_report import plain
from tests.reporting.written_analyses import landscape, write_analyses
from tests.reporting.written_runs import write_run

pytestmark = pytest.mark.any_backend

COMMANDS = {
    "landscape": "ccsam landscape",
    "sharpness": "ccsam sharpness",
    "bound": "ccsam bound",
    "radius": "ccsam train --record bound,radius",
    "calibration": "ccsam report",
    "representation": "ccsam report",
}


def sections(path: Path) -> dict[str, str]:
    """The text of each section."""
    html = path.read_text(encoding="utf-8")
    found = re.findall(r'<section id="(.+?)".*?>(.*?)</section>', html, re.DOTALL)
    return {name: " ".join(re.sub("<[^>]*>", " ", text).split()) for name, text in found}


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods with two seeds, each looked at in every way."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        for name, scale in (("ce", 2.0), ("ccsam", 1.0)):
            run = write_run(folder / f"{name}-seed{seed}", name, seed)
            write_analyses(run, scale + 0.1 * seed)
    return folder


def test_an_empty_part_says_which_command_fills_it(tmp_path: Path) -> None:
    write_run(tmp_path / "run", predicted=False)
    found = sections(reporting.report([tmp_path], predictions=False))
    for name, command in COMMANDS.items():
        assert command in found[name]
        assert len(found[name]) < 300


def test_each_part_shows_its_numbers(looked_at: Path) -> None:
    found = sections(reporting.report([looked_at]))
    assert not [name for name in COMMANDS if len(found[name]) < 300]
    # Sharpness: means over the seeds, 2.0 and 2.1 times each number.
    assert "0.4100 ± 0.0141" in found["sharpness"]
    assert "\N{MINUS SIGN}6.66 ± 0.23" in found["sharpness"]
    assert "2 of 2" in found["sharpness"]
    assert "gap at SAM&#39;s radius, 0.05" in found["sharpness"]
    # The bound after the last epoch, 0.3 times the scale.
    assert "0.615 ± 0.021" in found["bound"]
    assert "δ = 0.05" in found["bound"]
    assert "128 training images" in found["bound"]
    assert "length of the step" in found["radius"]
    assert "BatchNorm statistics as trained" in found["landscape"]


def test_a_walk_until_the_loss_doubles_stands_in_the_table(looked_at: Path) -> None:
    found = sections(reporting.report([looked_at]))
    for scale in (1.0, 2.0):
        reaches = [landscape(scale + 0.1 * seed).doubling("head").mean for seed in (0, 1)]
        assert f"{np.mean(reaches):.3f}" in found["landscape"]


def test_directions_are_called_shared_only_where_they_are(tmp_path: Path) -> None:
    for name, draws, samples in (("ce", "a", 50), ("crt", "a", 50), ("ccsam", "b", 40)):
        run = write_run(tmp_path / name, name)
        about = {"directions": "filter", "draws_sha256": draws, "samples": samples, "seed": 0}
        found = dataclasses.replace(landscape(1.0), about=about)
        found.save(run / "analysis" / "landscape.npz")
    alike = sections(reporting.report([tmp_path / "ce", tmp_path / "crt"], tmp_path / "a.html"))
    assert "share the draws of the directions" in alike["landscape"]
    unlike = sections(reporting.report([tmp_path / "ce", tmp_path / "ccsam"], tmp_path / "b.html"))
    assert "do not share directions" in unlike["landscape"]
    assert "ccsam: 40 samples" in unlike["landscape"]


def test_broken_and_foreign_files_are_passed_over(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    write_analyses(run)
    (run / "analysis" / "landscape.npz").write_bytes(b"not an archive")
    (run / "analysis" / "sharpness.json").write_text("{", encoding="utf-8")
    bound = json.loads((run / "analysis" / "bound.json").read_text("utf-8")) | {"format": 99}
    (run / "analysis" / "bound.json").write_text(json.dumps(bound), encoding="utf-8")
    found = sections(reporting.report([tmp_path]))
    assert "ccsam sharpness" in found["sharpness"]
    assert "ccsam bound" in found["bound"]
    assert "lines through each network" in found["landscape"]


def test_one_methods_broken_landscape_leaves_the_others(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_analyses(write_run(tmp_path / name, name))
    for file in (tmp_path / "a" / "analysis").glob("landscape*.npz"):
        file.write_bytes(b"not an archive")
    found = sections(reporting.report([tmp_path]))
    assert "lines through each network" in found["landscape"]


def test_surfaces_come_when_they_are_asked_for(looked_at: Path, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    flat = reporting.report([looked_at], tmp_path / "flat.html").read_text("utf-8")
    html = reporting.report([looked_at], tmp_path / "deep.html", surface=True).read_text("utf-8")
    assert "data-surface=" not in flat
    assert len(flat) < 1_000_000
    data = json.loads(re.findall(r'<script type="application/json" id="surfaces">(.*?)<', html)[0])
    assert len(data) == 2 * 6  # two methods; overall, head, tail and three groups
    # What is not finite is left open.
    assert None in data[2 * 2]["z"][0]
    assert data[0]["z"][5][5] == pytest.approx(np.log10(0.1), abs=1e-3)


def test_the_first_direction_goes_across(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("plotly")
    lopsided = landscape(1.0)
    lopsided.loss_sum[8] *= 10.0
    lopsided.save(write_run(tmp_path / "run") / "analysis" / "landscape.npz")
    maps = []

    def seen(title: str, x: Any, y: Any, surface: np.ndarray, *others: Any, **named: Any) -> Any:
        maps.append(surface)
        return contour.contour(title, x, y, surface, *others, **named)

    monkeypatch.setattr("keras_ccsam.reporting.sections.landscape.contour", seen)
    html = reporting.report([tmp_path], surface=True).read_text("utf-8")
    data = json.loads(re.findall(r'<script type="application/json" id="surfaces">(.*?)<', html)[0])
    for rows in (maps[0], np.array(data[0]["z"])):
        assert np.argmax(rows[5]) == 8


def test_maps_share_their_levels_and_cover_the_square() -> None:
    low, high = landscape(1.0).loss("head"), landscape(4.0).loss("head")
    levels = contour.shared_levels([low, high])
    assert len(levels) == contour.LEVELS + 1
    assert (np.diff(levels) > 0).all()
    steps = np.linspace(-1, 1, 11).tolist()
    drawn = contour.contour("t", steps, steps, low, levels, x_label="x", y_label="y")
    # The flatter bowl does not reach the highest colours, the steeper one does.
    assert 'class="v11"' not in drawn
    steep = contour.contour("t", steps, steps, high, levels, x_label="x", y_label="y")
    assert 'class="v11"' in steep
    # A point that is not finite gets the highest colour, and breaks nothing.
    broken = landscape(1.0).loss("tail")
    assert np.isinf(broken[0, 0])
    assert "nan" not in contour.contour("t", steps, steps, broken, levels, x_label="", y_label="")


def test_the_spread_of_seeds_is_told_once_more_in_words(looked_at: Path) -> None:
    assert "up to 2 seeds" in plain(reporting.report([looked_at]))
