"""One seed, one machine: the same bits in each process, whatever the number of data workers."""

import hashlib
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam.backend import determinism
from tests.distributed.started import found_here, run_together


@pytest.mark.slow
def test_two_processes_give_the_same_bits_whatever_the_number_of_workers():
    """One reads with one thread and the other with three.

    On PyTorch they start anew: the order of Python's sets, another one in each, is no backend's.
    """
    if keras.backend.backend() == "torch":
        environment = {**os.environ, **found_here(), "PYTHONHASHSEED": "random"}
        command = [sys.executable, "-W", "ignore", "-m", "tests.runs.deterministic"]
        started = [
            subprocess.Popen(
                [*command, workers], stdout=subprocess.PIPE, text=True, env=environment
            )
            for workers in ("1", "3")
        ]
        said = [process.communicate(timeout=300)[0] for process in started]
        assert [process.returncode for process in started] == [0, 0]
    else:
        said = [run_together("tests.runs.deterministic", [workers]) for workers in ("1", "3")]
    one, three = (text.split()[-1] for text in said)
    assert one == three and len(one) == 64


def test_batches_are_the_same_on_every_backend():
    """Order, crops, flips and mixing are NumPy's: the digest of one backend is that of all."""
    x = np.arange(40 * 8 * 8 * 3, dtype="uint8").reshape(40, 8, 8, 3)
    y = np.repeat(np.arange(4), [24, 9, 5, 2])
    options = {"sampler": "class_balanced", "mixup": 1.0, "augment": ("crop", "flip"), "seed": 5}
    data = cc.data.from_arrays(x, y, x_test=x[:4], y_test=np.arange(4))
    train = data.batches("train", batch_size=16, **options)
    hashed = hashlib.sha256()
    for epoch in (0, 3):
        train.set_epoch(epoch)
        for step in range(len(train)):
            images, labels = train[step]
            parts = {"x": images.round(3), **labels}
            for name in sorted(parts):
                hashed.update(name.encode() + np.asarray(parts[name], "float32").tobytes())
    assert hashed.hexdigest()[:16] == "c2a0144e4a69a189"


def test_a_seed_gives_the_same_training_images_on_every_backend():
    data = cc.data.load("digits-lt", imbalance_ratio=50)
    assert data.index_sha256[:16] == "b477127e8adc6be1"


@pytest.mark.any_backend
def test_the_variables_that_frameworks_read():
    for backend, name in (("jax", "XLA_FLAGS"), ("torch", "CUBLAS_WORKSPACE_CONFIG")):
        environment: dict[str, str] = {}
        assert not determinism.are_set(backend, environment)
        determinism.set_variables(backend, environment)
        determinism.set_variables(backend, environment)  # once is enough
        assert list(environment) == [name]
        assert determinism.are_set(backend, environment)
    own = {"XLA_FLAGS": "--xla_dump_to=/x", "CUBLAS_WORKSPACE_CONFIG": ":16:8"}
    determinism.set_variables("jax", own)
    determinism.set_variables("torch", own)
    assert own["XLA_FLAGS"] == "--xla_dump_to=/x --xla_gpu_deterministic_ops=true"
    assert own["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.mark.any_backend
@pytest.mark.parametrize("command", ["train", "compare", "reproduce", "sweep", "auto"])
def test_commands_that_train_take_the_option(command, monkeypatch):
    """It reaches `prepare`, and that the framework."""
    from click.testing import CliRunner
    from keras_ccsam_cli import runtime
    from keras_ccsam_cli.main import cli

    told: list[str] = []
    prepare = runtime.prepare

    def told_of(*arguments: object, **options: object) -> None:
        prepare(*arguments, **options)
        raise ValueError("that is enough")

    monkeypatch.setattr(cc.backend, "make_deterministic", lambda: told.append("told"))
    several = command != "train"  # where a launcher may be named
    at = "launching" if several else f"commands.{command}"
    monkeypatch.setattr(f"keras_ccsam_cli.{at}.prepare", told_of)
    arguments = {
        "compare": ["ce", "crt"],
        "reproduce": ["table1"],
        "sweep": ["radius_scale"],
        "auto": ["digits-lt"],
    }.get(command, [])
    done = CliRunner().invoke(cli, [command, *arguments, "--deterministic"])
    assert told == ["told"], done.output
    assert "that is enough" in done.output


def test_it_is_noted_in_the_runs_environment(monkeypatch):
    from keras_ccsam.runs import environment

    assert environment.describe()["deterministic"] is False
    monkeypatch.setattr(determinism, "_seen_to", [keras.backend.backend()])
    assert environment.describe()["deterministic"] is True
