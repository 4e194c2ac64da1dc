"""The folder of one run: written once, never overwritten, no file ever half there.

recipe.toml        every choice, defaults included
environment.json   versions, backend, device, command, git revision, files of code from outside
indices.npz        which images of the source were trained on, with their SHA-256
metrics.jsonl/csv  one record per epoch, both stages
checkpoints/       stage1.weights.h5, the weights stage 2 started from; until the run is complete,
                   state/, from which it is gone on with
model.keras        the trained network as a plain Keras model
results.json       what the last epoch scores
validation.npz     the class that it predicts of each validation image, where there are any
manifest.json      sizes and SHA-256 of the files above
analysis/          landscapes, sharpness, bound and what else was looked at afterwards
tensorboard/       event files, where that tracker was named; wandb/ likewise
plots/             PNG
state.json         "running", "interrupted", "complete" or "failed", and the format of all this
.lock              while a process trains: which one
"""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ccsam import atomic, stopping, writer
from keras_ccsam.callbacks import metrics_log
from keras_ccsam.data import load_indices
from keras_ccsam.data.tails.indices import SavedIndices
from keras_ccsam.manifest import Damaged
from keras_ccsam.pixels import PixelRecord
from keras_ccsam.recipes import Recipe, toml
from keras_ccsam.recipes.library import import_outside
from keras_ccsam.runs import before_manifests, lock, own_code, validation_file
from keras_ccsam.runs.folders import PathLike, make, named, require_free, require_run
from keras_ccsam.runs.json_files import json_text
from keras_ccsam.runs.json_files import read_json as read_json
from keras_ccsam.runs.json_files import write_json as write_json
from keras_ccsam.runs.network_file import read_network
from keras_ccsam.runs.run_manifest import RunManifest
from keras_ccsam.runs.run_state import RunState


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
        self.logs = (self.metrics_file, self.metrics_file.with_suffix(".csv"))
        self.checkpoints = self.path / "checkpoints"
        self.stage1_file = self.checkpoints / "stage1.weights.h5"
        self.model_file = self.path / "model.keras"
        self.results_file = self.path / "results.json"
        self.validation_file = self.path / "validation.npz"
        self.plots = self.path / "plots"
        self.analysis = self.path / "analysis"
        self.trajectory_file = self.analysis / "trajectory.npz"
        self.state_file = self.path / "state.json"
        self.manifest = RunManifest(self.path)
        self.state = RunState(self.state_file, self.manifest)

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
        taken = lock.take(self.path)
        try:
            self.check_free()  # another process may have come and gone in between
            make(self.checkpoints)
            make(self.plots)
            self.state.mark("running", process=writer.this_process())
            self._write(self.recipe_file, text)
            self._write(self.environment_file, json_text(environment))
        except BaseException as error:
            if self.state_file.is_file() and taken:
                self._failed(error)
            if taken:
                lock.drop(self.path)
            raise

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Mark the run as complete when the block ends, as interrupted or failed if it raises.

        Raises:
            Damaged: the folder is gone.
        """
        try:
            yield
            self.state.mark("complete")
        except stopping.Stopped as stopped:
            stopped.run = str(self.path)
            self.state.mark("interrupted", error=str(stopped))
            raise
        except BaseException as error:
            if isinstance(error, OSError) and not self.path.is_dir():
                raise Damaged(
                    "the run's folder was removed or renamed while it was trained, and nothing "
                    f"more could be written. Received: run={str(self.path)!r}"
                ) from error
            self._failed(error)
            raise
        finally:
            lock.drop(self.path)

    def writing(self, path: Path) -> AbstractContextManager[Path]:
        """Write a file of the run whole or not at all, and note it in the manifest."""
        return self.manifest.writing(path)

    def write_results(self, results: dict[str, Any]) -> None:
        """Write results.json, the last file of a run: what comes after it may fail."""
        self._write(self.results_file, json_text(results))
        self.manifest.note(*(log for log in self.logs if log.is_file()), complete=True)

    def write_validation(self, predicted: np.ndarray) -> None:
        """Write validation.npz: the predicted classes (N,) of the validation images, in order."""
        with self.writing(self.validation_file) as temporary:
            validation_file.write(temporary, predicted)

    def check(self, path: Path) -> None:
        """Refuse a file that is not what the run wrote; a run of format 1 does not know.

        Raises:
            Damaged: it is cut short, changed, gone, or another run's.
            ValueError: the run is of a later version.
        """
        if self.state.is_noted():
            self.manifest.check(path)

    def damage(self) -> str | None:
        """Read every file of the run that there is; say which is not what was written, and how.

        Raises:
            ValueError: the run is of a later version.
        """
        if self.status() == "damaged":
            return f"{self.state_file.name} cannot be read"
        try:
            noted = self.state.is_noted()
        except Damaged:
            return f"{self.manifest.path.name} is no longer there"
        return self.manifest.damage() if noted else before_manifests.damage(self.path)

    def validation(self) -> np.ndarray:
        """Return the class predicted of each validation image (N,), in their order.

        Raises:
            ValueError: the run had none, or the file is damaged.
        """
        self.check(self.validation_file)
        return validation_file.read(self.validation_file)

    def recipe(self, *, trust_code: bool = False) -> Recipe:
        """Return the recipe of the run.

        Args:
            trust_code: import what the recipe names from outside the package, and so run it:
                modules beside where they were, in the working folder, or installed. Without it
                such a part stays unread; nothing of it can be built.

        Raises:
            ValueError: the folder is no run directory, or a part cannot be imported.
        """
        text = self.recipe_text()
        if trust_code:
            values = toml.parse(text, str(self.recipe_file))
            import_outside(values, [*own_code.folders(self.environment()), Path.cwd()])
            for warning in own_code.changes(self.environment()):
                warnings.warn(warning, stacklevel=2)
        return Recipe.from_toml(text, str(self.recipe_file))

    def recipe_text(self) -> str:
        """Return the recipe's file.

        Raises:
            ValueError: the folder is no run directory, or the file is not what the run wrote.
        """
        self.check_run()
        self.check(self.recipe_file)
        return self.recipe_file.read_text(encoding="utf-8")

    def indices(self) -> SavedIndices:
        """Return which images were trained on.

        Raises:
            ValueError: the file is damaged.
        """
        self.check(self.indices_file)
        return load_indices(self.indices_file)

    def stage1_weights(self) -> Path:
        """Return the file of the weights that stage 1 left.

        Raises:
            ValueError: the run kept none, or the file is damaged.
        """
        self.check(self.stage1_file)
        if not self.stage1_file.is_file():
            raise ValueError(
                "the run kept no weights of stage 1. "
                f"Received: run={str(self.path)!r}, without {self.stage1_file.name}"
            )
        return self.stage1_file

    def model(self) -> keras.Model:
        """Return the trained network.

        Raises:
            ValueError: the run did not finish, or its network is damaged, or has unknown layers.
        """
        results = self.results()
        self.check(self.model_file)
        model = read_network(self.model_file, self.manifest)
        # Who evaluates the network compares its images with those that it was trained on.
        model.pixels = PixelRecord.from_dict(results.get("pixels"))
        return model

    def status(self) -> str:
        """Return what has become of the run.

        Returns:
            "absent", "running", "complete", "failed", "interrupted" (by a signal), "killed" (it
            says that it is running, and its process is gone) or "damaged" (nobody can read it).
        """
        return self.state.status()

    def environment(self) -> dict[str, Any]:
        """Return what `environment.json` holds."""
        self.check(self.environment_file)
        return read_json(self.environment_file)

    def results(self) -> dict[str, Any]:
        """Return what `results.json` holds.

        Raises:
            ValueError: the folder is no run directory, the run did not finish, or the file lacks
                what it should hold.
        """
        self.check_run()
        self.check(self.results_file)
        if not self.results_file.is_file():
            raise ValueError(
                f"the run {self.state.without_results()}. Received: run={str(self.path)!r}"
            )
        results = read_json(self.results_file)
        if not {"class_names", "class_counts"} <= results.keys():
            raise Damaged(
                "the run's results are damaged, or of another version: they name no classes. "
                f"Received: path={str(self.results_file)!r}"
            )
        return results

    def metrics(self, stage: int | None = None) -> list[metrics_log.Record]:
        """Return the records of all epochs, or of one stage's."""
        self.check(self.metrics_file)
        records = metrics_log.read(self.metrics_file)
        return [r for r in records if stage is None or r["stage"] == stage]

    def _failed(self, error: BaseException) -> None:
        with suppress(OSError):  # a disk that is full is the error to tell
            self.state.mark("failed", error=f"{type(error).__name__}: {error}".splitlines()[0])

    def _write(self, path: Path, text: str) -> None:
        content = atomic.encoded(text)
        with self.manifest.writing(path, len(content)) as temporary:
            temporary.write_bytes(content)
