"""Whatever is in a file, its reader gives a result, or a ValueError of one clear line.

Some hundreds of inputs here; CCSAM_FUZZ=1000 makes it so many for each reader, as at night:

    CCSAM_FUZZ=1000 KERAS_BACKEND=torch python -m pytest tests/fuzz

With CCSAM_FUZZ_COUNTS=benchmarks/results/fuzz.json it writes down how many each reader was given.

HYPOTHESIS prints what to put into `@example` where one fails.
"""

import functools
import io
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

hypothesis = pytest.importorskip("hypothesis")

from hypothesis import HealthCheck, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from keras_ccsam_cli.errors import one_line  # noqa: E402
from PIL import Image  # noqa: E402

from keras_ccsam import data, json_lines, manifest, pixels, recipes, snapshots  # noqa: E402
from keras_ccsam.data.images import decode  # noqa: E402
from keras_ccsam.data.images.pack_index import PackIndex  # noqa: E402
from keras_ccsam.data.sources import numpy_files, path, restricted_pickle  # noqa: E402
from keras_ccsam.deployment.classifier import Classifier  # noqa: E402
from keras_ccsam.recipes import Recipe  # noqa: E402
from keras_ccsam.runs import RunDirectory  # noqa: E402
from tests.fuzz.broken import ANY_JSON, GIVEN, changed_bytes, changed_json  # noqa: E402

pytestmark = pytest.mark.any_backend

CASES = int(os.environ.get("CCSAM_FUZZ", "20"))
LIMIT = 20_000  # of a message, in characters: some repeat a line of the file


def cases(*strategies: Any, **named: Any) -> Callable[[Any], Any]:
    """`given`, in as many cases as are asked for, the same ones each time unless at night."""
    chosen = settings(
        max_examples=CASES,
        deadline=None,
        derandomize=CASES < 100,
        database=None,
        suppress_health_check=list(HealthCheck),
    )

    def decorated(test: Any) -> Any:
        name = test.__qualname__.split(".")[0]

        @functools.wraps(test)
        def counted(*arguments: Any, **inputs: Any) -> None:
            GIVEN[name] += 1
            test(*arguments, **inputs)

        return chosen(given(*strategies, **named)(counted))

    return decorated


def asked(read: Callable[[], Any]) -> Any:
    """What is read; None where it is refused as it should be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            return read()
        except ValueError as error:
            assert is_line(str(error)), f"{type(error).__name__}: {str(error)[:300]!r}"
            return None


def is_line(text: str) -> bool:
    """Whether a message says something, in one line, of which a terminal obeys nothing."""
    shown = one_line(text)
    whole = bool(text.strip()) and "\n" not in text and text.isprintable()
    return whole and len(text) < LIMIT and len(shown) <= 2000


def png() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(48, dtype="uint8").reshape(4, 4, 3)).save(buffer, "png")
    return buffer.getvalue()


def image(kind: str) -> bytes:
    buffer = io.BytesIO()
    pixels = np.arange(16 * 16 * 3, dtype="uint8").reshape(16, 16, 3)
    Image.fromarray(pixels).save(buffer, kind, **({"exif": b"Exif\0\0"} if kind == "jpeg" else {}))
    return buffer.getvalue()


def archive(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an image that lists may name."""
    made = tmp_path_factory.mktemp("fuzz")
    for name in ("a", "b", "c"):
        (made / f"{name}.png").write_bytes(png())
    return made


RECIPE = recipes.load("ldam-drw").to_toml().encode()
VALUES = recipes.load("ccsam").to_dict()


@cases(content=changed_bytes(RECIPE))
def test_recipe_files(folder, content):
    (folder / "own.toml").write_bytes(content)
    asked(lambda: recipes.load(folder / "own.toml"))


@cases(content=changed_json(VALUES))
def test_recipes_of_other_values(content):
    found = asked(lambda: Recipe.from_dict(content))
    if found is not None:
        assert Recipe.from_toml(found.to_toml()) == found


@cases(
    key=st.sampled_from(["stage1.lr", "seed", "stage1.method.name", "data", "stage2", "name"])
    | st.text(max_size=12),
    value=st.text(max_size=20) | ANY_JSON.map(json.dumps),
)
def test_overrides(key, value):
    asked(lambda: recipes.load("ccsam", overrides=[f"{key}={value}"]))


LISTS = {
    "train.txt": b"a.png 0\nb.png 1\nc.png 1\n",
    "list.csv": b"path,label,split\na.png,0,train\nb.png,1,train\nc.png,1,test\n",
    "train.json": json.dumps(
        {
            "images": [{"id": i, "file_name": f"{n}.png"} for i, n in enumerate("abc")],
            "annotations": [{"image_id": i, "category_id": i % 2, "id": i} for i in range(3)],
            "categories": [{"id": 0, "name": "owl"}, {"id": 1, "name": "wren"}],
        }
    ).encode(),
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_tables_and_annotations(folder, name):
    file = folder / name
    file.write_bytes(LISTS[name])
    assert path.list_path(file).train is not None

    @cases(content=changed_bytes(LISTS[name]))
    def run(content: bytes) -> None:
        file.write_bytes(content)
        found = asked(lambda: path.list_path(file))
        if found is not None:
            root = Path(os.path.abspath(found.root))
            for image in found.train.paths:
                assert root in Path(os.path.abspath(root / image)).parents, "out of the folder"

    run()
    file.unlink()


@cases(content=changed_json(json.loads(LISTS["train.json"])))
def test_annotations_of_other_values(folder, content):
    file = folder / "train.json"
    file.write_text(json.dumps(content))
    asked(lambda: path.list_path(file))
    file.unlink()


def test_parquet(folder):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    file, buffer = folder / "list.parquet", io.BytesIO()
    table = pyarrow.table({"path": ["a.png", "b.png", "c.png"], "label": [0, 1, 1]})
    parquet.write_table(table, buffer)

    @cases(content=changed_bytes(buffer.getvalue()))
    def run(content: bytes) -> None:
        file.write_bytes(content)
        asked(lambda: path.list_path(file))

    run()
    file.unlink()


ARRAYS = archive(x=np.arange(4 * 3 * 3, dtype="uint8").reshape(4, 3, 3), y=np.array([0, 0, 1, 1]))


@cases(content=changed_bytes(ARRAYS))
def test_arrays(folder, content):
    (folder / "own.npz").write_bytes(content)
    asked(lambda: numpy_files.load_files(folder / "own.npz", test_fraction=0.5))


@cases(content=changed_bytes(ARRAYS[ARRAYS.index(b"\x93NUMPY") :][:164]))
def test_single_arrays(folder, content):
    (folder / "x.npy").write_bytes(content)
    np.save(folder / "y.npy", np.array([0, 0, 1, 1]))
    asked(lambda: numpy_files.load_files(folder / "x.npy", test_fraction=0.5))


def test_split_files(folder):
    images = data.load("digits-lt", imbalance_ratio=100)
    file = folder / "indices.npz"
    images.save_indices(file)

    @cases(content=changed_bytes(file.read_bytes()))
    def run(content: bytes) -> None:
        file.write_bytes(content)
        asked(lambda: data.load_indices(file))

    run()


def test_checkpoints(tmp_path):
    snapshots.write(tmp_path, {"w": np.ones(3), "m": np.zeros((2, 2), "float16")}, {"epoch": 3})
    (made,) = tmp_path.iterdir()
    whole = {file.name: file.read_bytes() for file in made.iterdir()}

    @cases(
        changes=st.fixed_dictionaries({n: st.just(c) | changed_bytes(c) for n, c in whole.items()})
    )
    def run(changes: dict[str, bytes]) -> None:
        for name, content in changes.items():
            (made / name).write_bytes(content)
        found, passed_over = snapshots.latest(tmp_path)
        assert (found is None) == bool(passed_over)
        if found is not None:
            assert found.facts == {"epoch": 3}
            np.testing.assert_array_equal(found.arrays["w"], np.ones(3))
        assert all(is_line(sentence) for sentence in passed_over)

    run()


LOG = b'{"stage": 1, "epoch": 1, "loss": 2.5}\n{"stage": 1, "epoch": 2, "loss": null}\n'


@cases(content=changed_bytes(LOG))
def test_metrics_logs(folder, content):
    (folder / "metrics.jsonl").write_bytes(content)
    found = asked(lambda: json_lines.read(folder / "metrics.jsonl"))
    if found is not None:
        assert all(isinstance(record, dict) for record in found)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run's small files, and neither network nor manifest."""
    made = tmp_path_factory.mktemp("run") / "run"
    made.mkdir()
    results = {"class_names": ["a", "b"], "class_counts": [3, 1], "test": {"accuracy": 0.5}}
    contents = {
        "recipe.toml": RECIPE.decode(),
        "state.json": json.dumps({"kind": "run", "status": "complete", "process": {"pid": 1}}),
        "results.json": json.dumps(results),
        "environment.json": json.dumps({"backend": "torch", "packages": {"keras": "3.15.1"}}),
        "metrics.jsonl": LOG.decode(),
    }
    for name, text in contents.items():
        (made / name).write_text(text)
    return made


@pytest.mark.parametrize("name", ["recipe.toml", "state.json", "results.json", "metrics.jsonl"])
def test_run_directories(run_folder, name):
    whole = (run_folder / name).read_bytes()

    @cases(content=changed_bytes(whole))
    def run(content: bytes) -> None:
        (run_folder / name).write_bytes(content)
        directory = RunDirectory(run_folder)
        for read in (directory.recipe, directory.status, directory.results, directory.metrics):
            asked(read)
        asked(directory.environment)

    run()
    (run_folder / name).write_bytes(whole)


@cases(content=changed_json(manifest.sealed({"kind": "run", "version": 1, "files": {}})))
def test_manifests(folder, content):
    (folder / "manifest.json").write_text(json.dumps(content))
    try:
        manifest.opened(folder / "manifest.json", "run", 1)
    except manifest.Damaged as error:
        assert is_line(str(error))


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp", "bmp", "gif", "tiff"])
def test_images(kind):
    whole = image(kind)

    @cases(content=changed_bytes(whole))
    def run(content: bytes) -> None:
        found = asked(lambda: decode.decode(content))
        assert found is None or (found.dtype == np.uint8 and found.shape[2] == 3)
        asked(lambda: decode.decode(content, channels=1, at_least=(2, 2)))

    run()


def cifar_batch() -> bytes:
    import pickle

    images = np.arange(2 * 3072, dtype="int64").astype("uint8").reshape(2, 3072)
    return pickle.dumps({b"data": images, b"labels": [0, 1]}, protocol=2)


@cases(content=changed_bytes(cifar_batch()[:400]))
def test_cifar_batches(content):
    asked(lambda: restricted_pickle.read_batch(io.BytesIO(content)))


INDEX = {
    "kind": "packed images",
    "format": 1,
    "form": "pixels",
    "side": 4,
    "channels": 3,
    "ends": [],
    "paths": ["a.png"],
    "stamps": [[1, 2]],
    "bytes": 0,
    "sha256": "",
}


@cases(content=changed_json(INDEX))
def test_packed_sets(folder, content):
    (folder / "images.bin").write_bytes(b"")
    (folder / "index.json").write_text(json.dumps(content))
    asked(lambda: PackIndex.load(folder))


@cases(content=ANY_JSON | changed_json(pixels.PixelRecord("uint8", 0, 255, 3, (4, 4)).to_dict()))
def test_pixel_records(content):
    found = asked(lambda: pixels.PixelRecord.from_dict(content))
    if found is not None:
        asked(lambda: pixels.check(np.zeros((2, 4, 4, 3)), found))


FACTS = {
    "class_names": ["a", "b"],
    "input": {"dtype": "uint8", "shape": [None, 4, 4, 3]},
    "output": {"name": "logits"},
    "pixels": None,
    "temperature": {"value": 1.0, "fitted": False},
}


@cases(content=changed_json(FACTS))
def test_exported_models(folder, content):
    (folder / "model.keras").write_bytes(b"no archive")
    (folder / "model.keras.json").write_text(json.dumps(content))
    asked(lambda: Classifier(folder / "model.keras"))
