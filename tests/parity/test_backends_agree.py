"""Twelve steps from the same weights, with BatchNorm and mixup, on every installed backend."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

BACKENDS = [b for b in ("jax", "tensorflow", "torch") if importlib.util.find_spec(b)]
ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != BACKENDS[0], reason="starts all backends itself; once is enough"
)
@pytest.mark.skipif(len(BACKENDS) < 2, reason="there is nothing to compare with one backend")
def test_twelve_steps_agree_to_1e_5(tmp_path):
    results = {}
    for backend in BACKENDS:
        out = tmp_path / f"{backend}.npz"
        subprocess.run(
            [sys.executable, "-m", "tests.parity.train", str(out)],
            cwd=ROOT,
            env={**os.environ, "KERAS_BACKEND": backend},
            check=True,
            capture_output=True,
        )
        with np.load(out, allow_pickle=False) as file:
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
