"""A model's loss as a function of its head's weights, or of others, over sets that stay the same.

Of the head the inputs are features: the backbone runs once over the set, and everything else is a
pass of the head alone.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import keras
import numpy as np
from keras import ops

from keras_ccsam import backend
from keras_ccsam.analysis.loss_surface import LossSurface
from keras_ccsam.analysis.model_at import ModelAt
from keras_ccsam.analysis.perturbed import chosen_positions, outputs_are_logits
from keras_ccsam.analysis.weighted_batches import one_size
from keras_ccsam.data.batches.reading import batch_size_for, in_order, read_in_pieces
from keras_ccsam.training.model import SharpnessAwareModel
from keras_ccsam.training.split import split_classifier
from keras_ccsam.typing import Tensor

_FEATURE_BATCH = 256
_HEAD_BATCH = 4096
_WHOLE_BATCH = 128


class WeightsView:
    """The loss surface of some weights, and the inputs that it wants.

    Args:
        model: a built Keras classifier; a `SharpnessAwareModel`, or one that ends in a Dense layer
            where `weights` is `"head"`.
        weights: `"head"`, `"all"`, or a regular expression that is searched in the paths of the
            trainable variables.
        x: some inputs of the set, as they are at the beginning.
        num_classes: K.
        from_logits: whether the outputs are logits; found out by default.

    Attributes:
        surface: the loss as a function of these weights.
        batch_size: samples per pass that suit it.
    """

    def __init__(
        self,
        model: keras.Model,
        weights: str,
        x: Any,
        num_classes: int,
        from_logits: bool | None = None,
    ) -> None:
        self._backbone: keras.Layer | None = None
        logits = outputs_are_logits(model, x) if from_logits is None else from_logits
        some = keras.tree.map_structure(lambda part: np.asarray(part[:1]), x)
        label = np.zeros(1, "int32")
        self.batch_size = _WHOLE_BATCH
        if weights != "head":
            at = ModelAt(model, some, label, num_classes, from_logits=logits)
            self.surface = LossSurface(at, chosen_positions(model, at.variables, weights))
            return
        own = isinstance(model, SharpnessAwareModel)
        backbone, head = (model.backbone, model.head) if own else split_classifier(model)
        self._backbone = backbone
        self._compiled = backend.compiled(self._features)
        scale = float(getattr(model, "logit_scale", 1.0))
        alone = cast(keras.Model, _HeadAlone(head, scale))
        features = self.inputs(some)
        at = ModelAt(alone, features, label, num_classes, from_logits=logits)
        self.surface = LossSurface(at)
        self.batch_size = _HEAD_BATCH

    def inputs(self, x: Any) -> Any:
        """What the surface wants of inputs (N, ...): features (N, D) at the weights now, or x."""
        if self._backbone is None:
            return x
        values = [variable.value for variable in self._backbone.variables]
        length = len(keras.tree.flatten(x)[0])
        size = one_size(length, batch_size_for(x, _FEATURE_BATCH))
        pieces = in_order(length, size)
        filled = [np.resize(rows, size) for rows in pieces]
        found = []
        with backend.no_grad():
            for rows, part in zip(pieces, read_in_pieces(x, filled), strict=True):
                batch = keras.tree.map_structure(ops.convert_to_tensor, part)
                features = ops.convert_to_numpy(self._compiled(values, batch))
                found.append(np.array(features[: len(rows)]))
        return np.concatenate(found)

    def _features(self, values: Sequence[Tensor], x: Any) -> Tensor:
        backbone = cast(keras.Layer, self._backbone)
        mapping = list(zip(backbone.variables, values, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return backbone(x, training=False)


class _HeadAlone(SimpleNamespace):
    """A head as what `ModelAt` wants of a model."""

    def __init__(self, head: keras.Layer, logit_scale: float) -> None:
        super().__init__(
            name=head.name,
            trainable_variables=head.trainable_variables,
            non_trainable_variables=head.non_trainable_variables,
            logit_scale=logit_scale,
        )
        self._head = head

    def __call__(self, inputs: Any, training: bool = False) -> Tensor:
        return self._head(inputs, training=training)
