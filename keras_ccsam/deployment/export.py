"""A trained run, or a model, as one file that needs nothing of this package."""

import errno
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np

from keras_ccsam import atomic
from keras_ccsam.deployment import metadata
from keras_ccsam.deployment.baked import Choices, Outputs, baked
from keras_ccsam.deployment.elsewhere import write_and_ask
from keras_ccsam.deployment.formats import Format, find, installed
from keras_ccsam.deployment.snippets import snippet
from keras_ccsam.deployment.subject import Subject, subject
from keras_ccsam.runs.folders import PathLike
from keras_ccsam.training import saving

TOLERANCE = 1e-4
"""Of an exported model's outputs against the run's own, in float32, relative to the largest."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file, or the folder of a SavedModel.
        beside: the JSON file with the facts.
        format: its format's name.
        backend: the Keras backend that wrote it.
        difference: the largest, of its outputs from the run's own predictions; None where nothing
            is installed that runs it.
        facts: what the JSON file holds.
        snippet: lines of Python that feed it.
    """

    path: Path
    beside: Path
    format: str
    backend: str
    difference: float | None
    facts: dict[str, Any]
    snippet: str


def export(
    run: PathLike | keras.Model,
    format: str = "onnx",
    out: PathLike | None = None,
    *,
    outputs: Outputs = "probabilities",
    logit_adjustment: float = 0.0,
    temperature: float | Literal["auto"] = 1.0,
    pixels: bool = False,
    resize: int | None = None,
    class_names: Sequence[str] | None = None,
    class_counts: Sequence[int] | None = None,
    force: bool = False,
    trust_code: bool = False,
) -> Exported:
    """Write a trained network in a format, load it again, and compare it with the original.

    The file takes images (B, H, W, C) as the network was trained on, float32 in 0..255 for every
    network of this package, with any B. It holds stock layers or operations alone.

    Args:
        run: the folder of a finished run, or a Keras model whose outputs are logits.
        format: "keras", "onnx", "saved_model", "litert" or "torch"; see `formats.py` for what
            writes them. The backend in use need not be the one that does.
        out: the file; "model" with the format's suffix by default, beside the run's `model.keras`
            in its folder `export`, or here for a model.
        outputs: "probabilities" or "logits".
        logit_adjustment: tau of post-hoc logit adjustment, part of the file; meant for a network
            that was trained with plain cross-entropy.
        temperature: what the logits are divided by; "auto" fits it on the run's validation split,
            and is 1 where what was fitted is of no use.
        pixels: let the file take uint8 images of any height and width, and resize them itself.
        resize: with `pixels`, the pixels of the resized shorter side, of which the centre is cut
            out; by default what the run was evaluated with.
        class_names, class_counts: of a model; a run knows its own.
        force: replace what is there.
        trust_code: of a run with a dataset or layer from outside, see `runs.open_run`.

    Returns:
        Where it is, and how far its outputs are from the original's.

    Raises:
        ValueError: no such format, what is needed is not installed, the file exists, the choices do
            not fit, a temperature is to be fitted without a validation split, or the file's
            outputs are not those of the network.
    """
    chosen = find(format)
    backend = chosen.route()
    about = subject(run, class_names, class_counts, trust_code)
    path = _target(about, chosen, out)
    _require_free(path, force)
    Choices(outputs, logit_adjustment, 1.0 if temperature == "auto" else temperature)
    about.check_adjustment(logit_adjustment)
    if pixels and about.value_range[1] <= 2:
        raise ValueError(
            "image files have pixels in 0..255, and this network was trained on values up to "
            f"{about.value_range[1]:g}: scale them outside of it. Received: pixels=True"
        )
    fitted = None
    if temperature == "auto":
        fitted = about.temperature(logit_adjustment)
        temperature = fitted.applied
    resize = about.resize if resize is None else resize
    choices = Choices(outputs, logit_adjustment, temperature, pixels, resize if pixels else None)
    model = baked(about.network(), about.class_counts, choices)
    runs_here = chosen.runtime is None or installed(chosen.runtime)
    batches = _trials(model, about) if runs_here else []
    wanted = [np.asarray(keras.ops.convert_to_numpy(model(batch))) for batch in batches]
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    atomic.sweep(path.parent, path.name)
    with atomic.made_folder(path.parent), _written(model, temporary, path):
        said = write_and_ask(model, format, temporary, backend, batches)
        difference = _difference(said, wanted)
        feeding = snippet(format, path.name, model.input_shape, model.inputs[0].dtype)
        facts = {
            **about.facts(),
            "format": format,
            "written_by": backend or metadata.backend_in_use(),
            "input": {
                "name": "images",
                "shape": list(model.input_shape),
                "dtype": model.inputs[0].dtype,
                "resized_inside": pixels,
                "resize": choices.resize,
            },
            "output": {"name": outputs, "shape": [None, model.output_shape[-1]]},
            "logit_adjustment": float(logit_adjustment),
            "temperature": {"value": float(temperature), "fitted": _fitted(fitted)},
            "largest_difference": difference,
            "versions": metadata.versions(),
            "how_to_use": feeding,
        }
        facts = json.loads(json.dumps(facts))
        metadata.put_inside(format, temporary, facts)
        _require_free(path, force)  # another process may have come in between
        _replace(temporary, path)
    metadata.put_beside(path, facts)
    written_by = backend or metadata.backend_in_use()
    return Exported(path, metadata.beside(path), format, written_by, difference, facts, feeding)


def _fitted(found: Any) -> dict[str, Any] | None:
    return None if found is None else {"on": "validation split", **found.to_dict()}


def _target(about: Subject, chosen: Format, out: PathLike | None) -> Path:
    if out is None:
        return about.folder / chosen.default_name
    path = Path(out)
    if not os.fspath(out).strip() or path.name == "":
        raise ValueError(f"a file needs a name. Received: out={os.fspath(out)!r}")
    if chosen.suffix and path.suffix != chosen.suffix:
        raise ValueError(
            f"a file of the format {chosen.name} ends in {chosen.suffix}. "
            f"Received: out={os.fspath(out)!r}"
        )
    return path


def _require_free(path: Path, force: bool) -> None:
    """Refuse to overwrite, and a place that cannot be written to, before anything is made."""
    existing = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if existing == path.absolute():
        if not force:
            raise ValueError(
                "this exists already and is not overwritten; name another file, or say force=True "
                f"(--force on the command line). Received: out={str(path)!r}"
            )
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(
            f"nothing can be written into {str(existing)!r}. Received: out={str(path)!r}"
        )


def _trials(model: keras.Model, about: Subject) -> list[np.ndarray]:
    """Batches of one and of five images that nobody has seen, of the run's range."""
    random = np.random.default_rng(0)
    shape = model.input_shape[1:]
    low, high = about.value_range
    batches = []
    for count, factor in ((1, 1.0), (5, 1.6)):
        height, width = (
            side if side is not None else max(2, round(about.size[axis] * factor) + axis)
            for axis, side in enumerate(shape[:2])
        )
        values = random.uniform(low, high, (count, height, width, shape[-1]))
        batches.append(np.rint(values).astype("uint8") if shape[0] is None else values)
    return [batch.astype(model.inputs[0].dtype) for batch in batches]


def _difference(said: list[np.ndarray], wanted: list[np.ndarray]) -> float | None:
    """The largest, absolute.

    Raises:
        ValueError: it is more than a rounding error.
    """
    if not said:
        return None
    worst = 0.0
    for found, right in zip(said, wanted, strict=True):
        if found.shape != right.shape or not np.isfinite(found).all():
            raise ValueError(
                "the exported file does not put out what the network does, and was not kept. "
                f"Received: outputs of shape {found.shape} for {right.shape}, or NaN"
            )
        worst = max(worst, float(np.abs(found - right).max()))
        if worst > TOLERANCE * max(1.0, float(np.abs(right).max())):
            raise ValueError(
                "the exported file does not put out what the network does, and was not kept. "
                f"Received: a difference of {worst:.3g}, more than {TOLERANCE:g}"
            )
    return worst


def _is_full(error: OSError) -> bool:
    """Whether there was no room; of a folder that is copied, Python lists what failed."""
    if isinstance(error, shutil.Error):
        return "[Errno 28]" in str(error)
    return error.errno in atomic.NO_ROOM


def _replace(temporary: Path, path: Path) -> None:
    """Move into place; a folder that is there is moved away first."""
    old = None
    if path.is_dir():
        old = path.with_name(f".{uuid.uuid4().hex[:8]}.old")
        os.replace(path, old)
    os.replace(temporary, path)
    if old is not None:
        _remove(old)


@contextmanager
def _written(model: keras.Model, temporary: Path, path: Path) -> Iterator[None]:
    """Leave nothing of a temporary file or folder behind; say what a full disk lacks."""
    try:
        yield
    except OSError as error:
        if not _is_full(error):
            raise
        # Of a Keras file the size is known; of another one, what there was room for.
        least = max(saving.weight_bytes(model), _size(temporary))
        least = saving.size_of(model) if path.suffix == ".keras" else least
        _remove(temporary)
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise atomic.no_room(full, path, least, least=True) from error
    finally:
        _remove(temporary)


def _size(path: Path) -> int:
    """Of a file or of the files in a folder, in bytes."""
    return sum(p.stat().st_size for p in (path, *path.rglob("*")) if p.is_file())


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
