"""A finished run, opened again: its recipe, its data and its network."""

import dataclasses
import os
import warnings
from itertools import zip_longest
from pathlib import Path
from typing import Any

import keras

from keras_ccsam.data import LongTailedData
from keras_ccsam.data.batches.labelled_parts import Split
from keras_ccsam.data.tails.indices import SavedIndices
from keras_ccsam.manifest import Damaged
from keras_ccsam.metrics import Report, group_classes
from keras_ccsam.metrics.evaluation import outputs_of
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs import parts
from keras_ccsam.runs.folders import PathLike, require_there
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.training import SharpnessAwareModel


@dataclasses.dataclass(frozen=True)
class TrainedRun:
    """What looks at a finished run needs of it.

    Attributes:
        directory: the run's folder.
        recipe: what was trained.
        images: the data it was trained and tested on.
        results: the content of results.json.
    """

    directory: RunDirectory
    recipe: Recipe
    images: LongTailedData
    results: dict[str, Any]

    def model(self) -> keras.Model:
        """Return the network after the last epoch, in stock Keras layers; its outputs are logits.

        Raises:
            ValueError: the network has layers from outside that have not been imported.
        """
        return self.directory.model()

    def stage1_model(self) -> SharpnessAwareModel:
        """Return the model as stage 1 left it, in the form it was trained in.

        Of a recipe without a second stage it is the trained model.

        Raises:
            ValueError: the run kept no weights of stage 1, or they cannot be read.
        """
        file = self.directory.stage1_weights()
        steps = parts.steps_per_epoch(self.recipe, sum(self.images.class_counts))
        model = parts.build_model(self.recipe, self.images, steps)
        model.optimizer.build(model.trainable_variables)
        try:
            model.load_weights(file)
        except (OSError, ValueError) as error:  # no HDF5 file; or one that leads out of it
            raise Damaged(
                "the weights of stage 1 cannot be read; train the run again into another folder: "
                f"{' '.join(str(error).split())[:240]}. Received: path={str(file)!r}"
            ) from error
        return model

    def groups(self) -> dict[str, tuple[int, ...]]:
        """The classes with many, a medium number of, and few images, as the recipe has it."""
        options = parts.group_options(self.recipe.groups)
        return group_classes(self.images.class_counts, **options)

    def evaluate(self, model: Any, split: Split) -> Report:
        """Evaluate a model on a part of the run's data."""
        return judged(self.recipe, self.images, model, split)


def judged(recipe: Recipe, images: LongTailedData, model: Any, split: Split) -> Report:
    """Evaluate a model whose outputs are logits, with the recipe's groups."""
    return reported(recipe, images, outputs_of(model, images.split_arrays(split)[0]), split)


def reported(recipe: Recipe, images: LongTailedData, logits: Any, split: Split) -> Report:
    """Report on the logits (N, C) of a part of the data, with the recipe's groups."""
    return Report.from_predictions(
        images.split_arrays(split)[1],
        logits,
        images.class_counts,
        from_logits=True,
        **parts.group_options(recipe.groups),
    )


def open_run(
    run_dir: PathLike, *, data: PathLike | None = None, trust_code: bool = False
) -> TrainedRun:
    """Open a finished run.

    Args:
        run_dir: a run directory.
        data: where the images lie now, of a run whose images have been moved; by default where it
            found them. They must be those that it was trained on, under the same names.
        trust_code: import what the run's recipe names from outside the package, and so run it.
            Only a dataset or a layer from outside needs it, no method and no loss.

    Raises:
        ValueError: the folder is no finished run, the data is no longer what it was trained on,
            `data` is no place of it, or code from outside is needed and not trusted.
    """
    directory = RunDirectory(run_dir)
    results = directory.results()
    recipe = directory.recipe(trust_code=trust_code)
    if data is None:
        _check_there(recipe)
        choice = recipe.data
    else:
        require_there(data)
        choice = recipe.data.model_copy(update={"path": os.fspath(data)})
    images = parts.load_data(choice)
    _check_same(images, directory.indices(), results["class_names"])
    return TrainedRun(directory, recipe, images, results)


def _check_there(recipe: Recipe) -> None:
    """Refuses a run whose images have been moved, with what to do about it."""
    path = recipe.data.path
    if path and not Path(path).expanduser().exists():
        raise ValueError(
            "the images are no longer where the run found them: put them back, or a link to where "
            "they are now, or say where that is with --data PATH, which evaluate, landscape, "
            "sharpness, bound and report take. "
            f"Received: data.path={path!r}"
        )


def _check_same(images: LongTailedData, saved: SavedIndices, class_names: list[str]) -> None:
    """Refuses images that are not those of the run: training images could be among the others."""
    if list(images.class_names) != list(class_names):
        pairs = zip_longest(images.class_names, class_names)
        other, own = next((a, b) for a, b in pairs if a != b)
        raise ValueError(
            f"the data has other classes than the run was trained on: where that has {own!r}, "
            f"there is {other!r} now. Received: {len(images.class_names)} classes"
        )
    check_same_images(images, saved)


def check_same_images(images: LongTailedData, saved: SavedIndices) -> None:
    """Refuse images that are not those that a run was begun with.

    Raises:
        ValueError: there are others, or files that were renamed.
    """
    if images.index_sha256 != saved.index_sha256:
        raise ValueError(
            "the data gives other training images than the run was trained on: its source has "
            f"changed. Received: index_sha256={images.index_sha256!r}"
        )
    if saved.names_sha256 and images.names_sha256 != saved.names_sha256:
        raise ValueError(
            "the data gives other training images than the run was trained on: files were "
            "renamed, added or taken away; put them back, or evaluate it on other images with "
            f"ccsam evaluate RUN --data PATH. Received: names_sha256={images.names_sha256!r}"
        )
    if saved.sizes_sha256 and images.sizes_sha256 not in ("", saved.sizes_sha256):
        warnings.warn(
            "image files have other lengths than when the run was trained: some were replaced or "
            "encoded anew since",
            stacklevel=3,
        )
