"""Every method's model in a file: written under one backend, loaded under another."""

from pathlib import Path

import keras
import numpy as np

from tests.contract.network import build, outputs
from tests.contract.registry import METHODS
from tests.support import toy_batches


def save_all(folder: Path) -> None:
    """Writes each method's model, and what it puts out here."""
    folder.mkdir()
    x, _ = toy_batches(8)
    expected = {}
    for name, method in METHODS.items():
        model = build(method)
        model.save(folder / f"{name}.keras")
        expected[name] = outputs(model, x)
    np.savez(folder / "expected.npz", **expected)


def load_all(folder: Path) -> None:
    """Loads what `save_all` wrote, and compares: equal outputs, the method and its loss intact."""
    x, _ = toy_batches(8)
    with np.load(folder / "expected.npz", allow_pickle=False) as expected:
        assert set(expected) == set(METHODS)
        for name in expected:
            model = keras.models.load_model(folder / f"{name}.keras")
            np.testing.assert_allclose(outputs(model, x), expected[name], atol=1e-5, err_msg=name)
            assert model.sharpness.get_config() == METHODS[name].sharpness().get_config(), name
            assert model.sample_loss is not None, name
