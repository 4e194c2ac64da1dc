"""CC-SAM, ready to compile and fit."""

from collections.abc import Sequence
from typing import Any, Literal

import keras

from keras_ccsam.checks import check_class_counts
from keras_ccsam.options import options
from keras_ccsam.sharpness.class_conditional.method import ClassConditional
from keras_ccsam.training.model import SharpnessAwareModel
from keras_ccsam.training.split import split_classifier

# The defaults stand once, on the method.
_DECLARED = options(ClassConditional)


@keras.saving.register_keras_serializable(package="keras_ccsam")
class CCSAM(SharpnessAwareModel):
    """A classifier trained with class-conditional sharpness-aware minimisation.

    Args:
        backbone: a Keras model or layer from inputs to features (B, D).
        num_classes: K; may be left out where `head` is given.
        class_counts: the number of images of each class in the *training set*, K integers.
        head: the classifier, a `keras.layers.Dense(num_classes)` by default.
        radius_scale: r; see `sharpness.ClassConditional`.
        flat_ratio: lambda, the share of the perturbed loss.
        perturb: `"head"` (no extra pass), `"all"`, or a regular expression.
        batch_norm: with all weights, `"literal"` or `"clean"`; see
            `sharpness.ClassConditional`.
        chunk: with all weights, samples at a time; see `sharpness.ClassConditional`.
        sync: on several replicas, whose class gradients; see `sharpness.ClassConditional`.
        norm_scope, perturbed_labels: the released code's readings; see
            `sharpness.ClassConditional`.
        weight_decay: torch's; see `SharpnessAwareModel`.
        **kwargs: of `SharpnessAwareModel`: step_parts, batch_norm_sync, and those of `keras.Model`.

    Raises:
        ValueError: if `class_counts` is missing, holds a count below 1, or does not match the
            number of classes.

    Example:
        >>> model = CCSAM(backbone, num_classes=3, class_counts=[500, 60, 8])
        >>> model.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> model.fit(x, y, epochs=10)
    """

    def __init__(
        self,
        backbone: keras.Layer,
        num_classes: int | None = None,
        class_counts: Sequence[int] | None = None,
        *,
        head: keras.Layer | None = None,
        radius_scale: float = _DECLARED["radius_scale"].default,
        flat_ratio: float = _DECLARED["flat_ratio"].default,
        perturb: str = _DECLARED["perturb"].default,
        batch_norm: Literal["literal", "clean"] = _DECLARED["batch_norm"].default,
        chunk: int | None = _DECLARED["chunk"].default,
        sync: Literal["global", "replica"] = _DECLARED["sync"].default,
        norm_scope: Literal["joint", "per_tensor"] = _DECLARED["norm_scope"].default,
        perturbed_labels: Literal["mixed", "unmixed"] = _DECLARED["perturbed_labels"].default,
        weight_decay: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if class_counts is None:
            raise ValueError(
                "`class_counts` must be the number of training images of each class, for "
                "example numpy.bincount(y_train). Received: class_counts=None"
            )
        method = ClassConditional(
            class_counts,
            radius_scale,
            flat_ratio,
            perturb,
            batch_norm,
            chunk,
            norm_scope,
            perturbed_labels,
            sync=sync,
        )
        check_class_counts(method.class_counts, num_classes)
        if head is None:
            head = keras.layers.Dense(len(method.class_counts), name="classifier")
        super().__init__(backbone, head, method, weight_decay=weight_decay, **kwargs)

    @classmethod
    def from_model(cls, model: keras.Model, class_counts: Sequence[int], **kwargs: Any) -> "CCSAM":
        """CC-SAM for a classifier that you already have.

        The model is split at its last `Dense` layer. Layers are shared, not copied: training the
        result trains `model`. A softmax or sigmoid on that layer, or in a layer of its own after
        it, stays: the outputs are still probabilities and the loss still takes them. A last layer
        with one output tells two classes apart: `class_counts=[negatives, positives]`.

        Args:
            model: a built functional or sequential classifier that ends in a `Dense` layer, with
                or without a `Softmax` or `Activation` layer after it.
            class_counts: the number of training images of each class.
            **kwargs: of `CCSAM`: radius_scale, flat_ratio, perturb, batch_norm, chunk, sync,
                weight_decay, name.

        Raises:
            ValueError: if the model cannot be split, with the reason.
        """
        backbone, head = split_classifier(model)
        return cls(backbone, class_counts=class_counts, head=head, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        config.pop("sharpness")
        return {**config, **self.sharpness.get_config()}
