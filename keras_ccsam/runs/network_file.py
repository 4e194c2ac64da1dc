"""The file of a run's network: read without running code of whoever wrote it."""

from pathlib import Path

import keras

from keras_ccsam.runs import before_manifests
from keras_ccsam.runs.run_manifest import RunManifest


def read_network(file: Path, manifest: RunManifest) -> keras.Model:
    """Return the network of `model.keras`.

    Args:
        file: which `manifest` knows to be what the run wrote.
        manifest: of the run.

    Raises:
        Damaged: it is no network, or cut short.
        ValueError: it has layers from outside the package.
    """
    if lack := before_manifests.broken_archive(file):
        raise manifest.damaged(file, lack)
    try:
        return keras.models.load_model(file, compile=False, safe_mode=True)
    except (TypeError, ValueError) as error:
        said = " ".join(str(error).split())
        if not any(word in said for word in ("Could not locate", "Lambda", "safe_mode")):
            raise manifest.damaged(file, f"is unreadable: {said:.240}") from error
        raise ValueError(
            "the network has a layer from outside the package, and to read a run directory "
            "runs no code. If you trust it, say so: trust_code=True (--trust-code on the "
            f"command line). Received: run={str(file.parent)!r}"
        ) from error
