"""The log of an epoch's metrics."""

import csv
import errno
import json

import keras
import numpy as np
import pytest

from keras_ccsam.callbacks import metrics_log
from keras_ccsam.callbacks.metrics_log import MetricsLog

pytestmark = pytest.mark.any_backend


def fit(callback, epochs, validation=False):
    x, y = np.ones((8, 3), "float32"), np.zeros(8, "int32")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([1, 2], [0.5, 0.25, 0.125])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(schedule), loss, metrics=["accuracy"])
    model.fit(
        x,
        y,
        batch_size=4,
        epochs=epochs,
        verbose=0,
        callbacks=[callback],
        validation_data=(x, y) if validation else None,
    )


def test_one_record_an_epoch(tmp_path):
    fit(MetricsLog(tmp_path), epochs=2, validation=True)
    fit(MetricsLog(tmp_path, stage=2), epochs=1)
    records = metrics_log.read(tmp_path / "metrics.jsonl")
    assert [(r["stage"], r["epoch"], r["steps"]) for r in records] == [
        (1, 1, 2),
        (1, 2, 2),
        (2, 1, 2),
    ]
    assert [r["learning_rate"] for r in records] == [0.5, 0.25, 0.5]
    assert all(r["seconds"] > 0 and 0 <= r["accuracy"] <= 1 for r in records)
    assert "val_loss" in records[0]
    assert "val_loss" not in records[2]
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == records
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == [r["loss"] for r in records]
    assert rows[2]["val_loss"] == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metrics.csv", "metrics.jsonl"]


def test_a_line_that_a_crash_cut_short_is_dropped(tmp_path):
    file = tmp_path / "metrics.jsonl"
    metrics_log.append(file, {"epoch": 1})
    with file.open("a") as stream:
        stream.write('{"epoch": 2, "lo')
    assert metrics_log.read(file) == [{"epoch": 1}]
    metrics_log.append(file, {"epoch": 2})
    assert metrics_log.read(file) == [{"epoch": 1}, {"epoch": 2}]
    assert (tmp_path / "metrics.csv").read_text() == "epoch\n1\n2\n"


def test_what_is_not_finite_is_null(tmp_path):
    file = tmp_path / "metrics.jsonl"
    metrics_log.append(file, {"loss": float("nan"), "epoch": 1}, {"loss": float("inf")})
    assert file.read_text() == '{"loss": null, "epoch": 1}\n{"loss": null}\n'


def test_refusals(tmp_path):
    with pytest.raises(ValueError, match="existing folder"):
        MetricsLog(tmp_path / "absent")
    (tmp_path / "metrics.jsonl").write_text("no json\n")
    with pytest.raises(ValueError, match="not a file of JSON lines"):
        metrics_log.read(tmp_path / "metrics.jsonl")
    assert metrics_log.read(tmp_path / "absent.jsonl") == []


def test_a_full_disk_names_the_file_and_costs_the_new_record_alone(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    metrics_log.append(path, {"epoch": 1})

    def full(_):
        path.write_bytes(path.read_bytes()[:-5])  # of the line there was room for a part
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(metrics_log.os, "fsync", full)
        with pytest.raises(OSError, match=r"13 bytes were needed, [\d,]+ are free") as caught:
            metrics_log.append(path, {"epoch": 2})
    assert caught.value.filename == str(path)
    assert metrics_log.read(path) == [{"epoch": 1}]
    metrics_log.append(path, {"epoch": 2})
    assert metrics_log.read(path) == [{"epoch": 1}, {"epoch": 2}]
