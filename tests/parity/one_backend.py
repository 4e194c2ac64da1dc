"""What one backend does for `test_backends_agree.py`, in a process of its own.

It trains, saves every method's model, says so, and waits until the others have; then it loads
those of another. One process serves both tests, since most of its time goes into importing a
framework.

usage: KERAS_BACKEND=... python -m tests.parity.one_backend FOLDER < ANOTHER
"""

import sys
from pathlib import Path

import keras
import numpy as np

from tests.contract.saved import load_all, save_all
from tests.parity.train import TRIALS, trained

if __name__ == "__main__":
    folder, backend = Path(sys.argv[1]), keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow

        # A graph that runs for milliseconds is not worth making faster first.
        tensorflow.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    arrays = {f"{name}/{i}": w for name in TRIALS for i, w in enumerate(trained(name))}
    np.savez(folder / f"{backend}.npz", **arrays)
    save_all(folder / backend)
    print("saved", flush=True)
    load_all(folder / sys.stdin.readline().strip())
    print("loaded", flush=True)
