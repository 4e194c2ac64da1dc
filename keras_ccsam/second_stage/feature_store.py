"""Features of a frozen backbone, computed once and kept on disk.

A part of a data set is known by the backbone's weights, by what the backbone makes of two fixed
images (its preprocessing and its layers show there), and by the images. Comparing ten heads or
losses on one frozen network then costs one pass over the images.
"""

import hashlib
import os
import warnings
from contextlib import suppress
from pathlib import Path

import keras
import numpy as np

from keras_ccsam import atomic, backend, processes
from keras_ccsam.data import ImageStore
from keras_ccsam.data.batches.reading import predicted
from keras_ccsam.finite import check_finite_weights

CHUNK = 2048
_Images = np.ndarray | ImageStore


class FeatureStore:
    """Features of images under one backbone.

    Args:
        backbone: built, from images to features (B, D); it is run in inference mode.
        folder: where the features are kept; None keeps none.

    Attributes:
        computed: parts that have been computed.
        found: parts that were there.

    Raises:
        ValueError: if a weight of the backbone is NaN or infinite.
    """

    def __init__(self, backbone: keras.Model, folder: str | os.PathLike[str] | None) -> None:
        check_finite_weights(backbone)
        self.folder = None if folder is None else Path(folder)
        self.computed = self.found = 0
        images = keras.Input(tuple(backbone.input_shape[1:]))
        self._extractor = keras.Model(images, backbone(images, training=False))
        self._digest: str | None = None
        self._backbone = backbone

    @property
    def digest(self) -> str:
        """Of the backbone: its weights, and what it makes of two fixed images."""
        if self._digest is None:
            found = hashlib.sha256(keras.backend.backend().encode())
            for weight in self._backbone.weights:
                value = np.ascontiguousarray(keras.ops.convert_to_numpy(weight))
                found.update(f"{value.dtype}{value.shape}".encode())
                found.update(value.tobytes())
            shape = self._backbone.input_shape[1:]
            probe = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype("uint8")
            found.update(self._predicted(probe, 2).tobytes())
            self._digest = found.hexdigest()
        return self._digest

    def features(self, images: _Images, batch_size: int = 128) -> np.ndarray:
        """(N, D) float32 features, read from the folder if they are there.

        Args:
            images: (N, ...), an array or a store; they are read in chunks.
            batch_size: of the passes.
        """
        if self.folder is None:
            self.computed += 1
            return self._computed(images, batch_size)
        file = self.folder / f"{self._key(images)}.npy"
        kept = None
        with suppress(OSError, ValueError, EOFError):  # absent, or damaged: it is written anew
            kept = np.load(file, mmap_mode="r", allow_pickle=False)
        there = kept is not None and len(kept) == len(images)
        if all(backend.host_gather(there)):  # what one process lacks, all compute together
            self.found += 1
            return np.asarray(kept)
        features = self._computed(images, batch_size)
        self.computed += 1
        if not processes.writes():
            return features
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with atomic.replacing(file) as temporary:
                np.save(temporary, features, allow_pickle=False)
        except OSError as error:  # no reason to lose a run
            said = error.strerror or error
            warnings.warn(f"features are not kept in {self.folder}: {said}", stacklevel=2)
        return features

    def _computed(self, images: _Images, batch_size: int) -> np.ndarray:
        chunks = [
            self._predicted(images[start : start + CHUNK], batch_size)
            for start in range(0, len(images), CHUNK)
        ]
        return np.concatenate(chunks)

    def _predicted(self, pixels: np.ndarray, batch_size: int) -> np.ndarray:
        # Keras' predict pads nothing: a smaller last batch would be compiled anew, so it is filled.
        count = len(pixels)
        missing = -count % batch_size
        if missing:
            pixels = np.concatenate([pixels, np.repeat(pixels[-1:], missing, axis=0)])
        found = predicted(self._extractor, pixels, batch_size)
        return np.asarray(found, "float32")[:count]

    def _key(self, images: _Images) -> str:
        found = hashlib.sha256(self.digest.encode())
        found.update(f"{tuple(images.shape)}{images.dtype}".encode())
        paths = getattr(images, "paths", None)
        if paths is None:
            for start in range(0, len(images), CHUNK):
                found.update(np.ascontiguousarray(images[start : start + CHUNK]).tobytes())
            return found.hexdigest()[:40]
        # Files are known by their place, size and time: to read them all would cost a pass.
        found.update(f"{getattr(images, 'resize', None)}".encode())
        for row, path in enumerate(paths):
            place = images.path(row) if hasattr(images, "path") else path
            try:
                state = os.stat(place)
                said = f"{place}|{state.st_size}|{state.st_mtime_ns}\n"
            except OSError:
                said = f"{place}\n"
            found.update(os.fsencode(said))
        return found.hexdigest()[:40]
