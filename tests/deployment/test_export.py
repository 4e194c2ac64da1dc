"""Exported models: read where this package is not, they say what the run says."""

import errno
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

import keras_ccsam as cc
from keras_ccsam import deployment
from keras_ccsam.data.images.view import Centre, resized
from keras_ccsam.deployment import baked, formats, writing
from keras_ccsam.deployment import elsewhere as process
from keras_ccsam.deployment.any_size import centre_view
from keras_ccsam.runs import RunDirectory, RunResult

SUFFIXES = {name: found.suffix for name, found in formats.FORMATS.items()}

# Run in a process of its own, in which this package cannot be imported.
READER = """
import json, sys
sys.modules["keras_ccsam"] = None
import numpy as np
files, inputs, outputs = sys.argv[1:]

def reader(name, file):
    if name == "keras":
        import keras
        model = keras.models.load_model(file, compile=False)
        return lambda batch: keras.ops.convert_to_numpy(model(batch))
    if name == "onnx":
        import onnxruntime
        session = onnxruntime.InferenceSession(file)
        return lambda batch: session.run(None, {"images": batch})[0]
    if name == "torch":
        import torch
        model = torch.export.load(file).module()
        return lambda batch: model(torch.from_numpy(batch)).detach().numpy()
    import tensorflow as tf
    if name == "saved_model":
        model = tf.saved_model.load(file)
        return lambda batch: model.serve(batch).numpy()
    model = tf.lite.Interpreter(file)
    def run(batch):
        model.resize_tensor_input(0, batch.shape)
        model.allocate_tensors()
        model.set_tensor(0, batch)
        model.invoke()
        return model.get_tensor(model.get_output_details()[0]["index"])
    return run

said = []
given = np.load(inputs)
for name, file, keys in json.loads(files):
    run = reader(name, file)
    said += [run(given[key]) for key in keys]
np.savez(outputs, *said)
"""

Asked = tuple[str, Path, list[np.ndarray]]
"""A format, a file of it, and batches of images."""


def elsewhere(asked: list[Asked], folder: Path) -> list[np.ndarray]:
    """What exported files say, one after the other, in a process without this package."""
    batches, files = {}, []
    for number, (name, file, given) in enumerate(asked):
        named = {f"{number}_{i}": batch for i, batch in enumerate(given)}
        files.append((name, str(file), list(named)))
        batches |= named
    np.savez(folder / "inputs.npz", **batches)
    paths = (str(folder / "inputs.npz"), str(folder / "outputs.npz"))
    done = subprocess.run(
        [sys.executable, "-c", READER, json.dumps(files), *paths],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    with np.load(paths[1]) as outputs:
        return [outputs[key] for key in outputs.files]


def own_logits(run: RunResult, images: np.ndarray) -> np.ndarray:
    """What the run's network says."""
    return np.asarray(RunDirectory(run.path).model().predict(images, verbose=0))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Row by row."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


# What the backend in use writes: so no framework is started for the sake of another one.
WRITTEN_HERE = {
    "jax": ("keras",),
    "tensorflow": ("keras", "saved_model", "litert"),
    "torch": ("keras", "onnx", "torch"),
}


@pytest.mark.slow
def test_every_format_says_what_the_run_says(finished: RunResult, tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    as_trained = [random.integers(0, 256, (n, 8, 8, 1)).astype("float32") for n in (1, 5)]
    sizes = ((1, 8, 8), (5, 21, 13), (2, 6, 30))
    any_size = [random.integers(0, 256, (*size, 1)).astype("uint8") for size in sizes]
    asked: list[Asked] = []
    for name in WRITTEN_HERE[keras.backend.backend()]:
        if name == "onnx" and importlib.util.find_spec("onnxruntime") is None:
            continue
        plain, whole = (tmp_path / f"{kind}{SUFFIXES[name]}" for kind in ("plain", "whole"))
        done = deployment.export(finished.path, name, plain, outputs="logits")
        assert done.difference is not None and done.difference < 1e-4
        baked_in = {"logit_adjustment": 0.7, "temperature": 1.6, "pixels": True}
        deployment.export(finished.path, name, whole, **baked_in)
        asked += [(name, plain, as_trained), (name, whole, any_size)]
    said = iter(elsewhere(asked, tmp_path))
    counts = np.array(finished.results["class_counts"])
    shift = 0.7 * np.log(counts / counts.sum())
    for name, _, batches in asked:
        for batch in batches:
            found = next(said)
            if batch.dtype == "float32":
                wanted, near = own_logits(finished, batch), 1e-4
            else:
                wanted = softmax((own_logits(finished, pillow(batch)) - shift) / 1.6)
                np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5, err_msg=name)
                # Pillow rounds after the rows and after the columns: one level here and there.
                near = 1e-5 if batch.shape[1:3] == (8, 8) else 0.02
            np.testing.assert_allclose(found, wanted, atol=near, rtol=1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="the others write more themselves")
def test_another_backend_writes_what_this_one_does_not(finished: RunResult, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    done = deployment.export(finished.path, "onnx", tmp_path / "m.onnx", outputs="logits")
    assert done.backend == "torch"
    assert done.difference is not None and done.difference < 1e-4
    images = np.random.default_rng(3).integers(0, 256, (7, 8, 8, 1)).astype("float32")
    found = onnxruntime.InferenceSession(str(done.path)).run(None, {"images": images})[0]
    np.testing.assert_allclose(found, own_logits(finished, images), atol=1e-4, rtol=1e-4)


def pillow(batch: np.ndarray) -> np.ndarray:
    """Grey images as an evaluation sees them, by Pillow."""
    box = Centre((8, 8)).box(batch.shape[2], batch.shape[1])
    seen = [resized(Image.fromarray(image[..., 0]), (8, 8), box) for image in batch]
    return np.stack([np.asarray(image, "float32") for image in seen])[..., None]


def test_the_view_in_a_model_is_pillows() -> None:
    random = np.random.default_rng(0)
    for size, resize, shape in (
        ((8, 8), None, (40, 24)),
        ((7, 7), 9, (23, 31)),
        ((6, 10), None, (50, 17)),
        ((8, 8), None, (5, 3)),
    ):
        image = random.integers(0, 256, shape).astype("uint8")
        view = Centre(size, resize)
        pillow = resized(Image.fromarray(image), size, view.box(shape[1], shape[0]))
        inside = centre_view(keras.ops.convert_to_tensor(image[None, ..., None]), size, resize)
        difference = np.abs(keras.ops.convert_to_numpy(inside)[0, ..., 0] - np.asarray(pillow))
        assert difference.max() <= 1


def test_a_keras_file_holds_stock_layers_and_the_facts(finished: RunResult, tmp_path: Path) -> None:
    done = deployment.export(finished.path, "keras", tmp_path / "m.keras", temperature="auto")
    with zipfile.ZipFile(done.path) as archive:
        assert b"keras_ccsam" not in archive.read("config.json")
        inside = json.loads(archive.read("keras_ccsam.json"))
    beside = json.loads(done.beside.read_text(encoding="utf-8"))
    assert inside == beside
    assert beside["class_names"] == [str(i) for i in range(10)]
    assert beside["class_counts"] == finished.results["class_counts"]
    assert beside["run"]["digest"] == finished.results["digest"]
    assert sorted(c for group in beside["groups"].values() for c in group) == list(range(10))
    assert beside["pixels"]["maximum"] == 255
    assert beside["temperature"]["fitted"]["images"] > 0
    assert beside["versions"]["keras"] == keras.__version__
    assert "load_model('m.keras'" in done.snippet
    assert {path.name for path in tmp_path.iterdir()} == {"m.keras", "m.keras.json"}


@pytest.mark.any_backend
def test_an_onnx_file_has_names_and_metadata(finished: RunResult, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    done = deployment.export(finished.path, "onnx", tmp_path / "m.onnx")
    model = onnx.load(str(done.path))
    assert [value.name for value in model.graph.input] == ["images"]
    assert [value.name for value in model.graph.output] == ["probabilities"]
    shape = model.graph.output[0].type.tensor_type.shape
    assert [dim.dim_param or dim.dim_value for dim in shape.dim] == ["batch", 10]
    props = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(props["class_names"]) == list(finished.results["class_names"])


@pytest.mark.any_backend
def test_nothing_is_overwritten_unless_it_is_asked_for(finished: RunResult, tmp_path: Path) -> None:
    file = tmp_path / "m.keras"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(ValueError, match=r"exists already.*Received: out="):
        deployment.export(finished.path, "keras", file)
    assert file.read_text(encoding="utf-8") == "mine"
    deployment.export(finished.path, "keras", file, force=True)
    assert zipfile.is_zipfile(file)


@pytest.mark.any_backend
def test_a_file_that_says_something_else_is_not_kept(
    finished: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*arguments: object) -> list[np.ndarray]:
        return [np.full((len(batch), 10), 0.1) for batch in arguments[-1]]

    monkeypatch.setitem(deployment.export.__globals__, "write_and_ask", wrong)
    with pytest.raises(ValueError, match=r"was not kept\. Received: a difference"):
        deployment.export(finished.path, "keras", tmp_path / "new" / "er" / "m.keras")
    assert not list(tmp_path.iterdir())


@pytest.mark.any_backend
def test_a_file_that_came_in_between_is_kept(
    finished: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, write = tmp_path / "m.keras", process.write_and_ask

    def overtaken(*arguments: Any) -> list[np.ndarray]:
        file.write_text("another's", encoding="utf-8")
        return write(*arguments)

    monkeypatch.setitem(deployment.export.__globals__, "write_and_ask", overtaken)
    with pytest.raises(ValueError, match="exists already"):
        deployment.export(finished.path, "keras", file)
    assert file.read_text(encoding="utf-8") == "another's"
    assert list(tmp_path.iterdir()) == [file]


def test_a_model_is_exported_as_a_run_is(tmp_path: Path) -> None:
    model = cc.CCSAM(
        cc.models.SmallCNN((8, 8, 3), width=4, features=8), num_classes=3, class_counts=[9, 3, 1]
    )
    done = deployment.export(
        model, "keras", tmp_path / "m.keras", class_names="abc", class_counts=[9, 3, 1]
    )
    assert done.facts["class_names"] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="give class_counts"):
        deployment.export(model, "keras", tmp_path / "n.keras", logit_adjustment=1.0)
    with pytest.raises(ValueError, match="a model has none"):
        deployment.export(model, "keras", tmp_path / "n.keras", temperature="auto")


@pytest.mark.parametrize("end", ["softmax", "sigmoid", "a layer"])
def test_probabilities_of_a_model_are_not_softened_twice(tmp_path: Path, end: str) -> None:
    inputs = keras.Input((8, 8, 1))
    features = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    units, own = (1, "sigmoid") if end == "sigmoid" else (3, None if end == "a layer" else end)
    outputs = keras.layers.Dense(units, activation=own)(features)
    if end == "a layer":
        outputs = keras.layers.Softmax()(outputs)
    model = keras.Model(inputs, outputs)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)).astype("float32")
    wanted = np.asarray(model.predict(images, verbose=0))
    file = tmp_path / "m.keras"
    for given in (model, cc.CCSAM.from_model(model, class_counts=[9, 3, 1][: max(units, 2)])):
        deployment.export(given, "keras", file, force=True)
        said = keras.models.load_model(file, compile=False).predict(images, verbose=0)
        np.testing.assert_allclose(said, wanted, rtol=1e-4)
        asked = deployment.Classifier(given)
        np.testing.assert_allclose(asked.probabilities(images)[:, -1], wanted[:, -1], rtol=1e-4)


@pytest.mark.any_backend
@pytest.mark.parametrize("outputs", [1, 4])
def test_scale_and_offset_are_those_of_the_formula(outputs: int) -> None:
    counts = [8, 2] if outputs == 1 else [8, 4, 2, 2]
    choices = baked.Choices("logits", 1.5, 2.0)
    scale, offset = baked.adjustment(counts, outputs, choices)
    prior = np.log(np.array(counts) / sum(counts))
    wanted = prior[1:] - prior[:1] if outputs == 1 else prior
    assert scale == 0.5
    np.testing.assert_allclose(offset, -0.5 * 1.5 * wanted)


def test_half_precision_is_exported_in_float32() -> None:
    inputs = keras.Input((8, 8, 1))
    features = keras.layers.Flatten(dtype="mixed_float16")(inputs)
    network = keras.Model(inputs, keras.layers.Dense(3, dtype="mixed_float16")(features))
    copy = baked.in_float32(network)
    assert {layer.compute_dtype for layer in copy.layers} == {"float32"}
    for mine, theirs in zip(copy.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "onxn"}, "did you mean 'onnx'"),
        ({"out": "x.pt"}, "ends in .keras"),
        ({"temperature": 0.0}, "a number above 0"),
        ({"temperature": float("nan")}, "a number above 0"),
        ({"logit_adjustment": -1.0}, "at least 0"),
        ({"outputs": "logit"}, '"probabilities" or "logits"'),
        ({"class_names": ["a"]}, "knows its own classes"),
    ],
)
def test_wrong_choices_are_refused_before_anything_is_written(
    finished: RunResult, tmp_path: Path, options: dict, words: str
) -> None:
    wanted = {"format": "keras", "out": tmp_path / "m.keras", **options}
    if isinstance(wanted["out"], str):
        wanted["out"] = tmp_path / wanted["out"]
    with pytest.raises(ValueError, match=words):
        deployment.export(finished.path, **wanted)
    assert not list(tmp_path.iterdir())


@pytest.mark.any_backend
@pytest.mark.parametrize("name", ["la", "la-posthoc"])
def test_logits_are_not_adjusted_twice(
    finished: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    trained = cc.recipes.load(name)
    monkeypatch.setattr(RunDirectory, "recipe", lambda self, **options: trained)
    with pytest.raises(ValueError, match="would be favoured twice"):
        deployment.export(finished.path, "keras", tmp_path / "m.keras", logit_adjustment=1.0)
    with pytest.raises(ValueError, match="would be favoured twice"):
        deployment.Classifier(finished.path, logit_adjustment=1.0)


@pytest.mark.any_backend
def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "installed", lambda name: False)
    with pytest.raises(ValueError, match=r'pip install "keras-ccsam\[onnx\]"'):
        formats.find("onnx").route()
    assert formats.find("keras").route() is None
    monkeypatch.setattr(formats, "installed", lambda name: name != "torch")
    with pytest.raises(ValueError, match="written with torch and onnx and onnxscript"):
        formats.find("onnx").route()


def test_a_full_disk_is_no_fault_of_the_format(
    finished: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path))

    monkeypatch.setattr(writing, "write", full)
    with pytest.raises(OSError, match="No space left on device"):
        process.write_and_ask(
            RunDirectory(finished.path).model(), "keras", tmp_path / "model.keras", None, []
        )


@pytest.mark.any_backend
@pytest.mark.parametrize("error", ["one", "several"])
def test_a_full_disk_leaves_nothing_and_says_how_much_was_needed(
    finished: RunResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    def full(model: Any, name: str, path: Path, *_: Any) -> None:
        path.mkdir()
        (path / "half").write_bytes(b"x" * 70_000)
        if error == "several":  # as Python says it of a folder
            raise shutil.Error([("a", "b", f"[Errno {errno.ENOSPC}] No space left on device: 'b'")])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(deployment.export.__globals__, "write_and_ask", full)
    words = r"No space left on device, at least 70,000 bytes were needed, .* are free"
    with pytest.raises(OSError, match=words) as caught:
        deployment.export(finished.path, "saved_model", tmp_path / "m")
    assert caught.value.filename == str(tmp_path / "m")
    assert not list(tmp_path.iterdir())
