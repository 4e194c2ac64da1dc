"""The folder of one run: written once, never overwritten, no file ever half there.

recipe.toml        every choice, defaults included
environment.json   versions, backend, device, command, git revision, files of code from outside
indices.npz        which images of the source were trained on, with their SHA-256
metrics.jsonl/csv  one record per epoch, both stages
checkpoints/       stage1.weights.h5, the weights stage 2 started from
model.keras        the trained network as a plain Keras model
results.json       what the last epoch scores
validation.npz     the class that it predicts of each validation image, where there are any
plots/             PNG
analysis/          landscapes, sharpness, bound and what else was looked at afterwards
tensorboard/       event files, where that tracker was named; wandb/ likewise
state.json         "running", "complete" or "failed"
"""

import datetime
import json
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ccsam import atomic, writer
from keras_ccsam.callbacks import metrics_log
from keras_ccsam.data.npz import UNREADABLE, open_npz
from keras_ccsam.pixels import PixelRecord
from keras_ccsam.recipes import Recipe, toml
from keras_ccsam.recipes.library import import_outside
from keras_ccsam.runs import own_code
from keras_ccsam.runs.folders import PathLike, make, named, require_free, require_run

_PLAIN_LIST = re.compile(r"\[\n\s*([^\[\]{}]*?)\n\s*\]")


class RunDirectory:
    """Names, reads and writes the files of one run.

    Args:
        path: the folder; nothing is touched until `create`.

    Raises:
        ValueError: the path is empty.
    """

    def __init__(self, path: PathLike) -> None:
        self.path = named(path, "path")
        self.recipe_file = self.path / "recipe.toml"
        self.environment_file = self.path / "environment.json"
        self.indices_file = self.path / "indices.npz"
        self.metrics_file = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.stage1_file = self.checkpoints / "stage1.weights.h5"
        self.model_file = self.path / "model.keras"
        self.results_file = self.path / "results.json"
        self.validation_file = self.path / "validation.npz"
        self.plots = self.path / "plots"
        self.analysis = self.path / "analysis"
        self.trajectory_file = self.analysis / "trajectory.npz"
        self.state_file = self.path / "state.json"

    def check_free(self) -> None:
        """Refuse a folder that holds anything, before anything is written.

        Raises:
            ValueError: the folder is not empty, or the path cannot be one.
        """
        require_free(self.path)

    def check_run(self) -> None:
        """Refuse a folder that no run was written into.

        Raises:
            ValueError: the folder is no run directory.
        """
        require_run(self.path)

    def create(self, recipe: Recipe, environment: dict[str, Any]) -> None:
        """Make the folder and write what is known before training.

        Raises:
            ValueError: as `check_free`.
        """
        self.check_free()
        text = recipe.to_toml()
        make(self.path)
        try:
            self.checkpoints.mkdir()
        except FileExistsError:  # another process came in between
            self.check_free()
            raise
        make(self.plots)
        self._mark("running", process=writer.this_process())
        atomic.write_text(self.recipe_file, text)
        write_json(self.environment_file, environment)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Mark the run as complete when the block ends, as failed with its reason if it raises."""
        try:
            yield
        except BaseException as error:
            with suppress(OSError):  # a disk that is full is the error to tell, and has no room
                self._mark("failed", error=f"{type(error).__name__}: {error}".splitlines()[0])
            raise
        self._mark("complete")

    def write_results(self, results: dict[str, Any]) -> None:
        """Write results.json."""
        write_json(self.results_file, results)

    def write_validation(self, predicted: np.ndarray) -> None:
        """Write validation.npz: the predicted classes (N,) of the validation images, in order."""
        with atomic.replacing(self.validation_file) as temporary:
            np.savez_compressed(temporary, predicted=predicted.astype("int32"))

    def validation(self) -> np.ndarray:
        """Return the class predicted of each validation image (N,), in their order.

        Raises:
            ValueError: the run had none, or the file is damaged.
        """
        try:
            with open_npz(self.validation_file) as file:
                return np.asarray(file["predicted"])
        except UNREADABLE as error:
            raise ValueError(
                f"what the run predicts of its validation images cannot be read: {error}. "
                f"Received: path={str(self.validation_file)!r}"
            ) from error

    def recipe(self, *, trust_code: bool = False) -> Recipe:
        """Return the recipe of the run.

        Args:
            trust_code: import what the recipe names from outside the package, and so run it:
                modules beside where they were, in the working folder, or installed. Without it
                such a part stays unread; nothing of it can be built.

        Raises:
            ValueError: the folder is no run directory, or a part cannot be imported.
        """
        self.check_run()
        text = self.recipe_file.read_text(encoding="utf-8")
        if trust_code:
            values = toml.parse(text, str(self.recipe_file))
            import_outside(values, [*own_code.folders(self.environment()), Path.cwd()])
            for warning in own_code.changes(self.environment()):
                warnings.warn(warning, stacklevel=2)
        return Recipe.from_toml(text, str(self.recipe_file))

    def model(self) -> keras.Model:
        """Return the trained network.

        Raises:
            ValueError: the run did not finish, its network's file is damaged, or the network has
                layers from outside that have not been imported.
        """
        results = self.results()
        # Of a file that is no archive Keras says that there is none.
        if not zipfile.is_zipfile(self.model_file):
            lack = "is damaged" if self.model_file.exists() else "is no longer there"
            raise ValueError(
                f"the trained network {lack}; train the run again into another folder. "
                f"Received: path={str(self.model_file)!r}"
            )
        try:
            model: keras.Model = keras.models.load_model(self.model_file, compile=False)
        except TypeError as error:
            if "Could not locate" not in str(error):
                raise
            raise ValueError(
                "the network has a layer from outside the package, and to read a run directory "
                "runs no code. If you trust it, say so: trust_code=True (--trust-code on the "
                f"command line). Received: run={str(self.path)!r}"
            ) from error
        # Who evaluates the network compares its images with those that it was trained on.
        model.pixels = PixelRecord.from_dict(results.get("pixels"))
        return model

    def status(self) -> str:
        """Return "absent", "running", "complete" or "failed"; a killed run still says "running"."""
        if not self.state_file.is_file():
            return "absent"
        return str(read_json(self.state_file).get("status", "failed"))

    def _without_results(self) -> str:
        """Why there are none, and what to do."""
        status, again = self.status(), "train it again into another folder"
        if status != "running":
            return f"is {status} and has no results; {again}"
        where = writer.standing(read_json(self.state_file).get("process"))
        if where == writer.GONE:
            return f"was ended before it was done, and has no results; {again}"
        return "is running and has no results yet; wait for its end, or, if it was killed, " + again

    def environment(self) -> dict[str, Any]:
        """Return what `environment.json` holds."""
        return read_json(self.environment_file)

    def results(self) -> dict[str, Any]:
        """Return what `results.json` holds.

        Raises:
            ValueError: the folder is no run directory, the run did not finish, or the file lacks
                what it should hold.
        """
        self.check_run()
        if not self.results_file.is_file():
            raise ValueError(f"the run {self._without_results()}. Received: run={str(self.path)!r}")
        results = read_json(self.results_file)
        if not {"class_names", "class_counts"} <= results.keys():
            raise ValueError(
                "the run's results are damaged, or of another version: they name no classes. "
                f"Received: path={str(self.results_file)!r}"
            )
        return results

    def metrics(self, stage: int | None = None) -> list[metrics_log.Record]:
        """Return the records of all epochs, or of one stage's."""
        records = metrics_log.read(self.metrics_file)
        return [r for r in records if stage is None or r["stage"] == stage]

    def _mark(self, status: str, **details: Any) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        write_json(self.state_file, {"kind": "run", "status": status, "time": now, **details})


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON for people: indented, a list of plain values on one line, null for NaN."""
    text = json.dumps(metrics_log.finite(content), indent=2, ensure_ascii=False, allow_nan=False)
    text = _PLAIN_LIST.sub(lambda found: "[" + re.sub(r"\n\s*", " ", found[1]) + "]", text)
    atomic.write_text(path, text + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: the file is absent or broken.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read {path.name}: {error}. Received: path={str(path)!r}") from (
            None
        )
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} must hold an object. Received: path={str(path)!r}")
    return content
