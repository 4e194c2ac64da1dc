"""CC-SAM, stage 1: every class is perturbed within its own radius.

    g_c   = grad_w mean_{i in B_c} l_i(w)                for each class c of the batch
    eps_c = sqrt(k) rho_c g_c / ||g_c||                  rho_c: radius.py
    L     = (1 - lambda) mean_i l_i(w) + lambda mean_i l_i(w + sg(eps_{y_i}))

Four routes to the same L, chosen by what is perturbed:

* the head, where it has a closed form (heads/): one backward pass, the cost of cross-entropy;
* the head, where it has none: one pass of the *head* per class, on features computed once;
* any other weights, where no layer couples samples: two passes, each sample going its own class's
  way (class_routes.py), whatever the number of classes;
* any other weights elsewhere: one gradient and one full pass per class present (class_loop.py).

BatchNorm in training couples samples, and L then has two readings (`batch_norm`):

* `"literal"`: each pass takes the statistics of the whole batch at that pass's weights, so every
  class of the batch needs full passes;
* `"clean"`: the statistics of the clean pass over the whole batch are constants of both g_c and the
  perturbed losses. Another function of the weights, at about three passes: the clean part of L,
  weighed with 1 - lambda, is differentiated through the statistics as usual, g_c is not.

Moving averages, seeds and metrics are those of the clean pass.

Regularisers and `add_loss` terms are added once, unperturbed. With mixup the class of a sample is
that of its first label, and l_i is the mixed loss.

The released code has two readings of its own. It takes a full radius for the kernel and another for
the bias, each by the norm of its own gradient, with ||w|| and k of both (`norm_scope`); and the
perturbed loss of a mixed sample is that of its first label alone (`perturbed_labels`), while g_c is
of the mixed one.

References:
    Zhou, Zhipeng, et al., Class-Conditional Sharpness-Aware Minimization for Deep Long-Tailed
    Recognition, CVPR 2023 (appendix, Eqn 1 and Theorem 1).
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import keras
from keras import ops
from pydantic import Field

from keras_ccsam import backend
from keras_ccsam.declare import Limit, part
from keras_ccsam.heads import closed_form, num_outputs
from keras_ccsam.layers.over_replicas import is_over_replicas
from keras_ccsam.options import VARIABLE
from keras_ccsam.sharpness.class_conditional.head import (
    closed_form_term,
    head_loop_term,
    steps_in_closed_form,
)
from keras_ccsam.sharpness.class_conditional.network import passes_by_class, passes_by_route
from keras_ccsam.sharpness.class_conditional.radius import ClassSteps
from keras_ccsam.sharpness.global_batch import ascent_numbers, synchronised
from keras_ccsam.sharpness.method import Learner, Options, SharpnessMethod, constants
from keras_ccsam.sharpness.objective import Coupling, Evaluation, Objective
from keras_ccsam.sharpness.perturbed_weights import check_pattern, positions
from keras_ccsam.sharpness.shared_options import Perturb, Sync
from keras_ccsam.typing import Tensor


@part(
    "sharpness",
    "class_conditional",
    limit=Limit("erm", radius_scale=0.0),
    trials=(
        {"radius_scale": 0.5},
        {"radius_scale": 0.5, "perturb": "all"},
        {"radius_scale": 0.5, "perturb": "all", "batch_norm": "clean"},
        {"radius_scale": 0.5, "norm_scope": "per_tensor", "perturbed_labels": "unmixed"},
    ),
)
class ClassConditional(SharpnessMethod):
    """The class-conditional sharpness-aware gradient.

    Args:
        class_counts: the number of images of each class in the *training set*.
        radius_scale: r, what the characteristic radius is multiplied with; the default is the best
            of the appendix's sweep (Figure 1). 0 gives Keras' own step, bit for bit; to rounding
            where two passes do for all weights. With `"clean"` that step is no limit of small r,
            since g_c holds the statistics constant. A variable.
        flat_ratio: lambda, the share of the perturbed loss; the published runs use 0.3 on
            CIFAR-10-LT and 0.5 on CIFAR-100-LT. A variable.
        perturb: the weights w: `"head"`, `"all"`, or a regular expression that is searched in the
            paths of the trainable variables.
        batch_norm: of weights other than the head: `"literal"` or `"clean"`; see above. Where no
            BatchNorm trains, both are the same.
        chunk: of weights other than the head: how many samples have weights of their own at a
            time, which bounds memory. By default all, where layers have rules for such weights and
            those of the largest layer stay within 2^24 scalars; else as many as keep chunk x k
            within them.
        norm_scope: `"joint"`, one step over all perturbed tensors; or `"per_tensor"`, one for each,
            as the released code has it: kernel and bias apart.
        perturbed_labels: of a mixed batch in the perturbed loss: `"mixed"`, both in their shares;
            or `"unmixed"`, the first alone, as the released code has it.
        sync: on several replicas, `"global"` takes the class gradients of the global batch. For a
            head with a closed form each replica gathers B (D + K + 1) numbers for it; beyond the
            head a whole gradient for each class of the batch is summed. `"replica"` takes those of
            the replica's own rows, at no traffic: noisier classes, and another method.

    Raises:
        ValueError: if a count is below 1, `radius_scale` is negative, `flat_ratio` lies outside
            [0, 1], `batch_norm` is neither of the two or `chunk` is below 1; when the model is
            compiled, or at the first step of one that is not built by then, if `perturb` matches no
            variable, or if `batch_norm="clean"` and something other than BatchNorm may couple
            samples too; or for `norm_scope="per_tensor"` with `batch_norm="clean"` beyond the head;
            on several replicas of TensorFlow at the first step, where there is a pass for each
            class.
    """

    def __init__(
        self,
        class_counts: Sequence[int],
        radius_scale: Annotated[
            float,
            Field(ge=0, description="r, factor on the characteristic radius (paper A.2: 1e-2)"),
            VARIABLE,
        ] = 1e-2,
        flat_ratio: Annotated[
            float,
            Field(
                ge=0,
                le=1,
                description="share of the perturbed loss (code: 0.3 CIFAR-10, 0.5 -100)",
            ),
            VARIABLE,
        ] = 0.5,
        perturb: Perturb = "head",
        batch_norm: Annotated[
            Literal["literal", "clean"],
            Field(
                description="beyond the head: statistics of each perturbed pass, or the clean one's"
            ),
        ] = "literal",
        chunk: Annotated[
            int | None,
            Field(ge=1, description="beyond the head: samples at a time; absent: by their size"),
        ] = None,
        norm_scope: Annotated[
            Literal["joint", "per_tensor"],
            Field(description="one step over all perturbed tensors, or one for each (code)"),
        ] = "joint",
        perturbed_labels: Annotated[
            Literal["mixed", "unmixed"],
            Field(description="with mixup, of the perturbed loss: both, or the first alone (code)"),
        ] = "mixed",
        *,
        sync: Sync = "global",
    ) -> None:
        super().__init__(
            class_counts=class_counts,
            radius_scale=radius_scale,
            flat_ratio=flat_ratio,
            perturb=perturb,
            batch_norm=batch_norm,
            chunk=chunk,
            sync=sync,
            norm_scope=norm_scope,
            perturbed_labels=perturbed_labels,
        )
        check_pattern(perturb)
        if perturb != "head" and batch_norm == "clean" and norm_scope == "per_tensor":
            raise ValueError(
                "norm_scope='per_tensor' beyond the head takes a pass for each class: set "
                "batch_norm='literal'. Received: norm_scope='per_tensor', batch_norm='clean'"
            )

    def bind(self, model: Learner) -> Options:
        """As its base, and the class counts on the device."""
        options = super().bind(model)
        options.counts = constants(self.class_counts)
        return options

    def check(self, model: Learner) -> None:
        """Refuses a pattern that matches no variable, and "clean" where it does not apply."""
        config = self.get_config()
        if config["perturb"] != "head":
            positions(model.trainable_variables, config["perturb"], model.head)
            _goes_by_route(model.coupling, config["batch_norm"])

    def shared_numbers(self, model: Learner, rows: int) -> int:
        """B (D + K + 1) for a head with a closed form; else a gradient for each class of the batch.

        Of a Dense layer that sees one row per sample, its inputs and output gradients can take the
        place of the latter: this is the most that it may be.
        """
        config = self.get_config()
        if config["sync"] == "replica":
            return 0
        form = closed_form(model.head) if config["perturb"] == "head" else None
        if form is not None:
            features = int(form.perturbed_weights[0].shape[0])
            return rows * (features + num_outputs(model.head) + 1)
        variables = model.trainable_variables
        chosen = positions(variables, config["perturb"], model.head)
        classes = min(model.num_classes, rows)
        return classes * ascent_numbers([variables[i] for i in chosen], "global")

    def gradients(self, objective: Objective, options: Options) -> tuple[list[Tensor], Evaluation]:
        """One backward pass where the head has a closed form. The loss reported is L."""
        steps = ClassSteps(
            options.counts,
            options.radius_scale,
            options.norm_scope == "per_tensor",
            options.perturbed_labels == "unmixed",
        )
        mix = _mix(options)
        batch = synchronised(objective.batch, options.sync)
        if options.perturb == "head":
            form = closed_form(objective.head)
            if form is not None and steps_in_closed_form(form, steps):
                return objective.gradient(
                    objective.values,
                    lambda outputs: mix * closed_form_term(form, objective, outputs, steps, batch),
                )
            _check_loop(objective, options.sync, "the head has no closed form", ())
            return objective.gradient(
                objective.values,
                lambda outputs: mix * head_loop_term(objective, outputs, steps, options.sync),
            )
        chosen = positions(objective.variables, options.perturb, objective.head)
        coupling = objective.coupling
        if _goes_by_route(coupling, options.batch_norm) and not steps.per_tensor:
            return passes_by_route(objective, chosen, steps, mix, options.chunk, batch)
        why = coupling.reason or "BatchNormalization with batch_norm='literal' couples samples"
        if steps.per_tensor:
            why = "norm_scope='per_tensor' takes a step for each tensor"
        _check_loop(objective, options.sync, why, coupling.batch_norms)
        return passes_by_class(objective, chosen, steps, mix, options.sync)


def _mix(options: Options) -> Tensor:
    """lambda, and 0 without a radius: the step is then exactly the plain one."""
    radius, ratio = (ops.convert_to_tensor(v) for v in (options.radius_scale, options.flat_ratio))
    return ops.where(radius > 0, ratio, ops.zeros_like(ratio))


def _goes_by_route(coupling: Coupling, batch_norm: str) -> bool:
    """Whether each sample can go its own class's way; otherwise there is a pass for each class.

    Raises:
        ValueError: for `batch_norm="clean"` where more than BatchNorm couples samples.
    """
    clean = batch_norm == "clean"
    if clean and coupling.reason and coupling.batch_norms:
        raise ValueError(
            "batch_norm='clean' needs a network in which nothing but BatchNormalization "
            f"couples samples or draws random numbers; here {coupling.reason}. Use "
            f"batch_norm='literal'. Received: batch_norm={batch_norm!r}"
        )
    return not coupling.reason and (clean or not coupling.batch_norms)


def _check_loop(
    objective: Objective, sync: str, why: str, batch_norms: Sequence[keras.Layer]
) -> None:
    """Refuses a loop over the classes in which replicas would have to sum, where none may.

    Raises:
        ValueError: on several replicas of TensorFlow.
    """
    if objective.batch is None or backend.COLLECTIVES_IN_LOOPS:
        return
    if sync == "global" or any(map(is_over_replicas, batch_norms)):
        raise ValueError(
            f"ClassConditional needs a pass for each class here, since {why}, and TensorFlow's "
            "replicas cannot sum inside such a loop. Use JAX or PyTorch, one replica, or "
            "sync='replica' (with BatchNormalization also batch_norm_sync='replica' of the "
            f"model). Received: sync={sync!r} on {backend.replica_count()} replicas"
        )
