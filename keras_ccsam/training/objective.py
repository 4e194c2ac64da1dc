"""One batch's loss as a pure function of explicit weight values.

Every pass runs in one `keras.StatelessScope`: the weights it reads are the values it was given,
what it writes (BatchNorm statistics, seeds) stays in the scope, and no variable is ever mutated.
The loss, the regularisers and the loss scale are computed inside it, so that they see the same
weights. A loss that draws noise (GCL) draws once per pass, and all passes of a step draw the same.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.checks import at_least_float32
from keras_ccsam.heads.outputs import activation, logits_before_activation, num_outputs
from keras_ccsam.labels import class_indices, first_labels, is_mixed
from keras_ccsam.sharpness.global_batch import GlobalBatch
from keras_ccsam.sharpness.objective import CleanPass, Coupling, Evaluation, Outputs
from keras_ccsam.training.added_terms import added_terms
from keras_ccsam.training.clean_pass import clean_pass
from keras_ccsam.training.kept_outputs import kept
from keras_ccsam.training.moved_layers import moved_convolutions
from keras_ccsam.training.replicas import global_batch, with_added_losses
from keras_ccsam.training.sample_loss import Noise, SampleLoss, Seen, check_mixed
from keras_ccsam.training.samples import BatchSamples
from keras_ccsam.training.together import warn_of_small_batches
from keras_ccsam.training.trainee import Trainee
from keras_ccsam.typing import Tensor


class _Pass(NamedTuple):
    """One pass: the compiled loss, the outputs, the features if wanted, what the loss drew."""

    loss: Tensor
    predictions: Tensor
    features: Tensor | None
    noise: Noise


def side_variables(model: Trainee, metrics: list[keras.Metric]) -> list[keras.Variable]:
    """The variables of which an `Evaluation` has updates: those not trained, those of metrics."""
    of_metrics = (variable for metric in metrics for variable in metric.variables)
    return [*model.non_trainable_variables, *of_metrics]


def _scope(mapping: Sequence[tuple[keras.Variable, Tensor]]) -> Any:
    """A scope in which each variable has the value paired with it.

    The constructor's argument would do the same, and check and convert each value: for a network of
    a hundred variables that takes as long as its smallest layers, in every pass of an eager step.
    """
    scope = keras.StatelessScope(collect_losses=True)
    for pair in mapping:
        scope.add_update(pair)
    return scope


class BatchObjective:
    """The `Objective` of one batch. See `keras_ccsam.sharpness.Objective`.

    Args:
        model: the `SharpnessAwareModel`.
        values: of its trainable variables.
        state: pairs of every other variable and its value where a step is stateless (JAX); empty
            elsewhere.
        x: the batch's inputs, `y` its targets, `sample_weight` (B,) or None.
    """

    def __init__(
        self,
        model: Trainee,
        values: Sequence[Tensor],
        state: Sequence[tuple[keras.Variable, Tensor]],
        x: Any,
        y: Any,
        sample_weight: Tensor | None,
    ) -> None:
        self.model = model
        self.variables: list[keras.Variable] = model.trainable_variables
        self.head = model.head
        self.num_classes = model.num_classes
        # Listed once per step: Keras goes through all layers at each request.
        self.metrics = model.metrics
        self.side_variables = side_variables(model, self.metrics)
        self.values = list(values)
        self.replay = backend.replay_rng()
        self._state = list(state)
        self.x, self.y, self.sample_weight = x, y, sample_weight
        self.batch: GlobalBatch | None = None
        self._divisor: Tensor | None = None
        self._factors: Any = None
        if backend.replica_count() > 1:
            self.batch, self._divisor = global_batch(model, x, sample_weight)
            warn_of_small_batches(model, self.batch.least)
            if model.sample_loss is not None and y is not None:
                units = num_outputs(model.head)
                self._factors = model.sample_loss.batch_factors(y, units, self.batch)

    @property
    def labels(self) -> Tensor | None:
        """See `Objective`; computed where a method asks, since the plain step does not."""
        return None if self.y is None else class_indices(self.y)

    @property
    def coupling(self) -> Coupling:
        """See `Objective`."""
        return self.model.coupling

    @property
    def scale(self) -> Tensor:
        """See `Objective`; computed where a method asks."""
        with _scope(self._state):
            return self.scaled(ops.ones((), keras.config.floatx()))

    def gradient(
        self,
        values: Sequence[Tensor],
        term: Callable[[Outputs], Tensor] | None = None,
    ) -> tuple[list[Tensor], Evaluation]:
        """The gradient of the scaled loss plus `term`, and what the pass left behind."""
        return self._gradient(values, term)[:2]

    def _gradient(
        self,
        values: Sequence[Tensor],
        term: Callable[[Outputs], Tensor] | None,
        state: Sequence[tuple[keras.Variable, Tensor]] = (),
        layers: Sequence[keras.layers.Conv2D] = (),
    ) -> tuple[list[Tensor], Evaluation, list[list[Tensor]]]:
        """`gradient`, and what these layers convolved to, call by call."""

        def whole(values: list[Tensor]) -> tuple[Tensor, tuple[Evaluation, list[list[Tensor]]]]:
            with self.scope(values, state) as scope, kept(layers) as outputs:
                before = self.side(scope)
                found = self._forward(with_features=term is not None)
                loss = found.loss
                if term is not None:
                    extra = term(self._outputs(found))
                    loss = loss + ops.cast(extra, loss.dtype)
                scaled = self.scaled(loss)
            evaluation = Evaluation(loss, found.predictions, self.changed(scope, before))
            return scaled, (evaluation, outputs)

        (_, (evaluation, outputs)), gradients = backend.value_and_grad(whole, values)
        return self.decayed(gradients, values), evaluation, outputs

    def split_gradient(
        self, values: Sequence[Tensor], part: Callable[[Outputs], Tensor]
    ) -> tuple[list[Tensor], list[Tensor], Evaluation]:
        """The gradients of the scaled loss less `part` and of `part`, from one pass."""

        def two_parts(values: list[Tensor]) -> tuple[tuple[Tensor, Tensor], Evaluation]:
            with self.scope(values) as scope:
                before = self.side(scope)
                found = self._forward()
                own = ops.cast(part(self._outputs(found)), found.loss.dtype)
                scaled = self.scaled(found.loss - own), self.scaled(own)
            changed = self.changed(scope, before)
            return scaled, Evaluation(found.loss, found.predictions, changed)

        (_, evaluation), (rest, own) = backend.value_and_grads(two_parts, values)
        return self.decayed(rest, values), own, evaluation

    def gradient_and_statistics(
        self,
        layers: Sequence[keras.layers.BatchNormalization],
        term: Callable[[Outputs], Tensor],
        chosen: Sequence[int],
    ) -> tuple[list[Tensor], Evaluation, CleanPass]:
        """`gradient` at the step's values, the batch statistics and the convolutions' outputs."""
        return clean_pass(
            self._gradient,
            self.values,
            self.side_variables,
            layers,
            moved_convolutions(self.coupling.movable, [self.variables[i] for i in chosen]),
            term,
        )

    def samples(self, clean: CleanPass | None = None, unmixed: bool = False) -> BatchSamples:
        """The batch sample by sample; in inference mode with what a clean pass found."""
        return BatchSamples(self, clean or CleanPass([], []), unmixed)

    def sample_losses(self, values: Sequence[Tensor], unmixed: bool = False) -> Tensor:
        """(B,) weighted losses at `values`; what the pass writes is dropped."""
        with self.scope(values):
            predictions = self.model(self.x, training=True)
            noise = self.sample_loss().draw(predictions, self.y, self.batch)
            return self._losses(predictions, noise, unmixed)

    def reduce(self, sample_losses: Tensor) -> Tensor:
        """The compiled loss's own reduction."""
        return self.sample_loss().reduce(sample_losses, self.sample_weight, self._divisor)

    def wrote(
        self, evaluation: Evaluation, values: Sequence[tuple[keras.Variable, Tensor]]
    ) -> Evaluation:
        """The evaluation with new values of variables that are not trained."""
        new = {id(variable): value for variable, value in values}
        updates = zip(self.side_variables, evaluation.updates, strict=True)
        merged = [new.get(id(variable), update) for variable, update in updates]
        return evaluation._replace(updates=merged)

    def compiled_loss(self, predictions: Seen) -> Tensor:
        """The compiled loss and the added ones, inside a scope; on several replicas its share."""
        model = self.model
        if self.batch is None:
            return model.compute_loss(
                self.x, self.y, predictions, self.sample_weight, training=True
            )
        if is_mixed(self.y):
            check_mixed(model.sample_loss)
        own = None if model.sample_loss is None else self.reduce(self._values(predictions))
        return with_added_losses(model, own, self.batch)

    def scope(
        self, values: Sequence[Tensor], state: Sequence[tuple[keras.Variable, Tensor]] = ()
    ) -> Any:
        """Where the trainable variables are `values`, and those of `state` are what it says."""
        return _scope([*zip(self.variables, values, strict=True), *self._state, *state])

    def side(self, scope: Any) -> list[Tensor | None]:
        """What the scope holds for the variables that are not trained."""
        return [scope.get_current_value(variable) for variable in self.side_variables]

    def changed(self, scope: Any, before: list[Tensor | None]) -> list[Tensor | None]:
        """What was written since, as an `Evaluation` has it.

        On JAX the scope starts with the values it was given.
        """
        after = self.side(scope)
        return [None if new is old else new for new, old in zip(after, before, strict=True)]

    def decayed(self, gradients: Sequence[Tensor], values: Sequence[Tensor]) -> list[Tensor]:
        """The gradients, with those of half the weights' square where decay is in the loss."""
        if not (self.model.decay_in_loss and self.model.weight_decay):
            return list(gradients)
        decay = self.model.weight_decay * self.scale / backend.replica_count()
        return [
            g + ops.cast(decay, g.dtype) * ops.cast(value, g.dtype)
            for g, value in zip(gradients, values, strict=True)
        ]

    def scaled(self, loss: Tensor) -> Tensor:
        """The loss times the scale of mixed precision."""
        optimizer = self.model.optimizer
        return loss if optimizer is None else optimizer.scale_loss(loss)

    def _forward(self, with_features: bool = True) -> _Pass:
        model, features = self.model, None
        noise: Noise = ()
        terms = model.terms
        if with_features or terms:
            predictions, features = model(self.x, training=True, return_features=True)
        else:
            predictions = model(self.x, training=True)
        seen = predictions
        if model.sample_loss is not None:
            noise = model.sample_loss.draw(predictions, self.y, self.batch)
            seen = model.sample_loss.seen(predictions, noise)
        loss = self.compiled_loss(seen)
        if terms:
            y, weight = self.y, self.sample_weight
            more = added_terms(terms, self.sample_loss(), features, predictions, y, weight)
            loss = loss + ops.cast(more, loss.dtype)
        return _Pass(loss, predictions, features, noise)

    def _losses(self, predictions: Tensor, noise: Noise, unmixed: bool = False) -> Tensor:
        return self._values(self.sample_loss().seen(predictions, noise), unmixed)

    def _values(self, seen: Seen, unmixed: bool = False) -> Tensor:
        y, factors = self.y, self._factors
        if unmixed and is_mixed(y):
            y, factors = first_labels(y), None if factors is None else factors[0]
        return self.sample_loss().values(y, seen, self.sample_weight, factors)

    def sample_loss(self) -> SampleLoss:
        """The compiled loss before its reduction.

        Raises:
            ValueError: there are no labels, or `compile` was given no loss.
        """
        loss = self.model.sample_loss
        if loss is None or self.y is None:
            raise ValueError(
                f"{type(self.model.sharpness).__name__} perturbs by class: it needs labels, and a "
                f"loss in `compile`. Received: loss={loss and loss.loss}, "
                f"labels={'given' if self.y is not None else None}"
            )
        return loss

    def _outputs(self, found: _Pass) -> Outputs:
        head, predictions, noise = self.head, found.predictions, found.noise
        features = at_least_float32(found.features)
        logits = at_least_float32(predictions)
        activate = activation(head)
        before = None if activate is None else logits_before_activation(head, features)
        known = before is not None
        if known:
            logits = before

        def losses_of_logits(logits: Tensor, unmixed: bool = False) -> Tensor:
            outputs = activate(logits) if activate and known else logits
            return self._losses(outputs, noise, unmixed)

        def losses_of_features(features: Tensor, unmixed: bool = False) -> Tensor:
            return self._losses(head(features, training=True), noise, unmixed)

        return Outputs(
            features,
            logits,
            self._losses(predictions, noise),
            losses_of_logits,
            losses_of_features,
            self.reduce,
        )
