"""A classifier whose training step is formed by a sharpness method."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Literal

import keras

from keras_ccsam import backend, heads
from keras_ccsam.backend.flat import FlatFunctions
from keras_ccsam.checks import require
from keras_ccsam.labels import dominant_labels, is_mixed
from keras_ccsam.layers.lora import LoraFactors, adapted
from keras_ccsam.pixels import PixelRecord
from keras_ccsam.sharpness.erm import ERM
from keras_ccsam.sharpness.method import SharpnessMethod
from keras_ccsam.sharpness.objective import Coupling
from keras_ccsam.terms import Term
from keras_ccsam.training import step
from keras_ccsam.training.building import feature_shape
from keras_ccsam.training.coupling import model_coupling
from keras_ccsam.training.fed_model import FedModel
from keras_ccsam.training.flat_step import flat_functions
from keras_ccsam.training.one_output import binary_accuracy, check_one_output
from keras_ccsam.training.resident import DeviceImages, refuse_plan
from keras_ccsam.training.sample_loss import SampleLoss, check_head, mixed_loss, resolve_loss
from keras_ccsam.training.step_parts import P, StepPart, StepParts, WeightDecay
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class SharpnessAwareModel(FedModel):
    """A backbone, a head, and a way to form the step's gradient.

    Everything else is `keras.Model`: compile, fit, evaluate, save. `sample_weight`, `class_weight`,
    `add_loss`, regularisers, mixed precision, gradient accumulation, EMA, clipping and any Keras
    optimizer work as they do there.

    Args:
        backbone: a Keras model or layer from inputs to features (B, D).
        head: a layer from features to (B, K): a `keras.layers.Dense`, a `heads.Cosine`, or any
            other, of one layer or several, that states K as an attribute `units`. Its outputs are
            logits unless it has a softmax or sigmoid activation.
        sharpness: the method; `sharpness.ERM()`, the plain step, where there is none.
        weight_decay: times w, added to the gradient of every trainable variable before the
            optimizer sees it: torch's weight decay, inside momentum (Keras' own is outside, about
            ten times weaker at momentum 0.9) and outside the ascent. Gradient clipping in the
            optimizer sees the sum.
        decay_in_loss: half of `weight_decay` times the squared norm of all weights is a part of the
            loss instead, and so bends an ascent, as in the codes of SAM and GNP (Foret et al. 2021,
            Zhao et al. 2022). A plain step is the same. The loss that is shown is without it.
        step_parts: what a step does around the gradient, such as `m2m.MajorToMinor`.
        terms: what is added to the loss of a batch, such as `terms.CorrectnessRanking`.
        flat_step: on PyTorch, runs a step as one flat program of tensor operations, made once, in
            place of the Python of all layers: the same numbers, in half the time where batches are
            small. `"auto"` does so where layers, losses, metrics and optimizer are all of Keras or
            of this package; True trusts the user's own, too: a step that is seen not to be the
            same runs layer by layer, with one warning that says why, and what cannot be seen is
            in docs/how-to/your-own-network.md. False never does.
        batch_norm_sync: on several replicas, `"global"` gives BatchNorm the statistics of the whole
            batch, as on one device; `"replica"` those of each replica's rows, without a message
            for each layer and pass. JAX has the first only.
        **kwargs: of `keras.Model`: name, dtype, trainable.

    Attributes:
        hyper_parameters: the method's options as this model has them; those that a callback may
            change are variables: `model.hyper_parameters.rho.assign(0.1)`.
        step_parts: this model's own, bound.
        logit_scale: what the outputs are multiplied with before a softmax: the scale of a compiled
            loss that takes cosines (LDAM, GCL), else 1. `evaluate` and `export_plain` heed it. A
            second stage with a loss of another scale sets it; it is saved.

    Raises:
        ValueError: if the backbone's features are known not to have the shape (B, D), the head does
            not state its `units`, `weight_decay` is negative, `batch_norm_sync` is neither of the
            two, or a step part does not fit the model.
    """

    def __init__(
        self,
        backbone: keras.Layer,
        head: keras.Layer,
        sharpness: SharpnessMethod | None = None,
        *,
        weight_decay: float = 0.0,
        decay_in_loss: bool = False,
        step_parts: Sequence[StepPart] = (),
        terms: Sequence[Term] = (),
        batch_norm_sync: Literal["global", "replica"] = "global",
        flat_step: bool | Literal["auto"] = "auto",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        known = batch_norm_sync in ("global", "replica")
        require(known, "batch_norm_sync", batch_norm_sync, "'global' or 'replica'")
        self.batch_norm_sync = batch_norm_sync
        known = flat_step in (True, False, "auto")
        require(known, "flat_step", flat_step, "True, False or 'auto'")
        self.flat_step = flat_step
        require(isinstance(head, keras.Layer), "head", head, "a Keras layer on the features")
        self.backbone, self.head = backbone, head
        self.sharpness = sharpness if sharpness is not None else ERM()
        # Layers with weights and state of their own, made after the others.
        self.terms = list(terms)
        alike = all(isinstance(term, Term) for term in self.terms)
        require(alike, "terms", terms, "a list of terms, such as terms.CorrectnessRanking")
        is_method = isinstance(self.sharpness, SharpnessMethod)
        require(is_method, "sharpness", sharpness, "a method such as sharpness.SAM(0.05)")
        self.weight_decay = float(weight_decay)
        self.decay_in_loss = bool(decay_in_loss)
        self.sample_loss: SampleLoss | None = None
        self._logit_scale: float | None = None
        # In a holder of no layer's type: Keras would track the layers in it as the model's own.
        self._found = SimpleNamespace(
            coupling=None,
            labels=False,
            fed=None,
            together=False,
            weighted=False,
            program=None,
            flat=None,
        )
        self.pixels: PixelRecord | None = None
        # What losses may need must exist before Keras locks the model's state. Seeded when a loss
        # that draws is compiled, so that the others leave Keras' seeds alone.
        self.loss_seeds = keras.random.SeedGenerator(0)
        self.hyper_parameters = self.sharpness.bind(self)
        self.step_parts = StepParts(
            self,
            [DeviceImages(), WeightDecay(0.0 if decay_in_loss else weight_decay)],
            step_parts,
        )
        input_shape = getattr(backbone, "input_shape", None) if backbone.built else None
        if adapted(backbone):
            self.lora_factors = LoraFactors(backbone)
        if input_shape is not None:
            self.build(input_shape)

    def build(self, input_shape: Any) -> None:
        """Builds the backbone and the head.

        Raises:
            ValueError: if the features do not have the shape (B, D), or a step part does not fit.
        """
        shape = feature_shape(self.backbone, input_shape)
        if not self.head.built:
            self.head.build(shape)
        for term in self.terms:
            term.make(shape[1], heads.num_outputs(self.head))
        if not self.built:
            self.sharpness.keep(self, self.hyper_parameters)
        self.step_parts.check(self, input_shape)
        self.built = True

    @property
    def coupling(self) -> Coupling:
        """Whether the samples of a training batch see each other, and how.

        Where they do not, CC-SAM of all weights costs two passes; where they do, two per class.
        `reason` says which part is to blame. Looked up once per `compile` and `fit`, since the walk
        over all layers is too long for every step of an eager backend.
        """
        if self._found.coupling is None:
            loss = self.sample_loss and self.sample_loss.loss
            self._found.coupling = model_coupling(self, SharpnessAwareModel, loss)
        found: Coupling = self._found.coupling
        return found

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:
        """Keras' own, and the state of the step's parts, which no file holds."""
        parts = getattr(self, "step_parts", None)
        return [*super().non_trainable_variables, *([] if parts is None else parts.variables)]

    def add_step_part(self, part: P) -> P:
        """Adds a part to a model, built or not; returns it bound. It acts from the next `fit` on.

        Raises:
            ValueError: if it does not suit the model.
        """
        bound = self.step_parts.add(self, part)
        if self.built:
            bound.check(self, getattr(self.backbone, "input_shape", None))
        if self.compiled:
            self.make_train_function(force=True)
        return bound

    def make_train_function(self, force: bool = False) -> Any:
        """As its base; who has the step made anew has its flat programs made anew."""
        if force:
            self._found.flat = None
        return super().make_train_function(force)

    @property
    def flat_functions(self) -> FlatFunctions:
        """The flat programs of the step; `state` says of each part of it how it runs."""
        if self._found.flat is None:
            self._found.flat = flat_functions(self)
        found: FlatFunctions = self._found.flat
        return found

    def call(self, inputs: Any, training: bool | None = None, return_features: bool = False) -> Any:
        """The head's outputs (B, K); with `return_features`, also the features (B, D).

        A backbone whose `trainable` is off runs in inference mode, dropout included.
        """
        refuse_plan(inputs)
        features = self.backbone(inputs, training=training if self.backbone.trainable else False)
        outputs = self.head(features, training=training)
        return (outputs, features) if return_features else outputs

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **kwargs: Any,
    ) -> None:
        """`keras.Model.compile`, with the loss matched to the outputs.

        The name of a cross-entropy means that loss on logits where the model puts out logits, and
        "accuracy" the share of samples that are right, also where it puts out one logit.

        Raises:
            ValueError: if a loss object expects probabilities and gets logits, or the reverse.
        """
        loss = resolve_loss(loss, heads.puts_out_logits(self.head))
        check_one_output(loss, self.head)
        check_head(loss, self.head)
        metrics, weighted = (binary_accuracy(m, self.head) for m in (metrics, weighted_metrics))
        super().compile(optimizer, loss, loss_weights, metrics, weighted, **kwargs)
        self.sample_loss = None if loss is None else SampleLoss(loss, self.loss_seeds)
        self._found.coupling, self._found.labels, self._found.together = None, False, False
        self._found.weighted = loss_weights is not None
        self._found.program = self._found.flat = None
        if self.built:
            self.sharpness.check(self)

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
        return mixed_loss(super().compute_loss, self.sample_loss, x, y, y_pred, sample_weight)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Tensor]:
        """The compiled metrics; of mixed samples, against the label with the larger share."""
        logs: dict[str, Tensor] = super().compute_metrics(
            x, dominant_labels(y), y_pred, sample_weight
        )
        return logs

    # JAX hands a step its state; the other backends read and assign variables.
    train_step: Any = step.stateless_train_step if backend.STATELESS else step.stateful_train_step
