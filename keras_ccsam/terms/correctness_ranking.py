"""Correctness ranking loss (CRL): images that were right more often should be more confident.

    L = weight mean_i max(0, -t_i (k_i - k_j) + |c_i - c_j|),    j the next image of the batch
    k_i = max_k p_ik,    t_i = sign(c_i - c_j),    p the softmax of the outputs
    c_i = (r_i - min_n r_n) / (max(1, epoch) - min_n r_n),    epochs counted from 0

r_n is how often image n was classified correctly in training so far. Of several rows of an image
the first one counts: with RegMixup the unmixed one.

References:
    Moon et al., Confidence-Aware Learning for Deep Neural Networks, ICML 2020 (arXiv:2007.01458).
    Li et al., SURE: SUrvey REcipes for building reliable and robust deep networks, CVPR 2024, and
    its code for the pairs, the margin and what c is normalised by.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from keras import ops
from pydantic import Field

from keras_ccsam.declare import Limit, part
from keras_ccsam.heads.closed_form import safe_divide
from keras_ccsam.labels import is_mixed
from keras_ccsam.terms.term import Term, TermBatch
from keras_ccsam.typing import Tensor


@part(
    "term",
    "correctness_ranking",
    limit=Limit("cross_entropy", weight=0.0),
    needs=("sample_index",),
)
class CorrectnessRanking(Term):
    """Ranks the confidence of each image and its neighbour by how often each was right.

    Args:
        class_counts: the number of images of each class in the training set, which are counted.
            Batches must tell their places: `data.batches(sample_index=True)`.
        rows: of each image, in the batches (`views.count`).
        weight: of the term.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if `weight` is negative or a count below 1; in training, for batches without
            `index`.
    """

    def __init__(
        self,
        class_counts: Sequence[int],
        rows: int = 1,
        weight: Annotated[
            float, Field(ge=0, description="of the term (code: 0.5 CIFAR-10, 1 CIFAR-100, 0 LT)")
        ] = 0.5,
        **kwargs: Any,
    ) -> None:
        super().__init__(kwargs, class_counts=class_counts, rows=rows, weight=weight)

    def create(self, features: int, classes: int) -> None:
        """How often each image was right."""
        self.right = self.state("right", (sum(self.class_counts),))

    def value(self, batch: TermBatch) -> Tensor:
        """The ranking loss by the counts so far; then this batch is counted."""
        if not is_mixed(batch.y) or "index" not in batch.y:
            raise ValueError(
                "CorrectnessRanking counts for each image: it needs batches that tell the images' "
                "places, data.batches(sample_index=True). Received: targets without `index`"
            )
        outputs = self.by_image(batch.outputs)[:, 0]
        index = ops.cast(self.by_image(batch.y["index"])[:, 0], "int32")
        labels = ops.cast(self.by_image(batch.y["labels"])[:, 0], "int32")
        counts = ops.convert_to_tensor(self.right)
        least = ops.min(counts)
        most = ops.maximum(ops.convert_to_tensor(self.progress)[0], 1.0)
        often = safe_divide(ops.take(counts, index) - least, most - least)
        often = ops.cast(often, outputs.dtype)
        confidence = ops.max(ops.softmax(outputs, axis=-1), axis=-1)
        other = ops.roll(confidence, -1)
        gap = often - ops.roll(often, -1)
        losses = ops.relu(ops.abs(gap) - ops.sign(gap) * (confidence - other))
        correct = ops.equal(ops.cast(ops.argmax(outputs, axis=-1), "int32"), labels)
        # Once a step, however often its batch has an image.
        found = ops.segment_max(ops.cast(correct, counts.dtype), index, counts.shape[0])
        self.right.assign(counts + ops.stop_gradient(ops.maximum(found, 0.0)))
        # A gap of 0 has no order.
        return self.weight * ops.mean(ops.where(ops.equal(gap, 0.0), 0.0, losses))
