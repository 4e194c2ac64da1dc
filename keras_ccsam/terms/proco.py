"""ProCo: contrastive learning against a distribution of each class, in closed form.

    L      = weight (1/V) sum_v mean_i l(s(z_iv), y_i),    z = unit vectors, V views of each image
    s_c(z) = log C(k_c) - log C(k'_c),    k'_c = || k_c m_c + z / T ||
           = log E exp(z . x / T),        x ~ von Mises-Fisher(m_c, k_c)
    log C(k) = (p / 2 - 1) log k - log I_{p/2 - 1}(k) + const
    k_c    = p R_c / (1 - R_c^2),    R_c = || mean of the class's z ||,    m_c its direction

So each class is contrasted with as many samples of every class as there may be, without a large
batch or a memory bank. l is the compiled loss; the recipe's is logit adjustment, as the authors
have it. The means are of the epoch before and of this one so far, this batch included, and no
gradient passes them. z is a projection of the features by two layers with BatchNorm between.

k is that of the authors' code. The estimate of Banerjee et al. (2005) has p - R^2 in place of p.

References:
    Du et al., Probabilistic Contrastive Learning for Long-Tailed Visual Recognition, TPAMI 2024
    (arXiv:2403.06726), and its code.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import keras
from keras import ops
from pydantic import Field

from keras_ccsam.checks import at_least_float32, require
from keras_ccsam.declare import Limit, part
from keras_ccsam.heads.closed_form import safe_divide, safe_sqrt
from keras_ccsam.terms.log_bessel import scaled_log_bessel
from keras_ccsam.terms.term import Term, TermBatch
from keras_ccsam.typing import Tensor

_MOST = 1e5  # of k, where a class has one image or its vectors agree (code)
_START = 0.9  # R before a class has been seen (code)


@part(
    "term",
    "proco",
    limit=Limit("cross_entropy", weight=0.0),
    trials=({"hidden": 16, "dimension": 8},),
    needs=("views: contrast",),
)
class ProCo(Term):
    """A class's own loss on projections of its images, against von Mises-Fisher densities.

    Its batches have several rows for each image, of which it takes all but the first:
    `data.views.Contrast`.

    Args:
        class_counts: the number of images of each class in the training set.
        rows: of each image, in the batches (`views.count`), at least 2.
        weight: of the term.
        temperature: T.
        dimension: p, of z.
        hidden: of the layer before it.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if an option is out of its range or a count below 1.
    """

    def __init__(
        self,
        class_counts: Sequence[int],
        rows: int = 3,
        weight: Annotated[float, Field(ge=0, description="of the term (code: 1)")] = 1.0,
        temperature: Annotated[float, Field(gt=0, description="T (code: 0.1 CIFAR)")] = 0.1,
        dimension: Annotated[int, Field(ge=2, description="p, of z (code: 128)")] = 128,
        hidden: Annotated[int, Field(ge=1, description="units before z (code: 512)")] = 512,
        **kwargs: Any,
    ) -> None:
        require(rows >= 2, "rows", rows, "at least 2: an image, and others to contrast")
        super().__init__(
            kwargs,
            class_counts=class_counts,
            rows=rows,
            weight=weight,
            temperature=temperature,
            dimension=dimension,
            hidden=hidden,
        )

    def create(self, features: int, classes: int) -> None:
        """The projection, and of each class the sums of this epoch and of the one before."""
        policy, wide, narrow = self.dtype_policy, self.hidden, self.dimension
        normal = "he_normal"
        self.first = keras.layers.Dense(wide, kernel_initializer=normal, dtype=policy)
        self.norm = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5, dtype=policy)
        self.last = keras.layers.Dense(narrow, kernel_initializer=normal, dtype=policy)
        self.first.build((None, features))
        self.norm.build((None, wide))
        self.last.build((None, wide))
        start = keras.initializers.RandomNormal(1.0)
        # Where a class that an epoch has not shown yet is taken to be.
        self.directions = self.state("directions", (classes, narrow), start)
        self.sums = self.state("sums", (classes, narrow))
        self.counts = self.state("counts", (classes,))
        self.sums_before = self.state("sums_before", (classes, narrow))
        self.counts_before = self.state("counts_before", (classes,))
        self.epoch = self.state("epoch", ())

    def value(self, batch: TermBatch) -> Tensor:
        """The mean over the views, after this batch is in the means."""
        z = self.by_image(self._projected(batch.features))[:, 1:]
        labels = ops.cast(self.by_image(batch.mixed[0])[:, 0], "int32")
        means = self._means(ops.stop_gradient(z), labels)
        views = [batch.losses(labels, self._scores(z[:, v], means)) for v in range(z.shape[1])]
        return self.weight * sum(ops.mean(losses) for losses in views) / len(views)

    def _projected(self, features: Tensor) -> Tensor:
        """Unit vectors (R, p)."""
        hidden = ops.relu(self.norm(self.first(features), training=True))
        z = self.last(hidden)
        length = safe_sqrt(ops.sum(ops.square(z), axis=-1, keepdims=True))
        return z / ops.maximum(length, 1e-12)

    def _means(self, z: Tensor, labels: Tensor) -> Tensor:
        """Means (K, p) of each class's vectors so far; counts the vectors (B, V, p)."""
        one_hot = ops.one_hot(labels, self.counts.shape[0], dtype=z.dtype)
        sums = ops.matmul(ops.transpose(one_hot), ops.sum(z, axis=1))
        counts = ops.sum(one_hot, axis=0) * z.shape[1]
        now = ops.convert_to_tensor(self.progress)[0]
        begins = ops.not_equal(now, self.epoch)
        kept = ops.cast(ops.logical_not(begins), z.dtype)
        # As an epoch begins what was counted in it is that of the one before.
        old, old_counts = (ops.convert_to_tensor(v) for v in (self.sums, self.counts))
        before = ops.where(begins, old, ops.convert_to_tensor(self.sums_before)) + sums
        count_before = ops.convert_to_tensor(self.counts_before)
        count_before = ops.where(begins, old_counts, count_before) + counts
        self.sums_before.assign(before)
        self.counts_before.assign(count_before)
        self.sums.assign(kept * old + sums)
        self.counts.assign(kept * old_counts + counts)
        self.epoch.assign(now)
        start = ops.convert_to_tensor(self.directions)
        start = _START * start / safe_sqrt(ops.sum(ops.square(start), axis=1, keepdims=True))
        seen = count_before[:, None] > 0
        return ops.where(seen, before / ops.maximum(count_before, 1.0)[:, None], start)

    def _scores(self, z: Tensor, means: Tensor) -> Tensor:
        """s_c (B, K) of unit vectors (B, p)."""
        z, means = at_least_float32(z), at_least_float32(means)
        order = self.dimension / 2.0 - 1.0
        square = ops.sum(ops.square(means), axis=1)
        length = safe_sqrt(square)
        kappa = ops.minimum(
            ops.where(square < 1.0, self.dimension * safe_divide(length, 1.0 - square), _MOST),
            _MOST,
        )
        along = ops.matmul(z, ops.transpose(safe_divide(means, length[:, None])))
        # k'^2 - k^2, and from it k' - k: of two numbers of up to 1e5 the difference is at most 1/T.
        more = (2.0 * kappa * along + 1.0 / self.temperature) / self.temperature
        moved = safe_sqrt(ops.maximum(ops.square(kappa) + more, 0.0))
        change = more / ops.maximum(moved + kappa, 1e-12)
        scaled = scaled_log_bessel(order, moved) - scaled_log_bessel(order, kappa)
        return scaled + change
