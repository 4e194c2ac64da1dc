"""Figures: what they draw, and that files are whole or absent."""

import itertools

import numpy as np
import pytest
from PIL import Image

from keras_ccsam.analysis import plots
from keras_ccsam.analysis.plots import canvas
from keras_ccsam.analysis.plots.series import epoch_series
from keras_ccsam.metrics import Report

pytestmark = pytest.mark.any_backend

RECORDS = [
    {"stage": 1, "epoch": 1, "loss": 2.0, "accuracy": 0.2, "learning_rate": 0.1},
    {"stage": 1, "epoch": 2, "loss": 1.0, "accuracy": 0.4, "val_accuracy": 0.3, "seconds": 1.0},
    {"stage": 2, "epoch": 1, "loss": None, "learning_rate": 0.01, "note": "text"},
]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, as matplotlib objects."""
    kept = []
    save = canvas.save

    def keep(made, path):
        kept.append(made)
        return save(made, path)

    monkeypatch.setattr(canvas, "save", keep)
    return kept


def check(path):
    with Image.open(path) as image:
        image.verify()
        assert image.format == "PNG"
        assert min(image.size) > 200
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file stays


def test_records_of_two_stages_are_laid_out_in_a_row():
    epochs, series, starts = epoch_series(RECORDS)
    assert epochs.tolist() == [1, 2, 3]
    assert starts == [2.5]
    np.testing.assert_array_equal(series["loss"], [2.0, 1.0, np.nan])
    np.testing.assert_array_equal(series["val_accuracy"], [np.nan, 0.3, np.nan])
    assert "note" not in series
    epochs, series, starts = epoch_series({"loss": [3.0, 2.0], "val_loss": [4.0]})
    assert (epochs.tolist(), starts) == ([1, 2], [])
    np.testing.assert_array_equal(series["val_loss"], [4.0, np.nan])


def test_curves(tmp_path, drawn):
    path = plots.curves(RECORDS, tmp_path / "curves.png")
    check(path)
    loss, accuracy, rate = drawn[0].axes
    assert [axes.get_title() for axes in drawn[0].axes] == [
        "loss", "accuracy (%)", "learning rate",
    ]  # fmt: skip
    assert loss.lines[0].get_ydata().tolist() == [2.0, 1.0]
    train, validation = accuracy.lines[:2]
    assert train.get_ydata().tolist() == [20.0, 40.0]
    assert validation.get_linestyle() == "--"
    assert validation.get_color() == train.get_color()
    assert rate.get_yscale() == "log"


def test_curves_of_a_keras_history(tmp_path, drawn):
    check(plots.curves({"loss": [1.0], "val_loss": [float("nan")]}, tmp_path / "a.png"))
    assert len(drawn[0].axes) == 1
    assert len(drawn[0].axes[0].lines) == 1


@pytest.mark.parametrize("history", [{}, [], [{"epoch": 1, "seconds": 3.0}]])
def test_history_with_nothing_to_draw(history, tmp_path):
    with pytest.raises(ValueError, match="Received: history with"):
        plots.curves(history, tmp_path / "curves.png")
    assert list(tmp_path.iterdir()) == []


def test_per_class_is_in_descending_order_of_counts(tmp_path, drawn):
    names, counts = ["a", "bird", "cat"], [5, 500, 0]
    groups = {"many": (1,), "few": (0, 2)}
    check(plots.per_class([0.25, 0.75, None], counts, tmp_path / "c.png", names, groups))
    axes, counts_axes = drawn[0].axes
    assert [bar.get_height() for bar in axes.patches] == [75.0, 25.0, 0.0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["bird", "a", "cat"]
    assert axes.lines[0].get_xdata().tolist() == [2]  # the cross of the class without samples
    assert counts_axes.get_yscale() == "log"
    assert counts_axes.lines[-1].get_ydata().tolist() == [500, 5, 0.5]
    colours = [bar.get_facecolor()[:3] for bar in axes.patches]
    assert colours[0] != colours[1] == colours[2]


@pytest.mark.parametrize("classes", [10, 100])
def test_a_report_is_drawn(classes, tmp_path, drawn):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), 5)
    counts = [int(500 * 100 ** (-c / (classes - 1))) for c in range(classes)]
    found = Report.from_predictions(labels, rng.normal(size=(5 * classes, classes)), counts)
    plots.per_class(found, counts, tmp_path / "classes.png")
    plots.confusion(found, tmp_path / "confusion.png")
    assert len(list(tmp_path.iterdir())) == 2
    legend = drawn[0].legends[0]
    assert [text.get_text() for text in legend.get_texts()] == list(found.groups)
    for made in drawn:  # tick labels do not overlap
        made.canvas.draw()
        boxes = [t.get_window_extent() for t in made.axes[0].get_xticklabels() if t.get_text()]
        turned = made.axes[0].get_xticklabels()[0].get_rotation() != 0
        assert turned or all(a.x1 < b.x0 for a, b in itertools.pairwise(boxes))


def test_confusion_is_in_percent_of_the_row(tmp_path, drawn):
    check(plots.confusion([[3, 1], [0, 0]], tmp_path / "confusion.png", ["yes", "no"]))
    axes = drawn[0].axes[0]
    shown = axes.images[0].get_array()
    np.testing.assert_array_equal(shown.filled(-1), [[75, 25], [-1, -1]])
    assert sorted(text.get_text() for text in axes.texts) == ["25", "75"]


def test_comparison_takes_numbers_pairs_and_summaries(tmp_path, drawn):
    rows = [
        {"method": "ce", "many": 0.9, "few": 0.3, "overall": (0.7, 0.02)},
        {"recipe": "ccsam", "many": {"mean": 0.8, "std": 0.01}, "few": None, "ms_per_step": 3.0},
    ]
    check(plots.comparison({"rows": rows}, tmp_path / "comparison.png"))
    axes = drawn[0].axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["many", "few", "overall"]
    assert [bar.get_height() for bar in axes.patches] == pytest.approx([90.0, 30.0, 70.0, 80.0])
    assert [text.get_text() for text in drawn[0].legends[0].get_texts()] == ["ce", "ccsam"]
    assert [text.get_text() for text in axes.texts] == ["90.0", "30.0", "70.0", "80.0"]


@pytest.mark.parametrize(
    ("draw", "named"),
    [
        (lambda p: plots.comparison([], p), "0 rows"),
        (lambda p: plots.comparison([{"method": "ce"}], p), r"1 rows with \['method'\]"),
        (lambda p: plots.per_class([0.5], [1, 2], p), "1 accuracies, 2 class counts"),
        (lambda p: plots.per_class([], [], p), "0 accuracies"),
        (lambda p: plots.per_class([0.5], [1], p, ["a", "b"]), "class_names with 2 entries"),
        (lambda p: plots.confusion([[1, 2]], p), r"matrix with shape \(1, 2\)"),
    ],
)
def test_bad_arguments_are_named(draw, named, tmp_path):
    with pytest.raises(ValueError, match=f"Received: {named}"):
        draw(tmp_path / "plot.png")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_drawing_leaves_the_old_file(tmp_path, monkeypatch):
    path = plots.confusion(np.eye(2), tmp_path / "plot.png")
    before = path.read_bytes()
    from PIL.Image import Image

    def fail(self, target, **options):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.confusion(np.ones((2, 2)), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["plot.png"]


@pytest.mark.parametrize("outside", [False, True])
def test_a_picture_is_cut_to_what_is_drawn(tmp_path, outside):
    from PIL import Image

    made = canvas.figure(4.0, 3.0)
    axes = made.subplots()
    axes.set_axis_off()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.fill_between([0.25, 0.75], 0.25, 0.75, color="black")
    if outside:  # no layout makes room for it
        made.text(1.2, 0.5, "outside", fontsize=12)
    pixels = np.asarray(Image.open(canvas.save(made, tmp_path / "cut.png")).convert("L"))
    assert pixels[0].min() == pixels[-1].min() == pixels[:, 0].min() == 255  # a margin of white
    dark = np.argwhere(pixels < 128)
    assert (dark[:, 1].max() > 1.2 * 4.0 * 150) == outside
    # Nothing that is drawn is lost, and no more than the axes and a margin is kept.
    assert dark.shape[0] >= 0.24 * 3.8 * 2.8 * 150**2
    assert outside or pixels.shape[0] <= 3.0 * 150


def test_pyplot_is_left_alone(tmp_path):
    from matplotlib import get_backend, pyplot

    before = get_backend()
    plots.confusion(np.eye(2), tmp_path / "plot.png")
    assert pyplot.get_fignums() == []
    assert get_backend() == before


def test_names_of_classes_are_no_formulas_and_stay_short(tmp_path):
    names = ["$\\frac$", "a\nb\x1b", b"caf\xe9".decode("utf-8", "surrogateescape"), "x" * 300]
    assert canvas.names_of(names, 4) == [
        "\\$\\frac\\$", "a\\nb\\x1b", "caf\\udce9", "x" * 39 + "\u2026"
    ]  # fmt: skip
    plots.confusion(np.eye(4), tmp_path / "confusion.png", class_names=names)
    assert (tmp_path / "confusion.png").exists()
