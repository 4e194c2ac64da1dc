"""CC-SAM, stage 1: every class is perturbed within its own radius.

    g_c   = grad_w mean_{i in B_c} l_i(w)                for each class c of the batch
    eps_c = sqrt(k) rho_c g_c / ||g_c||                  rho_c: radius.py
    L     = (1 - lambda) mean_i l_i(w) + lambda mean_i l_i(w + sg(eps_{y_i}))

Four routes to the same L, chosen by what is perturbed:

* the head, where it has a closed form (heads/): one backward pass, the cost of cross-entropy;
* the head, where it has none: one pass of the *head* a class, on features computed once;
* any other weights, where no layer couples samples: two passes, each sample going its own class's
  way (class_routes.py), whatever the number of classes;
* any other weights elsewhere: one gradient and one full pass a class present (class_loop.py).

BatchNorm in training couples samples, and L then has two readings (`batch_norm`):

* `"literal"`: each pass takes the statistics of the whole batch at that pass's weights, so every
  class of the batch needs full passes;
* `"clean"`: the statistics of the clean pass over the whole batch are constants of both g_c and the
  perturbed losses. Another function of the weights, at about three passes. The clean part of L,
  weighed with 1 - lambda, is differentiated through the statistics as usual.

Moving averages, seeds and metrics are those of the clean pass.

Regularisers and `add_loss` terms are added once, unperturbed. With mixup the class of a sample is
that of its first label, and l_i is the mixed loss.

References:
    Zhou, Zhipeng, et al., Class-Conditional Sharpness-Aware Minimization for Deep Long-Tailed
    Recognition, CVPR 2023 (appendix, Eqn 1 and Theorem 1).
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.checks import check_class_counts, check_counts_of_head, require
from keras_ccsam.heads import ClosedForm, class_gradients, closed_form
from keras_ccsam.sharpness.class_conditional.class_loop import perturbed_passes
from keras_ccsam.sharpness.class_conditional.class_routes import routed_passes
from keras_ccsam.sharpness.class_conditional.radius import characteristic_radius, step_length
from keras_ccsam.sharpness.method import (
    Evaluation,
    Objective,
    Outputs,
    SharpnessMethod,
    constants,
    global_norm,
    hyper_parameter,
)
from keras_ccsam.sharpness.perturbed_weights import check_pattern, positions, scalars
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class ClassConditional(SharpnessMethod):
    """The class-conditional sharpness-aware gradient.

    Args:
        class_counts: the number of images of each class in the *training set*.
        radius_scale: r, what the characteristic radius is multiplied with. 0.01 by default, the
            best of the appendix's sweep (Figure 1). 0 gives Keras' own step, bit for bit; to
            rounding where two passes do for all weights.
        flat_ratio: lambda in [0, 1], the share of the perturbed loss. 0.5 by default; the
            published runs use 0.3 on CIFAR-10-LT and 0.5 on CIFAR-100-LT.
        perturb: the weights w: `"head"` (the default), `"all"`, or a regular expression that is
            searched in the paths of the trainable variables.
        batch_norm: of weights other than the head: `"literal"` (the default) or `"clean"`; see
            above. Where no BatchNorm trains, both are the same.
        chunk: of weights other than the head: how many samples have weights of their own at a
            time, which bounds memory. By default as many as keep chunk x k within 2^24 scalars.

    Raises:
        ValueError: if a count is below 1, `radius_scale` is negative, `flat_ratio` lies outside
            [0, 1], `batch_norm` is neither of the two or `chunk` is below 1; when the model is
            compiled, or at the first step of one that is not built by then, if `perturb` matches no
            variable, or if `batch_norm="clean"` and something other than BatchNorm may couple
            samples too.
    """

    radius_scale: keras.Variable
    flat_ratio: keras.Variable

    def __init__(
        self,
        class_counts: Sequence[int],
        radius_scale: float = 1e-2,
        flat_ratio: float = 0.5,
        perturb: str = "head",
        batch_norm: str = "literal",
        chunk: int | None = None,
    ) -> None:
        self.class_counts = check_class_counts(class_counts)
        require(radius_scale >= 0, "radius_scale", radius_scale, "at least 0")
        require(0 <= flat_ratio <= 1, "flat_ratio", flat_ratio, "between 0 and 1")
        self._radius_scale = float(radius_scale)
        self._flat_ratio = float(flat_ratio)
        self.perturb = check_pattern(perturb)
        require(
            batch_norm in ("literal", "clean"), "batch_norm", batch_norm, "'literal' or 'clean'"
        )
        require(chunk is None or chunk >= 1, "chunk", chunk, "at least 1, or None")
        self.batch_norm = batch_norm
        self.chunk = None if chunk is None else int(chunk)
        self._model: keras.Model
        self._coupling: Any = None
        self._coupling_of: list[int] = []

    def build(self, model: keras.Model) -> None:
        """Creates `radius_scale` and `flat_ratio`, which a callback may assign.

        Raises:
            ValueError: if the head's classes are not as many as the counts.
        """
        check_counts_of_head(self.class_counts, model.num_classes)
        self._model = model
        self._counts = constants(self.class_counts)
        self.radius_scale = hyper_parameter(model, "radius_scale", self._radius_scale)
        self.flat_ratio = hyper_parameter(model, "flat_ratio", self._flat_ratio)

    def check(self, model: keras.Model) -> None:
        """Refuses a pattern that matches no variable, and "clean" where it does not apply."""
        if self.perturb != "head":
            positions(model.trainable_variables, self.perturb, model.head)
            self._route(model)

    def gradients(self, objective: Objective) -> tuple[list[Tensor], Evaluation]:
        """One backward pass where the head has a closed form. The loss reported is L."""
        if self.perturb == "head":
            form = closed_form(self._model.head)
            if form is not None:
                return objective.gradient(
                    objective.values, lambda outputs: self._closed_form(form, objective, outputs)
                )
            return objective.gradient(
                objective.values, lambda outputs: self._head_loop(objective, outputs)
            )
        coupling = self._route(self._model)
        if coupling is None:
            return self._network_loop(objective)
        return self._routed(objective, coupling)

    def _route(self, model: Any) -> Any:
        """What to hold constant, where each sample can go its own way; None for passes by class."""
        # The walk over all layers is too long for every step of an eager backend.
        key = [*map(id, model.trainable_variables), id(model.sample_loss)]
        if key != self._coupling_of:
            self._coupling_of, self._coupling = key, model.sample_coupling()
        coupling = self._coupling
        clean = self.batch_norm == "clean"
        if clean and coupling.reason and coupling.batch_norms:
            raise ValueError(
                "batch_norm='clean' needs a network in which nothing but BatchNormalization "
                f"couples samples or draws random numbers; here {coupling.reason}. Use "
                f"batch_norm='literal'. Received: batch_norm={self.batch_norm!r}"
            )
        # A data-parallel replica would have to share its class gradients' rows.
        if coupling.reason or backend.replica_count() > 1 or (coupling.batch_norms and not clean):
            return None
        return coupling

    def _mix(self) -> Tensor:
        """lambda, and 0 without a radius: the step is then exactly the plain one."""
        radius, ratio = (ops.convert_to_tensor(v) for v in (self.radius_scale, self.flat_ratio))
        return ops.where(radius > 0, ratio, ops.zeros_like(ratio))

    def _length(self, weight_norm: Tensor, norm: Tensor, labels: Tensor, size: int) -> Tensor:
        """The length of each class's step, for labels of any shape."""
        counts = ops.take(ops.cast(self._counts, norm.dtype), labels)
        radius = characteristic_radius(weight_norm, norm, counts, size)
        return ops.cast(self.radius_scale, norm.dtype) * step_length(radius, size)

    def _closed_form(self, form: ClosedForm, objective: Objective, outputs: Outputs) -> Tensor:
        """lambda (flat - clean), from the logits of each sample under its class's step."""

        def total(logits: list[Tensor]) -> tuple[Tensor, tuple[()]]:
            return ops.sum(outputs.losses_of_logits(logits[0])), ()

        _, (delta,) = backend.value_and_grad(total, [ops.stop_gradient(outputs.logits)])
        classes = class_gradients(
            form, outputs.features, outputs.logits, ops.stop_gradient(delta), objective.labels
        )
        weights = [ops.stop_gradient(ops.convert_to_tensor(v)) for v in form.perturbed_weights]
        size = sum(scalars(v) for v in form.perturbed_weights)
        length = self._length(
            global_norm(weights), ops.stop_gradient(classes.norm), objective.labels, size
        )
        flat = outputs.losses_of_logits(classes.logits_after(length))
        return self._mix() * (outputs.reduce(flat) - outputs.reduce(outputs.sample_losses))

    def _head_loop(self, objective: Objective, outputs: Outputs) -> Tensor:
        """The same for a head without a closed form, from one pass of the head a class.

        The loop is not differentiated through: its gradients with respect to the features and the
        head's weights are handed on as constants of a linear term.
        """
        head = self._model.head
        variables = [*head.trainable_variables]
        fixed = [(v, ops.stop_gradient(ops.convert_to_tensor(v))) for v in head.variables]
        features = outputs.features
        own = [ops.convert_to_tensor(v) for v in variables]

        def losses(values: list[Tensor]) -> Tensor:
            with keras.StatelessScope([*fixed, *zip(variables, values[1:], strict=True)]):
                return outputs.losses_of_features(values[0])

        size = sum(scalars(v) for v in variables)
        passes = perturbed_passes(
            losses,
            outputs.reduce,
            [ops.stop_gradient(v) for v in (features, *own)],
            range(1, 1 + len(variables)),
            objective.labels,
            len(self.class_counts),
            lambda weight_norm, norm, label: self._length(weight_norm, norm, label, size),
            objective.replay,
            ops.ones((), features.dtype),
        )
        linear = sum(
            ops.sum(ops.stop_gradient(g) * (v - ops.stop_gradient(v)))
            for g, v in zip(passes.gradients, (features, *own), strict=True)
        )
        flat = ops.stop_gradient(passes.loss) + linear
        return self._mix() * (flat - outputs.reduce(outputs.sample_losses))

    def _network_loop(self, objective: Objective) -> tuple[list[Tensor], Evaluation]:
        """Any weights: the classes' passes through the whole network."""
        chosen = positions(objective.variables, self.perturb, self._model.head)
        mix = self._mix()
        gradients, evaluation = objective.gradient(
            objective.values, lambda outputs: -mix * outputs.reduce(outputs.sample_losses)
        )
        size = sum(scalars(objective.variables[i]) for i in chosen)
        passes = perturbed_passes(
            objective.sample_losses,
            objective.reduce,
            objective.values,
            chosen,
            objective.labels,
            len(self.class_counts),
            lambda weight_norm, norm, label: self._length(weight_norm, norm, label, size),
            objective.replay,
            objective.scale,
        )
        gradients = _add(gradients, mix, passes.gradients)
        return gradients, _add_loss(evaluation, mix * passes.loss)

    def _routed(self, objective: Objective, coupling: Any) -> tuple[list[Tensor], Evaluation]:
        """Any weights: every sample in its own class's passes, with BatchNorm's held, if any."""
        chosen = positions(objective.variables, self.perturb, self._model.head)
        size = sum(scalars(objective.variables[i]) for i in chosen)
        mix = self._mix()
        # The reduction weighs all samples alike. Its weight is part of the loss scale: without it
        # the gradients of single samples would overflow half precision.
        ones = ops.ones_like(objective.labels, dtype=objective.scale.dtype)
        share = objective.reduce(ones) / ops.sum(ones)
        layers = coupling.batch_norms
        if layers:
            gradients, evaluation, statistics = objective.gradient_and_statistics(
                layers, lambda outputs: -mix * outputs.reduce(outputs.sample_losses)
            )
            samples = objective.samples(statistics)
        else:
            samples = objective.samples()
        passes = routed_passes(
            samples,
            objective.values,
            chosen,
            objective.labels,
            len(self.class_counts),
            lambda weight_norm, norm, label: self._length(weight_norm, norm, label, size),
            objective.scale * share,
            coupling.convolutions,
            self.chunk,
            clean=not layers,
        )
        if not layers:
            gradients, evaluation = samples.evaluate(passes.predictions)
            gradients = _add(gradients, 1.0 - mix, passes.clean)
            evaluation = _add_loss(evaluation, -mix * share * passes.clean_loss)
        gradients = _add(gradients, mix, passes.flat)
        return gradients, _add_loss(evaluation, mix * share * passes.flat_loss)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "class_counts": list(self.class_counts),
            "radius_scale": self._radius_scale,
            "flat_ratio": self._flat_ratio,
            "perturb": self.perturb,
            "batch_norm": self.batch_norm,
            "chunk": self.chunk,
        }


def _add(gradients: Sequence[Tensor], factor: Tensor, others: Sequence[Tensor]) -> list[Tensor]:
    return [
        g + ops.cast(factor, g.dtype) * ops.cast(other, g.dtype)
        for g, other in zip(gradients, others, strict=True)
    ]


def _add_loss(evaluation: Evaluation, term: Tensor) -> Evaluation:
    loss = evaluation.loss
    return evaluation._replace(loss=loss + ops.cast(term, loss.dtype))
