"""Runs, networks, lists and recipes of strangers: they run no code, and write nothing elsewhere.

Reading a recipe runs nothing: `tests/recipes/test_outside.py`. The pickles of CIFAR's batches:
`tests/data/test_data_cifar.py`.
"""

import json
import os
import shutil
import socket
import warnings
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from keras_ccsam import atomic, data, manifest, models, recipes
from keras_ccsam.callbacks import metrics_log
from keras_ccsam.data.sources import path as sources
from keras_ccsam.deployment.classifier import Classifier
from keras_ccsam.runs import RunDirectory
from keras_ccsam.runs.folders import WRITTEN


def network() -> keras.Model:
    inputs = keras.Input((4, 4, 1))
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs)))


def with_lambda(file: Path, marker: Path) -> None:
    """A Keras file whose layer brings its own code."""
    inputs = keras.Input((4, 4, 1))
    touched = str(marker)
    harm = keras.layers.Lambda(
        lambda x, touched=touched: (open(touched, "w").close(), x)[1], output_shape=(4, 4, 1)
    )
    outputs = keras.layers.Dense(2)(keras.layers.Flatten()(harm(inputs)))
    keras.Model(inputs, outputs).save(file)
    marker.unlink(missing_ok=True)  # it ran while the network was made


def with_function(file: Path, marker: Path) -> None:
    """A Keras file that names a function of a module as an activation."""
    network().save(file)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    harmful = {
        "module": "os",
        "class_name": "function",
        "config": "mkdir",
        "registered_name": "mkdir",
    }
    dense = next(x for x in config["config"]["layers"] if x["class_name"] == "Dense")
    dense["config"]["activation"] = harmful
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def with_names_that_leave(file: Path, marker: Path) -> None:
    """A Keras file with members that would be unpacked elsewhere, if they were by name."""
    network().save(file)
    with zipfile.ZipFile(file, "a") as archive:
        for name in ("../" * 12 + str(marker).lstrip("/"), str(marker), f"a/../../{marker.name}"):
            archive.writestr(name, "out of the archive")


HARMFUL = [with_lambda, with_function, with_names_that_leave]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A file that nothing may make."""
    return tmp_path / "elsewhere"


@pytest.mark.any_backend
@pytest.mark.parametrize("make", HARMFUL)
def test_networks_of_strangers_run_nothing(make, tmp_path, elsewhere):
    file = tmp_path / "model.keras"
    make(file, elsewhere)
    facts = {
        "class_names": ["a", "b"],
        "input": {"dtype": "float32", "shape": [None, 4, 4, 1]},
        "output": {"name": "logits"},
    }
    (tmp_path / "model.keras.json").write_text(json.dumps(facts))
    before = sorted(tmp_path.iterdir())

    def as_weights() -> None:
        models.load_weights(network(), file)

    for read in (as_weights, lambda: Classifier(file)):
        if make is with_names_that_leave:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Keras says that it passes them over
                read()
        else:
            with pytest.raises(ValueError, match="cannot be read") as error:
                read()
            assert "\n" not in str(error.value)
        assert not elsewhere.exists()
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.any_backend
@pytest.mark.parametrize("make", HARMFUL[:2])
def test_a_strangers_run_is_refused_in_words(make, tmp_path, elsewhere, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    (run / "recipe.toml").write_text(recipes.load("ce").to_toml())
    make(run / "model.keras", elsewhere)
    # Whoever makes such a run makes its manifest, too.
    monkeypatch.setattr(RunDirectory, "check", lambda *_: None)
    monkeypatch.setattr(RunDirectory, "results", lambda *_: {})
    with pytest.raises(ValueError, match=r"to read a run directory runs no code.*run="):
        RunDirectory(run).model()
    assert not elsewhere.exists()


def lead_elsewhere(file: h5py.File, name: str, secret: Path, how: str) -> None:
    """Let a dataset of an HDF5 file be one of another file, by each way that the format has."""
    wanted = file[name]
    shape, dtype = wanted.shape, wanted.dtype
    if how == "a link to a group of another file":
        group = name.rpartition("/")[0]
        del file[group]
        file[group] = h5py.ExternalLink(secret, "/group")
        return
    del file[name]
    if how == "a link to another file":
        file[name] = h5py.ExternalLink(secret, "/group/0")
    elif how == "a link within the file":
        file[name] = h5py.SoftLink("/layers")
    elif how == "bytes of another file":
        size = int(np.prod(shape)) * dtype.itemsize
        file.create_dataset(name, shape, dtype, external=[(str(secret), 0, size)])
    else:
        layout = h5py.VirtualLayout(shape, dtype)
        layout[...] = h5py.VirtualSource(secret, "/group/0", shape=shape)
        file.create_virtual_dataset(name, layout)


WAYS = ["a link to a group of another file", "a link to another file", "a link within the file"]
WAYS += ["bytes of another file", "a view of another file"]


@pytest.mark.any_backend
@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.parametrize("how", WAYS)
def test_weights_that_lead_to_other_files_are_refused(how, tmp_path, monkeypatch):
    """Whatever lies there would come out as weights of the network that is handed on."""
    secret, weights, file = (tmp_path / n for n in ("secret.h5", "n.weights.h5", "model.keras"))
    model = network()
    before = model.get_weights()
    with h5py.File(secret, "w") as other:
        for place, array in enumerate(before):
            other[f"group/{place}"] = np.full_like(array, 7)
    model.save(file)
    model.save_weights(weights)
    with h5py.File(weights, "r+") as opened:
        found: list[str] = []
        opened.visititems(lambda n, x: found.append(n) if isinstance(x, h5py.Dataset) else None)
        lead_elsewhere(opened, next(n for n in found if n.endswith("/0")), secret, how)
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["model.weights.h5"] = weights.read_bytes()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    for path in (weights, file):
        with pytest.raises(ValueError, match="Not allowed") as error:
            models.load_weights(model, path)
        assert "\n" not in str(error.value)
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    (tmp_path / "recipe.toml").write_text(recipes.load("ce").to_toml())
    monkeypatch.setattr(RunDirectory, "check", lambda *_: None)
    monkeypatch.setattr(RunDirectory, "results", lambda *_: {})
    with pytest.raises(manifest.Damaged, match=r"is unreadable: .*Not allowed"):
        RunDirectory(tmp_path).model()


@pytest.mark.any_backend
def test_keras_is_asked_for_safe_mode_wherever_a_network_is_read():
    """Also where the user has switched it off for all of Keras."""
    root = Path(__file__).resolve().parents[2]
    calls = 0
    for file in [*(root / "keras_ccsam").rglob("*.py"), *(root / "cli").rglob("*.py")]:
        for line in file.read_text().replace("(\n                ", "(").splitlines():
            if "models.load_model(" in line and not line.strip().startswith(('"', "'")):
                calls += 1
                assert "safe_mode=True" in line, f"{file}: {line}"
    assert calls >= 4


@pytest.mark.any_backend
def test_addresses_are_no_files(tmp_path, monkeypatch):
    """Nothing is fetched, and nothing is read by an address."""

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    for address in ("hf://keras/resnet", "file:///etc/passwd", "https://example.org/model.keras"):
        for name in (address, f"{address}.keras", f"{address}.weights.h5"):
            with pytest.raises(ValueError, match="Received: "):
                models.load_weights(network(), name)
            with pytest.raises(ValueError, match="Received: "):
                Classifier(name)
            with pytest.raises(ValueError, match="Received: "):
                RunDirectory(name).recipe()
            with pytest.raises(ValueError, match="Received: "):
                sources.open_path(name)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    "name", ["../secret.png", "a/../../secret.png", "{secret}", r"..\secret.png"]
)
@pytest.mark.parametrize("kind", ["train.txt", "list.csv", "train.json"])
def test_lists_name_nothing_outside_their_folder(kind, name, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    folder = tmp_path / "photos"
    folder.mkdir()
    name = name.format(secret=secret)
    contents = {
        "train.txt": f"{name} 0\n{name} 1\n",
        "list.csv": f"path,label\n{name},0\n{name},1\n",
        "train.json": json.dumps(
            {
                "images": [{"id": 0, "file_name": name}],
                "annotations": [{"image_id": 0, "category_id": 0, "id": 0}],
                "categories": [{"id": 0, "name": "a"}],
            }
        ),
    }
    (folder / kind).write_text(contents[kind])
    with pytest.raises(ValueError, match="outside the images' folder"):
        sources.list_path(folder / kind)


@pytest.mark.any_backend
@pytest.mark.parametrize("name", WRITTEN)
def test_folders_of_a_run_that_lead_elsewhere_are_refused(name, tmp_path):
    run, target = tmp_path / "run", tmp_path / "target"
    run.mkdir()
    target.mkdir()
    (run / "recipe.toml").write_text(recipes.load("ce").to_toml())
    RunDirectory(run).check_run()
    (run / name).symlink_to(target, target_is_directory=True)
    with pytest.raises(ValueError, match="a link that leads out of it"):
        RunDirectory(run).check_run()
    (run / name).unlink()
    (run / "own").mkdir()
    (run / name).symlink_to("own", target_is_directory=True)
    RunDirectory(run).check_run()


@pytest.mark.any_backend
def test_files_that_are_links_are_replaced_not_followed(tmp_path):
    target = tmp_path / "target"
    for write in (
        lambda path: atomic.write_text(path, "new"),
        lambda path: metrics_log.append(path, {"stage": 1, "epoch": 1}),
    ):
        target.write_text("")
        link = tmp_path / "metrics.jsonl"
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        write(link)
        assert target.read_text() == ""
        assert not link.is_symlink()
        assert link.read_text()


@pytest.mark.any_backend
def test_no_file_with_objects_is_unpickled(tmp_path):
    class Harm:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "made"),)

    harmful = np.array([Harm(), Harm()], dtype=object)
    np.savez(tmp_path / "own.npz", x=harmful, y=np.array([0, 1]))
    np.save(tmp_path / "x.npy", harmful)
    np.save(tmp_path / "y.npy", np.array([0, 1]))
    for file in ("own.npz", "x.npy"):
        with pytest.raises(ValueError, match="Received: "):
            sources.open_path(tmp_path / file)
    assert not (tmp_path / "made").exists()
    shutil.copy(tmp_path / "own.npz", tmp_path / "indices.npz")
    with pytest.raises(ValueError, match="Received: "):
        data.load_indices(tmp_path / "indices.npz")
    assert not (tmp_path / "made").exists()
