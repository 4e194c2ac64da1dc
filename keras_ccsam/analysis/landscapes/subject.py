"""What a landscape is of: a model over a set of samples, and how its classes are grouped."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from keras_ccsam.analysis.digest import digest
from keras_ccsam.analysis.landscapes.filters import Axes, filter_axes
from keras_ccsam.analysis.landscapes.grid import rows, some_of_each_class
from keras_ccsam.analysis.landscapes.preparing import classes_of, fast_copy, gives_logits
from keras_ccsam.analysis.model_at import ModelAt
from keras_ccsam.checks import check_class_counts
from keras_ccsam.labels import check_labels
from keras_ccsam.metrics.groups import Groups, group_classes
from keras_ccsam.training.batch_statistics import batch_norms
from keras_ccsam.training.model import SharpnessAwareModel


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """A model over a set, ready to be asked.

    Attributes:
        at: the model, on its fastest kernels, over the set.
        axes: the filters of each trainable variable, None where it does not move.
        statistics: the same model over the samples that BatchNorm's statistics are re-estimated
            on; None where they stay as trained.
        class_counts, class_names, groups: of `Landscape`.
        samples_of: how many samples the set had before a limit.
        batch_norm: in words, for the picture.
    """

    at: ModelAt
    axes: list[Axes]
    statistics: ModelAt | None
    class_counts: tuple[int, ...]
    class_names: tuple[str, ...]
    groups: Mapping[str, tuple[int, ...]]
    samples_of: int
    batch_norm: str

    def known_by(self) -> dict[str, Any]:
        """What every point is a function of, beside directions and grid."""
        model = self.at.model
        moving = [
            variable
            for layer in batch_norms(model)
            for variable in (layer.moving_mean, layer.moving_variance)
        ]
        own = {id(variable) for variable in moving}
        # Frozen weights, and what a Normalization or a spectral norm keeps; seeds are left out.
        # A model of ours also holds numbers of its training, such as r, which no output sees.
        ours = isinstance(model, SharpnessAwareModel)
        parts_of = (model.backbone, model.head) if ours else (model,)
        kept = [v for part in parts_of for v in part.non_trainable_weights]
        fixed = [v for v in kept if id(v) not in own]
        statistics = self.statistics
        state = [
            keras.ops.convert_to_numpy(v)
            for v in (moving if statistics is None else []) + fixed
            if "float" in keras.backend.standardize_dtype(v.dtype)
        ]
        parts = [] if statistics is None else [statistics.sha256]
        if state or not parts:
            parts.append(digest(state))
        return {
            "weights_sha256": digest(self.at.weights),
            "statistics_sha256": "-".join(parts),
            "data_sha256": self.at.sha256,
            "batch_norm": self.batch_norm,
            "from_logits": self.at.from_logits,
            "backend": keras.config.backend(),
            "dtype": keras.backend.standardize_dtype(self.at.variables[0].dtype),
        }


def subject(
    model: Any,
    data: Any,
    *,
    class_counts: Sequence[int] | None,
    class_names: Sequence[str] | None,
    groups: Groups,
    batch_norm: str,
    batch_norm_data: Any,
    batch_norm_samples: int,
    limit: int | None,
    num_classes: int | None,
    from_logits: bool | None,
    batch_size: int,
) -> Subject:
    """The subject of a landscape; see `landscape` for the arguments.

    Raises:
        ValueError: an argument that does not fit.
    """
    x, y = data.arrays() if hasattr(data, "arrays") else data
    classes = classes_of(model) if num_classes is None else num_classes
    labels = check_labels(y, "y", len(keras.tree.flatten(x)[0]), classes)
    if class_counts is None:
        class_counts = getattr(data, "class_counts", None)
    if class_counts is None:
        class_counts = np.bincount(labels, minlength=classes).tolist()
    counts = check_class_counts(class_counts, classes, at_least=0)
    kept = some_of_each_class(labels, limit)
    source = x if batch_norm_data is None else batch_norm_data
    x, own = rows(x, kept), labels if kept is None else labels[kept]
    if from_logits is None:
        from_logits = gives_logits(model, x)
    fast = fast_copy(model)
    at = ModelAt(fast, x, own, classes, from_logits=from_logits, batch_size=batch_size)
    words, statistics = _batch_norm(fast, batch_norm, source, batch_norm_samples, batch_size)
    names = [str(label) for label in range(classes)] if class_names is None else class_names
    if len(names) != classes:
        raise ValueError(
            f"`class_names` must have {classes} entries. "
            f"Received: class_names with {len(names)} entries"
        )
    return Subject(
        at,
        filter_axes(fast, at.variables),
        statistics,
        counts,
        tuple(str(name) for name in names),
        group_classes(counts, groups),
        len(labels),
        words,
    )


def _batch_norm(
    model: Any, choice: str, source: Any, samples: int, batch_size: int
) -> tuple[str, ModelAt | None]:
    """What becomes of BatchNorm's statistics, in words, and what they are re-estimated on."""
    if not batch_norms(model):
        return "the network has no BatchNorm", None
    if choice == "as_trained":
        return "BatchNorm statistics as trained", None
    size = len(keras.tree.flatten(source)[0])
    # Sets lie sorted by class at times: any number of them must be a mixture. And batches that
    # are equally large count alike.
    index = np.random.default_rng(0).permutation(size)[:samples]
    batches = -(-len(index) // batch_size)
    chosen = index[: len(index) // batches * batches]
    nothing = np.zeros(len(chosen), "int32")
    found = ModelAt(model, rows(source, chosen), nothing, 1, batch_size=len(chosen) // batches)
    return f"BatchNorm re-estimated at each point on {len(chosen)} samples", found
