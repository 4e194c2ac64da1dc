"""The lines and bars of a run: they tell the stages apart, and fit the terminal."""

import io
import re
import sys

import keras
import numpy as np
import pytest

from keras_ccsam import runs
from keras_ccsam.duration import duration
from keras_ccsam.runs import progress
from keras_ccsam.runs.progress import Progress

pytestmark = pytest.mark.any_backend


class Terminal(io.StringIO):
    """A stdout that a person watches."""

    encoded = "utf-8"

    @property
    def encoding(self):
        return self.encoded

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Make stdout a terminal that is drawn on at every step; called in the test, not before it:
    pytest puts its own stdout in between."""

    def make(columns=60, encoding="utf-8"):
        out = Terminal()
        out.encoded = encoding
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr(progress, "_REDRAW_SECONDS", 0.0)
        return out

    return make


def shown(text):
    """The rows that stay when all is drawn."""
    return [row.split("\r")[-1].replace("\x1b[K", "") for row in text.split("\n")]


def test_on_a_terminal_the_stages_are_told_apart(small, tmp_path, terminal):
    out = terminal()
    runs.run(small("crt"), tmp_path / "run", compile_cache="off")
    text = out.getvalue()
    first, second, *stay = shown(text)
    assert second.startswith("note: stage 1 has only ")
    assert first.startswith("note: the imbalance ratio is 128 / 12 = 10.67 in place of 10")
    starts = [re.match(r"stage (\d)/2  epoch (\d)/2  ", line) for line in stay if line]
    assert [found.groups() for found in starts] == [("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")]
    assert all("accuracy " in line and "loss " in line for line in stay if line)
    assert "Epoch 1/2" not in text
    drawn = [part.replace("\x1b[K", "") for row in text.split("\n") for part in row.split("\r")]
    bars = [part for part in drawn if "━" in part or "─" in part]
    assert len(bars) > 8
    assert max(map(len, bars)) <= 59
    assert any("left" in part for part in bars)


def test_a_plain_stream_gets_lines_without_control_characters(small, tmp_path, capsys):
    runs.run(small("crt"), tmp_path / "run", compile_cache="off")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[2:]] == ["stage 1/2"] * 2 + ["stage 2/2"] * 2
    assert not any("\r" in line or "\x1b" in line for line in lines)


def test_a_dumb_terminal_gets_lines(terminal, monkeypatch):
    terminal()
    monkeypatch.setenv("TERM", "dumb")
    assert Progress().kind == "line"
    monkeypatch.setenv("TERM", "xterm")
    assert Progress().kind == "bar"


def test_an_error_is_not_printed_behind_a_bar(terminal):
    out = terminal()
    with pytest.raises(KeyboardInterrupt), Progress("bar") as shown_bar:
        shown_bar.draw("half a bar")
        raise KeyboardInterrupt
    assert out.getvalue().endswith("half a bar\x1b[K\n")


def fit(**options):
    """Train a toy with a progress; two epochs of three steps."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    x = np.zeros((12, 2))
    shown_by = Progress(**options).callbacks(2, 2)
    model.fit(x, x[:, :1], batch_size=4, epochs=2, verbose=0, callbacks=shown_by)


def test_the_time_left_of_everything_is_asked_for_after_each_epoch(capsys):
    asked = []

    def left(stage, done, seconds):
        asked.append((stage, done))
        return 150.0 if done == 1 else None

    fit(kind="line", label="helper", after_epoch=left)
    assert asked == [(2, 1), (2, 2)]
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("helper: stage 2/2  epoch 1/2  loss ")
    assert first.endswith("(2 min left in all)")
    assert "left" not in second


def test_none_prints_nothing(capsys):
    fit(kind="none")
    Progress("none").say("x")
    assert capsys.readouterr().out == ""


def test_a_narrow_terminal_keeps_the_stage(terminal):
    out = terminal(columns=20)
    fit(kind="bar")
    drawn = out.getvalue().replace("\x1b[K", "").replace("\n", "\r").split("\r")
    bars = [part for part in drawn if part and "loss" not in part]
    assert bars and max(map(len, bars)) <= 19
    assert all(part.startswith("stage 2/2  epoch") for part in bars)


def test_a_terminal_without_line_drawing_gets_ascii(terminal):
    out = terminal(encoding="ascii")
    fit(kind="bar")
    assert out.getvalue().isascii()
    assert "....." in out.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59, "59 s"), (59.6, "1 min"), (90 * 60, "1 h 30 min"), (3599, "1 h 00 min"),
     (125 * 60, "2 h 05 min"), (50 * 3600, "2 d 2 h")],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text
