"""Pictures of landscapes: what they show, on one scale, with the model marked."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from keras_ccsam.analysis import Landscape, plots
from keras_ccsam.analysis.plots import canvas

pytestmark = pytest.mark.any_backend

ABOUT = {
    "samples": 40,
    "samples_of": 100,
    "split": "train",
    "directions": "filter",
    "seed": 3,
    "batch_norm": "BatchNorm statistics as trained",
}


def made(scale=1.0, points=5, lines=0, **change):
    """A valley whose loss grows with the distance, four classes, none of class 3."""
    steps = np.linspace(-1 / 3, 1 / 3, points)
    rows = np.arange(1.0, lines + 1) if lines else steps
    a, b = np.meshgrid(rows, steps, indexing="ij")
    loss = scale * (0.1 + (a * b**2 if lines else a**2 + 4 * b**2))[..., None] * [20, 15, 5, 0]
    shape = loss.shape
    values = {
        "steps": (steps,) if lines else (steps, steps),
        "loss_sum": loss,
        "correct": np.ones(shape, "int64") * np.array([10, 5, 0, 0]),
        "count": np.array([20, 15, 5, 0]),
        "class_counts": (500, 100, 5, 9),
        "class_names": ("cat", "dog", "owl", "elk"),
        "groups": {"many": (0, 1), "few": (2, 3)},
        "gram": np.eye(lines or 2),
        "path": None,
        "about": ABOUT,
    }
    return Landscape(**{**values, **change})


@pytest.fixture
def drawn(monkeypatch):
    kept = []
    save = canvas.save

    def keep(figure, path):
        kept.append(figure)
        return save(figure, path)

    monkeypatch.setattr(canvas, "save", keep)
    return kept


def stars(axes):
    return [line for line in axes.lines if line.get_marker() == "*"]


def test_three_panels_with_a_star(tmp_path, drawn):
    path = plots.landscape(made(), tmp_path / "landscape.png")
    with Image.open(path) as image:
        image.verify()
    axes = drawn[0].axes[:3]
    assert [each.get_title() for each in axes] == [
        "overall: 4 classes", "head: class cat (n = 500)", "tail: class owl (n = 5)",
    ]  # fmt: skip
    for each in axes:
        (star,) = stars(each)
        assert (list(star.get_xdata()), list(star.get_ydata())) == ([0], [0])
    assert drawn[0].get_supxlabel() == (
        "40 training samples of 100; filter-normalised directions, seed 3; "
        "BatchNorm statistics as trained"
    )
    # The first direction is the horizontal axis: there the valley is the wider one.
    contours = axes[0].collections[0]
    level = contours.get_paths()[5].vertices
    wide, high = np.ptp(level, axis=0)
    assert wide > 1.5 * high


def test_several_models_have_one_scale(tmp_path, drawn):
    plots.landscape({"a": made(), "b": made(30.0)}, tmp_path / "both.png")
    panels = [axes for axes in drawn[0].axes if axes.get_title()]
    limits = {(c.norm.vmin, c.norm.vmax) for axes in panels for c in axes.collections[:1]}
    assert len(panels) == 6 and len(limits) == 1
    ((low, high),) = limits
    assert low == pytest.approx(0.1) and high == pytest.approx(30 * (0.1 + 5 / 9))
    plots.landscape(made(), tmp_path / "one.png", scale_of=[made(30.0)])
    first = drawn[1].axes[0].collections[0]
    assert (first.norm.vmin, first.norm.vmax) == (low, high)


def test_other_groups_and_accuracy(tmp_path, drawn):
    plots.landscape(made(), tmp_path / "a.png", groups=("many", "few", 1, 3), quantity="accuracy")
    titles = [axes.get_title() for axes in drawn[0].axes if axes.get_title()]
    # Class 3 has no sample.
    assert titles == ["many: 2 classes", "few: 2 classes", "class dog (n = 100)"]
    assert drawn[0].axes[0].collections[0].norm.vmax == 100


def test_where_the_network_overflows_is_left_open(tmp_path, drawn):
    broken = made()
    broken.loss_sum[0, 0] = np.inf
    broken.loss_sum[0, 1] = np.nan
    plots.landscape(broken, tmp_path / "a.png")
    norm = drawn[0].axes[0].collections[0].norm
    assert np.isfinite([norm.vmin, norm.vmax]).all()
    everything = made()
    everything.loss_sum[:] = np.inf
    plots.landscape(everything, tmp_path / "b.png")
    flat = made()
    flat.loss_sum[:] = 7.0
    plots.landscape(flat, tmp_path / "c.png")


def test_a_path_of_training_is_drawn(tmp_path, drawn):
    path = np.array([[0.3, 0.1], [0.1, 0.1], [0.0, 0.0]])
    about = {**ABOUT, "directions": "pca", "seed": None, "explained_variance": [0.8, 0.15]}
    plots.landscape(made(path=path, about=about), tmp_path / "a.png")
    axes = drawn[0].axes[0]
    np.testing.assert_array_equal(np.stack(axes.lines[0].get_data(), 1), path)
    assert axes.get_xlabel() == "principal direction 1 (80 % of the variance)"
    assert "the plane of the training's path" in drawn[0].get_supxlabel()


def test_lines_are_curves_with_a_band(tmp_path, drawn):
    found = made(lines=3)
    plots.landscape(found, tmp_path / "a.png")
    axes = drawn[0].axes[0]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), found.loss().mean(axis=0))
    assert len(stars(axes)) == 1
    band = axes.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(found.loss().max())


def test_names_are_no_formulas(tmp_path, drawn):
    names = (r"$\frac$", "<b>", "owl", "elk")
    plots.landscape({r"a$\x$b": made(class_names=names)}, tmp_path / "a.png")
    assert r"\$\frac\$" in drawn[0].axes[1].get_title()


def test_bad_arguments_are_named(tmp_path):
    with pytest.raises(ValueError, match="Received: quantity='error'"):
        plots.landscape(made(), tmp_path / "a.png", quantity="error")
    with pytest.raises(ValueError, match=r"dimensions \[1, 2\]"):
        plots.landscape({"a": made(), "b": made(lines=2)}, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"dimensions \[\]"):
        plots.landscape({}, tmp_path / "a.png")
    with pytest.raises(ValueError, match="No group has a sample"):
        plots.landscape(made(), tmp_path / "a.png", groups=(3,))
    empty = dataclasses.replace(made(), groups={})
    with pytest.raises(ValueError, match="No group has a sample"):
        plots.landscape(empty, tmp_path / "a.png", groups=("many",))
    assert list(tmp_path.iterdir()) == []
