"""A trained network that is asked: a run, a model, or a file that was exported."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from keras_ccsam import pixels
from keras_ccsam.deployment import metadata, writing
from keras_ccsam.deployment.baked import Choices, adjustment, in_float32
from keras_ccsam.deployment.subject import subject
from keras_ccsam.finite import check_finite
from keras_ccsam.manifest import Damaged
from keras_ccsam.metrics.predictions import checked, log_probabilities
from keras_ccsam.runs.before_manifests import broken_archive
from keras_ccsam.runs.folders import PathLike

_READABLE = (".keras", ".onnx")


class Classifier:
    """A network that answers with probabilities.

    Args:
        run: the folder of a finished run, a Keras model whose outputs are logits, or a `.keras` or
            `.onnx` file that `export` wrote, with its JSON file beside it.
        temperature: what the logits are divided by. "auto" is the one of the run's validation
            split, and 1 where there is none or it is of no use. An exported file has its own.
        logit_adjustment: tau of post-hoc logit adjustment; 0 is none.
        class_names, class_counts: of a model; a run knows its own.
        trust_code: of a run with a dataset or layer from outside, see `runs.open_run`.

    Attributes:
        class_names: one per class.
        size: (height, width) of its images.
        channels: theirs.
        calibration: how far the probabilities are calibrated, in words.
        record: the pixels that it was trained on, or None.

    Raises:
        ValueError: what cannot be opened, or options that do not fit.
    """

    def __init__(
        self,
        run: PathLike | keras.Model,
        *,
        temperature: float | Literal["auto"] = "auto",
        logit_adjustment: float = 0.0,
        class_names: Sequence[str] | None = None,
        class_counts: Sequence[int] | None = None,
        trust_code: bool = False,
    ) -> None:
        is_file = not isinstance(run, keras.Model) and Path(run).is_file()
        if is_file:
            if temperature != "auto" or logit_adjustment:
                raise ValueError(
                    "an exported file has its temperature and adjustment in it; export it anew, or "
                    f"name the run. Received: temperature={temperature!r}, "
                    f"logit_adjustment={logit_adjustment!r} of {os.fspath(run)!r}"
                )
            self._open_file(Path(run))
            return
        about = subject(run, class_names, class_counts, trust_code)
        about.check_adjustment(logit_adjustment)
        fitted = None
        if temperature == "auto":
            has = about.directory is not None and "validation" in about.results
            fitted = about.temperature(logit_adjustment) if has else None
            temperature = 1.0 if fitted is None else fitted.applied
        choices = Choices("logits", logit_adjustment, temperature)
        if fitted is not None and fitted.unused_because:
            self.calibration = f"uncalibrated: temperature 1 is used. {fitted.unused_because}"
        elif fitted is not None:
            self.calibration = (
                f"calibrated with temperature {fitted.value:.3g}, fitted on {fitted.images} "
                f"validation images (calibration error {100 * fitted.ece_before:.1f} % before, "
                f"{100 * fitted.ece:.1f} % after)"
            )
        elif temperature != 1.0:
            self.calibration = f"temperature {temperature:g}, as given"
        else:
            self.calibration = "uncalibrated: the run held out no validation images"
        network = in_float32(about.network())  # as in an exported file
        outputs = int(network.output_shape[-1])
        scale, offset = adjustment(about.class_counts, outputs, choices)

        def logits(images: np.ndarray) -> np.ndarray:
            found = np.asarray(keras.ops.convert_to_numpy(network.predict_on_batch(images)))
            return np.asarray(scale * found + offset)

        self._outputs: writing.Runner = logits
        self._are_logits = True
        self._takes_bytes = False
        self.class_names, self.size, self.channels = about.class_names, about.size, about.channels
        self.resize = about.resize
        self.record = pixels.PixelRecord.from_dict(about.pixels)

    def _open_file(self, path: Path) -> None:
        if path.suffix not in _READABLE:
            raise ValueError(
                "what is asked is a run directory, or a .keras or .onnx file that ccsam export "
                f"wrote. Received: run={str(path)!r}"
            )
        beside = metadata.beside(path)
        facts = metadata.found_inside(path) if path.suffix == ".keras" else None
        if facts is None and beside.is_file():
            try:
                facts = json.loads(beside.read_text(encoding="utf-8"))
            except (ValueError, RecursionError):
                facts = None
        if not isinstance(facts, dict) or not {"class_names", "input", "output"} <= facts.keys():
            raise ValueError(
                "an exported model is read with the JSON file that ccsam export wrote beside it, "
                f"which names its classes. Received: run={str(path)!r}, without a usable "
                f"{beside.name}"
            )
        if path.suffix == ".keras" and (lack := broken_archive(path)):
            raise Damaged(
                f"the exported model {lack}; export it again. Received: run={str(path)!r}"
            )
        try:
            self._outputs = writing.read(path.suffix[1:], path)
        except ImportError as error:
            raise ValueError(
                'an ONNX file is run by onnxruntime: pip install "keras-ccsam[onnx]". Received: '
                f"run={str(path)!r}"
            ) from error
        except Exception as error:
            raise ValueError(
                f"the exported model cannot be read: {' '.join(str(error).split())[:200]} "
                f"Received: run={str(path)!r}"
            ) from error
        self._are_logits = facts["output"]["name"] == "logits"
        self._takes_bytes = facts["input"]["dtype"] == "uint8"
        self.class_names = tuple(facts["class_names"])
        self.record = pixels.PixelRecord.from_dict(facts.get("pixels"))
        shape = facts["input"]["shape"]
        known = (32, 32) if self.record is None else self.record.size
        height, width = (own or seen for own, seen in zip(shape[1:3], known, strict=True))
        self.size, self.channels = (int(height), int(width)), int(shape[3])
        self.resize = None if self.record is None else self.record.resize
        kept = facts.get("temperature", {})
        fitted = "fitted on the validation split" if kept.get("fitted") else "as exported"
        if isinstance(kept.get("fitted"), dict) and not kept["fitted"].get("used", True):
            fitted = "as the one fitted on the validation split was of no use"
        self.calibration = f"temperature {kept.get('value', 1.0):.3g}, {fitted}"

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """(B, K) of images (B, H, W, C) as the network was trained on.

        Raises:
            ValueError: pixels that cannot be meant; strange ones are warned of.
        """
        check_finite(images, "images")
        pixels.check(images, self.record)
        return self._of(images)

    def of_files(self, images: np.ndarray) -> np.ndarray:
        """(B, K) of decoded images (B, H, W, C), uint8, scaled as the training images were.

        Raises:
            ValueError: the network was trained on values that image files do not have.
        """
        if self._takes_bytes:
            return self._of(images)
        record = self.record
        values = images.astype("float32")
        if record is not None and record.minimum < 0:
            raise ValueError(
                "the network was trained on arrays with negative values, which are not the pixels "
                f"of image files; ask it with arrays. Received: pixels from {record.minimum:g}"
            )
        if record is not None and record.maximum <= 1.5:
            values = values / np.float32(255)
        return self._of(values)

    def _of(self, images: np.ndarray) -> np.ndarray:
        if not self._takes_bytes:
            images = images.astype("float32")
        found = np.asarray(self._outputs(images), "float64")
        columns, _ = checked(np.zeros(len(found), "int64"), found, self._are_logits)
        return np.exp(log_probabilities(columns, self._are_logits))
