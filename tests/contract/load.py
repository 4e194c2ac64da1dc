"""Loads what `test_contract.py` saved, under another backend, and compares the outputs.

usage: KERAS_BACKEND=... python -m tests.contract.load FOLDER
"""

import sys
from pathlib import Path

import keras
import numpy as np

import keras_ccsam  # noqa: F401  registers what the files hold


def main(folder: Path) -> None:
    x = np.load(folder / "x.npy", allow_pickle=False)
    with np.load(folder / "expected.npz", allow_pickle=False) as expected:
        for name in expected:
            model = keras.models.load_model(folder / f"{name}.keras")
            outputs = keras.ops.convert_to_numpy(model(x))
            np.testing.assert_allclose(outputs, expected[name], atol=1e-5, err_msg=name)
            assert model.sample_loss is not None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
