"""A batch as a sharpness method sees it: the loss as a pure function of explicit weight values."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import keras

from keras_ccsam.sharpness.global_batch import GlobalBatch
from keras_ccsam.typing import Tensor


class Evaluation(NamedTuple):
    """What one clean pass leaves behind, beside its gradient.

    Attributes:
        loss: scalar, unscaled: what is reported as the step's loss.
        predictions: (B, K), the model's outputs.
        updates: new values of the non-trainable and metric variables (BatchNorm statistics,
            seeds), None where the pass changed nothing.
    """

    loss: Tensor
    predictions: Tensor
    updates: list[Tensor | None]


class SampleLosses(Protocol):
    """The losses of the samples, as a function of one thing."""

    def __call__(self, at: Any, /, unmixed: bool = False) -> Tensor:
        """(B,) at logits, features or weight values; `unmixed`: of the first labels alone."""
        ...


class Outputs(NamedTuple):
    """A pass as a term of the loss sees it, inside the pass's scope.

    Attributes:
        features: (B, D) inputs of the head, float32 or wider.
        logits: (B, K) before a Dense head's activation, else its outputs; float32 or wider.
        sample_losses: (B,) each sample's loss times its weight, no regularisers.
        losses_of_logits: maps logits (B, K) to sample losses (B,); `unmixed=True`: those of a mixed
            batch's first labels alone.
        losses_of_features: the same of features (B, D), through the head.
        reduce: maps sample losses (B,) to the scalar that the compiled loss's reduction gives; on
            several replicas to this one's share of it.
    """

    features: Tensor
    logits: Tensor
    sample_losses: Tensor
    losses_of_logits: SampleLosses
    losses_of_features: SampleLosses
    reduce: Callable[[Tensor], Tensor]


@dataclasses.dataclass(frozen=True)
class Coupling:
    """How the samples of a training batch see each other.

    No tuple: Keras saves and looks for the layers in a model's tuples once more.

    Attributes:
        reason: the first part found that may couple them in another way than by BatchNorm's
            statistics, or draws random numbers, in words; None where there is none.
        batch_norms: the BatchNorm layers that train, so take the batch's statistics.
        convolutions: whether there are convolutions.
        movable: the layers that compute a batch whose samples have weights of their own.
        row_layers: the backbone's plain Dense layers that are called once per pass, on (B, D).
    """

    reason: str | None
    batch_norms: tuple[keras.layers.BatchNormalization, ...]
    convolutions: bool
    movable: tuple[keras.Layer, ...] = ()
    row_layers: tuple[keras.layers.Dense, ...] = ()


class CleanPass(NamedTuple):
    """What a clean pass tells the passes after it.

    Attributes:
        statistics: BatchNorm's moving statistics, with the batch's own values.
        outputs: convolutions, and what they convolved the batch to, without bias and activation.
    """

    statistics: Sequence[tuple[keras.Variable, Tensor]]
    outputs: Sequence[tuple[keras.Layer, Tensor]]


class Tap(NamedTuple):
    """A Dense layer that sees one row per sample, once: its kernel needs no copy per sample.

    Attributes:
        kernel: the position of its kernel (D, U) among the trainable variables.
        units: U.
    """

    kernel: int
    units: int


class Samples(Protocol):
    """One batch as samples that do not see each other."""

    @property
    def data(self) -> Any:
        """The batch: a structure of tensors whose first axis counts the samples."""
        ...

    @property
    def flat_data(self) -> Any:
        """`data` as the perturbed losses see it: mixed, or of the first labels alone."""
        ...

    @property
    def clean_data(self) -> Any:
        """`data` as `losses` without lengths may have it: with what is known of the clean pass."""
        ...

    @property
    def prediction_shape(self) -> tuple[int, ...]:
        """Of one sample."""
        ...

    @property
    def taps(self) -> Sequence[Tap]:
        """The Dense layers whose inputs `loss` gives and whose outputs it shifts."""
        ...

    def loss(
        self,
        values: Sequence[Tensor],
        sample: Any,
        shifts: Sequence[Callable[[Tensor], Tensor]],
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """One row of `data` at `values`: its loss, its prediction, and the taps' inputs (D,).

        `shifts` has, for each tap, what is added to its output (1, U) before the activation, as a
        function of its input (1, D).
        """
        ...

    def movable(self, positions: Sequence[int]) -> bool:
        """Whether `losses` can move these of the values."""
        ...

    def losses(
        self,
        values: Sequence[Tensor],
        data: Any,
        shifts: Sequence[Callable[[Tensor], Tensor]],
        rows: Mapping[int, Tensor],
        lengths: Tensor | None,
        slots: Tensor,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """As `loss`, of the rows of `data` together: (n,), (n, K), and (n, D) for each tap.

        `rows` has (R, *shape) by the position of a value, constants: each of `data` has the value
        `lengths[slots[i]]` further along row `slots[i]`; the value's gradient is that of all of
        them. `lengths` None: the rows are zeros, nothing is moved, and each row has the gradient of
        those that would be moved along it.
        """
        ...

    def evaluate(self, predictions: Tensor) -> tuple[list[Tensor], Evaluation]:
        """The batch's loss at these predictions; the (scaled) gradient of its regularisers."""
        ...


class Objective(Protocol):
    """One batch's loss as a pure function of the trainable variables' values.

    On several replicas it is one's share of the global batch's loss, and so are its gradients: they
    sum to that batch's.
    """

    @property
    def variables(self) -> Sequence[keras.Variable]:
        """The trainable variables, in the order of `values`."""
        ...

    @property
    def values(self) -> list[Tensor]:
        """Their values at the start of the step."""
        ...

    @property
    def labels(self) -> Tensor:
        """(B,) int32, the class of each sample; with mixup that of its first label."""
        ...

    @property
    def scale(self) -> Tensor:
        """The loss scale of mixed precision: gradients are this many times too large."""
        ...

    @property
    def batch(self) -> GlobalBatch | None:
        """The batch of all replicas, of which these rows are a part; None with one replica."""
        ...

    @property
    def head(self) -> keras.Layer:
        """The classifier, from features to outputs."""
        ...

    @property
    def num_classes(self) -> int:
        """K."""
        ...

    @property
    def coupling(self) -> Coupling:
        """How the samples of a batch see each other."""
        ...

    @property
    def replay(self) -> Callable[[], None]:
        """Makes the next pass draw the randomness of the first one."""
        ...

    def gradient(
        self, values: Sequence[Tensor], term: Callable[[Outputs], Tensor] | None = None
    ) -> tuple[list[Tensor], Evaluation]:
        """The gradient of the whole (scaled) loss, regularisers included, plus `term`."""
        ...

    def split_gradient(
        self, values: Sequence[Tensor], part: Callable[[Outputs], Tensor]
    ) -> tuple[list[Tensor], list[Tensor], Evaluation]:
        """Of one pass, two gradients: that of the whole (scaled) loss less `part`, that of `part`.

        Regularisers are in the first one; the evaluation's loss is the whole.
        """
        ...

    def sample_losses(self, values: Sequence[Tensor], unmixed: bool = False) -> Tensor:
        """(B,) sample losses at `values`, with the randomness of the clean pass.

        `unmixed`: of a mixed batch's first labels alone.
        """
        ...

    def gradient_and_statistics(
        self,
        layers: Sequence[keras.layers.BatchNormalization],
        term: Callable[[Outputs], Tensor],
        chosen: Sequence[int],
    ) -> tuple[list[Tensor], Evaluation, CleanPass]:
        """`gradient` at `values`, and what its BatchNorm layers normalised by.

        With it, what the convolutions gave whose kernels are at the positions `chosen`.
        """
        ...

    def samples(self, clean: CleanPass | None = None, unmixed: bool = False) -> Samples:
        """The batch sample by sample, BatchNorm normalising by the clean pass's statistics.

        It is the batch only where no other layer couples samples: see `coupling`. `unmixed`: the
        perturbed losses are those of a mixed batch's first labels alone.
        """
        ...

    def reduce(self, sample_losses: Tensor) -> Tensor:
        """The scalar that the compiled loss's reduction gives; a replica's share of it."""
        ...

    def wrote(
        self, evaluation: Evaluation, values: Sequence[tuple[keras.Variable, Tensor]]
    ) -> Evaluation:
        """The evaluation, with new values of the method's own variables (`SharpnessMethod.keep`).

        They are assigned with all else that the step changes, or not at all.
        """
        ...
