"""A classifier whose training step is formed by a sharpness method."""

import inspect
import random
from typing import Any

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.heads import DenseClosedForm, closed_form
from keras_ccsam.m2m.translation import MajorToMinor
from keras_ccsam.sharpness.erm import ERM
from keras_ccsam.sharpness.method import SharpnessMethod
from keras_ccsam.training import step
from keras_ccsam.training.coupling import Coupling, coupling
from keras_ccsam.training.label_check import check_labels
from keras_ccsam.training.sample_loss import SampleLoss, check_head, resolve_loss
from keras_ccsam.training.targets import dominant_labels, is_mixed
from keras_ccsam.typing import Tensor

_PROBABILITIES = ("softmax", "sigmoid")


@keras.saving.register_keras_serializable(package="keras_ccsam")
class SharpnessAwareModel(keras.Model):
    """A backbone, a head, and a way to form the step's gradient.

    Everything else is `keras.Model`: compile, fit, evaluate, save. `sample_weight`, `class_weight`,
    `add_loss`, regularisers, mixed precision, gradient accumulation, EMA, clipping and any Keras
    optimizer work as they do there.

    Args:
        backbone: a Keras model or layer from inputs to features (B, D).
        head: a layer from features to (B, K): a `keras.layers.Dense`, a `heads.Cosine`, or any
            other, of one layer or several, that states K as an attribute `units`. Its outputs are
            logits unless it has a softmax or sigmoid activation.
        sharpness: the method; `sharpness.ERM()`, the plain step, by default.
        weight_decay: times w, added to the gradient of every trainable variable before the
            optimizer sees it: torch's weight decay, inside momentum (Keras' own is outside, about
            ten times weaker at momentum 0.9) and outside the ascent. Gradient clipping in the
            optimizer sees the sum. 0 by default.
        translation: M2m, which replaces samples of rare classes in each training batch; none by
            default. It is not saved: a loaded model trains without it.
        **kwargs: of `keras.Model`: name, dtype, trainable.

    Attributes:
        class_weights: (K,) variable, u of `callbacks.DeferredReweighting`; ones, and not used,
            unless `reweighting` is set.
        logit_scale: what the outputs are multiplied with before a softmax: the scale of a compiled
            loss that takes cosines (LDAM, GCL), else 1. `evaluate` and `export_plain` heed it.

    Raises:
        ValueError: if the backbone's features are known not to have the shape (B, D), the head does
            not state its `units`, `weight_decay` is negative, or `translation` does not fit the
            model.
    """

    def __init__(
        self,
        backbone: Any,
        head: Any,
        sharpness: SharpnessMethod | None = None,
        *,
        weight_decay: float = 0.0,
        translation: MajorToMinor | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if weight_decay < 0:
            raise ValueError(
                f"`weight_decay` must be at least 0. Received: weight_decay={weight_decay}"
            )
        self.backbone = backbone
        self.head = head
        self.weight_decay = float(weight_decay)
        self.sample_loss: Any = None
        self.logit_scale = 1.0
        self.reweighting = False
        # What callbacks and losses may need must exist before Keras locks the model's state.
        self.class_weights = self.add_weight(
            name="class_weights",
            shape=(self.num_classes,),
            initializer="ones",
            trainable=False,
            autocast=False,
            dtype=keras.config.floatx(),
        )
        # Seeded when a loss that draws is compiled, so that the others leave Keras' seeds alone.
        self.loss_seeds = keras.random.SeedGenerator(0)
        self.sharpness = sharpness if sharpness is not None else ERM()
        if not isinstance(self.sharpness, SharpnessMethod):
            raise ValueError(
                "`sharpness` must be a method such as sharpness.SAM(0.05). "
                f"Received: sharpness={sharpness!r}"
            )
        self.sharpness.build(self)
        self.translation = translation
        if translation is not None:
            translation.build(self)
        input_shape = getattr(backbone, "input_shape", None) if backbone.built else None
        if input_shape is not None:
            self.build(input_shape)

    def build(self, input_shape: Any) -> None:
        """Builds the backbone and the head.

        Raises:
            ValueError: if the features do not have the shape (B, D), or the translation's helper
                does not fit.
        """
        if not self.backbone.built:
            self.backbone.build(input_shape)
        shape = self.backbone.compute_output_shape(input_shape)
        if hasattr(shape, "as_list"):  # TensorFlow's own type, from some layers
            shape = tuple(shape.as_list())
        if not isinstance(shape, (tuple, list)) or len(shape) != 2 or shape[1] is None:
            raise ValueError(
                "The backbone must put out features of shape (batch, features); add a "
                f"GlobalAveragePooling2D or a Flatten. Received: output shape={shape}"
            )
        if not self.head.built:
            self.head.build(tuple(shape))
        if self.translation is not None:
            self.translation.check(self, input_shape)
        self.built = True

    @property
    def num_classes(self) -> int:
        """K, the number of the head's outputs."""
        units = getattr(self.head, "units", None)
        if units is None:
            raise ValueError(
                "The head must state its number of classes as `units`. "
                f"Received: head={self.head!r}"
            )
        return int(units)

    @property
    def activation(self) -> Any:
        """The head's activation, None where its outputs are logits."""
        activation = getattr(self.head, "activation", None)
        return None if activation is keras.activations.linear else activation

    @property
    def outputs_logits(self) -> bool:
        """Whether the outputs are logits, not probabilities."""
        return getattr(self.activation, "__name__", None) not in _PROBABILITIES

    def head_logits(self, features: Tensor) -> Tensor | None:
        """A Dense head's outputs before its activation; None where they cannot be had."""
        form = closed_form(self.head)
        return form.logits(features) if isinstance(form, DenseClosedForm) else None

    def sample_coupling(self) -> Coupling:
        """Whether the samples of a training batch see each other, and how.

        Where they do not, CC-SAM of all weights costs two passes; where they do, two a class.
        `reason` says which part is to blame.
        """
        kind = type(self)
        for name in ("__call__", "call", "compute_loss"):
            if getattr(kind, name) is not getattr(SharpnessAwareModel, name):
                return Coupling(f"{kind.__name__} has a {name} of its own", (), False)
        loss = self.sample_loss and self.sample_loss.loss
        return coupling(self.backbone, self.head, loss)

    def call(self, inputs: Any, training: bool | None = None, return_features: bool = False) -> Any:
        """The head's outputs (B, K); with `return_features`, also the features (B, D)."""
        features = self.backbone(inputs, training=training)
        outputs = self.head(features, training=training)
        return (outputs, features) if return_features else outputs

    def scale_gradients(self, gradients: list[Tensor]) -> list[Tensor]:
        """What the optimizer gets of the gradients, decay included: all of them as they are.

        A model whose variables learn at rates of their own overrides it.
        """
        return gradients

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, *args: Any, **kwargs: Any
    ) -> None:
        """`keras.Model.compile`, with the loss matched to the outputs.

        The name of a cross-entropy means that loss on logits where the model puts out logits.

        Raises:
            ValueError: if a loss object expects probabilities and gets logits, or the reverse.
        """
        loss = resolve_loss(loss, self.outputs_logits)
        check_head(loss, self.head)
        if self.built:
            self.sharpness.check(self)
        super().compile(optimizer, loss, *args, **kwargs)
        self.sample_loss = SampleLoss(loss) if loss is not None else None
        takes_cosines = getattr(loss, "takes_cosines", False)
        self.logit_scale = float(loss.scale) if takes_cosines else 1.0
        if hasattr(loss, "noise"):
            # As SeedGenerator(None) does: `keras.utils.set_random_seed` seeds this generator.
            self.loss_seeds.state.assign([random.randint(1, int(1e9)), 0])

    def draw_noise(self, outputs: Tensor) -> Tensor | None:
        """What a loss with randomness draws for one training pass; None for any other loss."""
        loss = self.sample_loss and self.sample_loss.loss
        if not hasattr(loss, "noise"):
            return None
        return loss.noise(ops.shape(outputs), self.loss_seeds)

    def with_noise(self, outputs: Tensor, noise: Tensor | None) -> Tensor:
        """The outputs as the training loss sees them."""
        return outputs if noise is None else self.sample_loss.loss.with_noise(outputs, noise)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Tensor:
        """The compiled loss and the added ones; with mixup, of both labels in their shares."""
        if not is_mixed(y):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        sample_loss = self.sample_loss
        if sample_loss.reduction == "mean_with_sample_weight":
            raise ValueError(
                "Mixup targets need a loss whose reduction is 'sum_over_batch_size' or 'sum'. "
                "Received: reduction='mean_with_sample_weight'"
            )
        mix = y["mix"]
        weight = 1.0 if sample_weight is None else sample_weight
        first = super().compute_loss(x, y["labels"], y_pred, weight * mix, training)
        second = sample_loss.values(y["second_labels"], y_pred, weight * (1.0 - mix))
        return first + sample_loss.reduce(second)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Tensor]:
        """The compiled metrics; of mixed samples, against the label with the larger share."""
        logs: dict[str, Tensor] = super().compute_metrics(
            x, dominant_labels(y), y_pred, sample_weight
        )
        return logs

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """`keras.Model.fit`; a `BatchSequence` is told the epoch and is not shuffled again.

        Raises:
            ValueError: if a label lies outside [0, K). Arrays are checked whole, a `PyDataset` by
                its first batch; other inputs give a NaN loss or the backend's own index error.
        """
        check_labels(x, y, self.num_classes, self.sample_loss)
        if not hasattr(x, "set_epoch"):
            return super().fit(x, y, *args, **kwargs)
        arguments = inspect.signature(super().fit).bind(x, y, *args, **kwargs).arguments
        clock = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: x.set_epoch(epoch)
        )
        callbacks = arguments.get("callbacks")
        if isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks.append(clock)
        else:
            arguments["callbacks"] = [clock, *keras.tree.flatten(callbacks or [])]
        return super().fit(**{**arguments, "shuffle": False})

    def export_plain(self) -> keras.Model:
        """A functional Keras model of stock layers that loads where this package is not installed.

        A backbone of stock layers is shared, one with layers of `keras_ccsam.layers` copied, with
        spectrally normalised kernels in stock layers; the head's weights are copied. A
        `heads.Cosine` becomes unit-normalised features and a `Dense` with normalised columns.

        Raises:
            ValueError: if the backbone is not a functional or sequential model.
        """
        from keras_ccsam.training.export import plain_model

        return plain_model(self)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments but `translation`, whose helper is not saved."""
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "head": keras.saving.serialize_keras_object(self.head),
            "sharpness": keras.saving.serialize_keras_object(self.sharpness),
            "weight_decay": self.weight_decay,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """A model of the same parts, with fresh weights."""
        config = dict(config)
        for part in ("backbone", "head", "sharpness"):
            if isinstance(config.get(part), dict):
                config[part] = keras.saving.deserialize_keras_object(
                    config[part], custom_objects=custom_objects
                )
        return cls(**config)

    def get_compile_config(self) -> Any:
        """Keras' own, but with the compiler left to the backend that loads the file.

        A model saved under JAX would otherwise switch torch.compile on.
        """
        config = super().get_compile_config()
        if config:
            config["jit_compile"] = "auto"
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the saved model was, with the optimizer's variables ready to be loaded."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built and self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    # JAX hands a step its state; the other backends read and assign variables.
    train_step: Any = step.stateless_train_step if backend.STATELESS else step.stateful_train_step
