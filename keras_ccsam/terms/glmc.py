"""GLMC: two mixtures of an image agree, and the loss turns from plain to re-weighted.

    L  = a (L_g + L_l) + (1 - a) (R_g + R_l) - eta mean_i [ cos(p_g, sg z_l) + cos(p_l, sg z_g) ]
    a  = 1 - (epoch / epochs)^power                             epochs counted from 0
    L_ = mean_i [ m l(u_i, y_i) + (1 - m) l(u_i, y_p(i)) ]
    R_ = mean_i [ m w_{y_i} l(v_i, y_i) + (1 - m) w_{y_p(i)} l(v_i, y_p(i)) ]
    w_c ~ n_c^-label_power,    sum_c w_c = K

g is the global mixture of an image (mixup), l the local one (CutMix); see the views `mixtures`. v
are the outputs of the model's head, which is the one that is kept; u those of a second one on the
same features. z is a projection of the features, p a prediction of the other mixture's z; sg stops
the gradient. l is the compiled loss, cross-entropy in the authors' code: with logit adjustment it
is their GLMC + BS.

References:
    Du et al., Global and Local Mixture Consistency Cumulative Learning for Long-tailed Visual
    Recognitions, CVPR 2023 (arXiv:2305.08661), and its code for the two heads and their layers.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import keras
import numpy as np
from keras import ops
from pydantic import Field

from keras_ccsam.declare import Limit, part
from keras_ccsam.heads.closed_form import safe_sqrt
from keras_ccsam.sharpness.method import constants
from keras_ccsam.terms.term import Term, TermBatch
from keras_ccsam.typing import Tensor


@part(
    "term",
    "glmc",
    limit=Limit("cross_entropy", consistency=0.0, label_power=0.0, power=0.0),
    needs=("views: mixtures",),
)
class GLMC(Term):
    """Consistency of two mixtures, a second head, and classes weighted more from epoch to epoch.

    Its batches have two rows for each image: `data.views.Mixtures`.

    Args:
        class_counts: the number of images of each class in the training set.
        consistency: eta, of the agreement of the mixtures.
        label_power: of the class counts in the weights; 0 weighs all alike.
        power: of the share of the epochs, in a. At 0 the re-weighted loss counts alone throughout.
        dimension: of the projection z.
        **kwargs: of `keras.layers.Layer`.

    Raises:
        ValueError: if an option is out of its range or a count below 1.
    """

    rows = 2

    def __init__(
        self,
        class_counts: Sequence[int],
        consistency: Annotated[
            float, Field(ge=0, description="eta (code: 1 CIFAR-10, 4 CIFAR-100, 10 larger sets)")
        ] = 4.0,
        label_power: Annotated[
            float, Field(ge=0, description="of n_c in the weights (code: 1.2; 1.0 larger sets)")
        ] = 1.2,
        power: Annotated[
            float, Field(ge=0, description="of epoch / epochs, by which a falls (code: 2)")
        ] = 2.0,
        dimension: Annotated[
            int, Field(ge=1, description="of the projection (code: 128 with ResNet-32)")
        ] = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            kwargs,
            class_counts=class_counts,
            consistency=consistency,
            label_power=label_power,
            power=power,
            dimension=dimension,
        )

    def create(self, features: int, classes: int) -> None:
        """The second head, the projection and the prediction."""
        self.second_head = self._dense(classes, features, "second_head")
        self.projection = self._dense(self.dimension, features, "projection")
        self.prediction = self._dense(self.dimension, self.dimension, "prediction")
        rarity = np.asarray(self.class_counts, "float64") ** -self.label_power
        self._class_weights = constants(list(rarity / rarity.mean()))

    def _dense(self, units: int, inputs: int, name: str) -> keras.layers.Dense:
        layer = keras.layers.Dense(
            units, kernel_initializer="he_normal", dtype=self.dtype_policy, name=name
        )
        layer.build((None, inputs))
        return layer

    def value(self, batch: TermBatch) -> Tensor:
        """What turns the compiled loss into L."""
        first, second, mix = batch.mixed
        weights = ops.convert_to_tensor(self._class_weights)
        done = self.progress[0] / self.progress[1]
        rest = ops.cast(done**self.power, mix.dtype)  # 1 - a
        outputs = self.second_head(batch.features)
        plain = _mixed(mix, batch.losses(first, outputs), batch.losses(second, outputs))
        one, two = batch.losses(first, batch.outputs), batch.losses(second, batch.outputs)
        turned = (1.0 - rest) * (plain - _mixed(mix, one, two)) + rest * _mixed(
            mix,
            (ops.take(weights, first) - 1.0) * one,
            (ops.take(weights, second) - 1.0) * two,
        )
        if batch.sample_weight is not None:
            turned = turned * ops.cast(batch.sample_weight, turned.dtype)
        return ops.mean(turned) - self.consistency * self._agreement(batch.features)

    def _agreement(self, features: Tensor) -> Tensor:
        projected = self.projection(features)
        predicted = self.by_image(self.prediction(projected))
        projected = ops.stop_gradient(self.by_image(projected))
        cosines = _unit(predicted) * _unit(ops.flip(projected, axis=1))
        return ops.sum(ops.mean(ops.sum(cosines, axis=-1), axis=0))


def _mixed(mix: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return mix * first + (1.0 - mix) * second


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1; torch's cosine has the same floor below the norm."""
    length = safe_sqrt(ops.sum(ops.square(rows), axis=-1, keepdims=True))
    return rows / ops.maximum(length, 1e-8)
