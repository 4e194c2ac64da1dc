"""All installed backends side by side: their steps agree, and each loads what another saved."""

import importlib.util
import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import keras
import numpy as np
import pytest

BACKENDS = [b for b in ("jax", "tensorflow", "torch") if importlib.util.find_spec(b)]
ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        keras.backend.backend() != BACKENDS[0], reason="starts all backends itself; once is enough"
    ),
    pytest.mark.skipif(len(BACKENDS) < 2, reason="there is nothing to compare with one backend"),
]


def visible(backend):
    """Each backend's process finds that backend."""
    quick = str(ROOT / "tests" / "quick_start")
    return {"PYTHONPATH": quick} if backend == "tensorflow" else {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What each backend trained and saved; `<backend>.txt` says what it found in the others'."""
    folder = tmp_path_factory.mktemp("backends")
    with ExitStack() as stack:
        running = {}
        for backend in BACKENDS:  # one after another: a framework's import takes gigabytes
            errors = stack.enter_context(open(folder / f"{backend}.txt", "w"))
            running[backend] = subprocess.Popen(
                [sys.executable, "-m", "tests.parity.one_backend", str(folder)],
                cwd=ROOT,
                env={**os.environ, "KERAS_BACKEND": backend, **visible(backend)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            stack.callback(running[backend].kill)
            said = running[backend].stdout.readline()
            assert said == "saved\n", (folder / f"{backend}.txt").read_text()[-2000:]
        # In a ring: each one's files are loaded by another, and each loads another's.
        for backend, other in zip(BACKENDS, [*BACKENDS[1:], BACKENDS[0]], strict=True):
            said, _ = running[backend].communicate(other)
            (folder / f"{backend}.said").write_text(said)
    return folder


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_backend_loads_what_another_saved(folder, backend):
    """Every method of the registry: equal outputs, the method and its loss intact."""
    assert len(list((folder / backend).glob("*.keras"))) > 20
    told = (folder / f"{backend}.txt").read_text()
    assert (folder / f"{backend}.said").read_text() == "loaded\n", told[-2000:]


def test_twelve_steps_agree_to_1e_5(folder):
    results = {}
    for backend in BACKENDS:
        with np.load(folder / f"{backend}.npz", allow_pickle=False) as file:
            results[backend] = {key: file[key] for key in file}
    first = results.pop(BACKENDS[0])
    for backend, arrays in results.items():
        assert arrays.keys() == first.keys()
        for key, value in first.items():
            difference = np.abs(arrays[key] - value).max()
            assert difference < 1e-5, f"{key}: {BACKENDS[0]} and {backend} differ by {difference}"
    methods = {key.split("/")[0] for key in first}
    for method in methods - {"erm"}:
        own = [
            np.abs(first[k] - first["erm" + k[len(method) :]]).max()
            for k in first
            if k.startswith(method + "/")
            and "erm" + k[len(method) :] in first
            and first[k].shape == first["erm" + k[len(method) :]].shape
        ]
        assert max(own) > 1e-4, f"{method} is the plain step"
