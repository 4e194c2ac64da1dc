"""M2m: rare samples made of frequent ones, for the network as it is at this step.

With n_k the images of class k, n_0 the largest of them, g a helper network trained before and held,
f the network in training, and p(k, j) = 1 - beta^max(n_{y_j} - n_k, 0) for a sample j of the batch:

    target   sample i of class k is left alone with probability n_k / n_0, else to be replaced
    seed     j of the same batch with probability p(k, j) / sum_j p(k, j); none where that sum is 0
    start    x <- clip(x_j + noise),                                     |noise| = `noise`
    T times  x <- clip(x - step_size grad / |grad|),  grad of CE(g(x), k) + strength f_{y_j}(x)
    accept   where softmax(g(x))_k >= gamma, with probability p(k, j); else sample i stays

f_{y_j} is the raw logit of the seed's class; f and g are in inference mode. Norms are Euclidean,
of one image each, in units of the pixels' whole range. The label is k throughout.

Reference:
    Kim, Jeong and Shin, M2m: Imbalanced Classification via Major-to-minor Translation, CVPR 2020,
    algorithm 1 and equations 2 to 6; the defaults are those of the released CIFAR-10 command.
"""

import copy
import math
from collections.abc import Sequence
from typing import Annotated, Any

import keras
from keras import ops
from pydantic import Field

from keras_ccsam import backend
from keras_ccsam.checks import at_least_float32, check_class_counts, require
from keras_ccsam.heads import activation, logits_before_activation, num_outputs, plain_dense
from keras_ccsam.labels import class_indices, is_mixed
from keras_ccsam.m2m.helper import check_helper, check_helper_fits
from keras_ccsam.options import checked
from keras_ccsam.sharpness.global_batch import GlobalBatch
from keras_ccsam.sharpness.method import Learner, constants
from keras_ccsam.training.step_parts import Network, StepPart
from keras_ccsam.typing import Tensor

_TINY = 1e-30


class MajorToMinor(StepPart):
    """Replaces samples of rare classes by translated samples of more frequent ones.

    Given to a model as `SharpnessAwareModel(..., step_parts=[MajorToMinor(...)])`, it acts on each
    batch of `fit` before anything else does: loss, sharpness and the training metrics are those of
    the translated batch. `evaluate` and `predict` never see it. It is on from the first step;
    `callbacks.StartTranslation` delays it, and the method is meant to be used with batches drawn
    with weight 1/n from then on (`deferred_sampler` of `LongTailedData.batches`).

    While it is on, a step costs `steps` passes forth and back through both networks for the whole
    batch (shapes are static; which samples are replaced is decided in the compiled step); while
    it is off, nothing.

    Args:
        helper: g, a built Keras classifier from images to logits (B, K), trained on the same data
            (by plain cross-entropy in the paper). It is held and always in inference mode. The
            model neither tracks nor saves it; under JAX its weights are constants of the compiled
            step, so train it before.
        class_counts: the number of images of each class in the *training set*, K integers.
        beta: how much more frequent a seed's class must be, in [0, 1). At 0.999 p is
            0.63 at 1000 images more; 0 takes any more frequent class. (Eq. 5.)
        gamma: the helper's confidence in the new class from which on a translation is accepted, in
            [0, 1]. The code's own default is 0.99.
        strength: lambda, weight of f's logit of the seed's class, at least 0.
        step_size: eta, length of a step, above 0.
        steps: T, a whole number from 0 on.
        noise: Euclidean length of the noise at the start, at least 0. (The
            released code normalises it along the channels and the batch; here it is per image.)
        pixel_range: the lowest and the highest value that a pixel can have. `step_size` and `noise`
            are multiplied by their difference.
        seed: of the draws; drawn from Keras' global seed by default.

    Raises:
        ValueError: for a value outside its range, or a helper that is not built, puts out
            probabilities, or has another number of classes or (when the model is built) another
            shape of inputs.

    Attributes:
        active: scalar variable of the bound part, 1 (the default) or 0: whether a step translates.
    """

    saving = "missing"
    beta: float
    gamma: float
    strength: float
    step_size: float
    steps: int
    noise: float
    active: keras.Variable
    draws: keras.random.SeedGenerator

    def __init__(
        self,
        helper: Any,
        class_counts: Sequence[int],
        beta: Annotated[
            float, Field(ge=0, lt=1, description="of seed choice and acceptance (code: 0.999)")
        ] = 0.999,
        gamma: Annotated[
            float, Field(ge=0, le=1, description="confidence to accept (code: 0.9)")
        ] = 0.9,
        strength: Annotated[
            float, Field(ge=0, description="lambda, on the seed class's logit (code: 0.5)")
        ] = 0.5,
        step_size: Annotated[
            float, Field(gt=0, description="of a step; pixels in 0..1 (code: 0.1)")
        ] = 0.1,
        steps: Annotated[int, Field(ge=0, description="of the translation (code: 10)")] = 10,
        noise: Annotated[
            float, Field(ge=0, description="norm of the start's noise; pixels in 0..1 (code: 0.5)")
        ] = 0.5,
        pixel_range: tuple[float, float] = (0.0, 255.0),
        *,
        seed: int | None = None,
    ) -> None:
        self.class_counts = check_class_counts(class_counts)
        given = {"beta": beta, "gamma": gamma, "strength": strength, "steps": steps}
        given |= {"step_size": step_size, "noise": noise}
        for name, value in checked(MajorToMinor, given).items():
            setattr(self, name, value)
        low, high = pixel_range
        require(-math.inf < low < high < math.inf, "pixel_range", pixel_range, "(lowest, highest)")
        check_helper(helper)
        self.helper = helper
        self.pixel_range = (float(low), float(high))
        self.seed = seed

    def bind(self, model: Learner) -> "MajorToMinor":
        """A copy with a switch and a seed of its own, which the step carries and no file holds."""
        bound = copy.copy(self)
        bound.active = constants(1.0)
        bound.draws = keras.random.SeedGenerator(self.seed)
        bound.variables = [bound.active, bound.draws.state]
        return bound

    def check(self, model: Learner, input_shape: Any) -> None:
        """Raises ValueError if helper, class counts and the built model do not fit together."""
        classes = model.num_classes
        check_class_counts(self.class_counts, classes)
        if num_outputs(model.head) == 1:
            raise ValueError(
                "A translation away from a class needs a logit per class, also for two: give the "
                f"model a Dense(2) head. Received: head={model.head!r} with units=1"
            )
        if activation(model.head) is not None and plain_dense(model.head) is None:
            raise ValueError(
                "A translation needs the head's logits: a Dense, or a head without an activation. "
                f"Received: head={model.head!r}"
            )
        check_helper_fits(self.helper, tuple(input_shape), classes)

    def inputs(self, model: Network, x: Any, y: Any) -> Tensor:
        """The batch's images, some of them replaced, in float32 (or float64 where they are).

        Variables are read through the current scope; only the seed's state is assigned, and only
        while `active` is 1.

        Args:
            model: the `SharpnessAwareModel` that the part is bound to.
            x: images (B, ...), `y` their classes (B,) or one-hot rows (B, K).

        Raises:
            ValueError: for mixup targets, no targets, or more than one input; on several replicas
                of TensorFlow.
        """
        if backend.replica_count() > 1 and not backend.COLLECTIVES_IN_LOOPS:
            raise ValueError(
                "M2m takes seeds from the whole batch, which TensorFlow's replicas cannot gather "
                "in the branch that translates. Use JAX or PyTorch, or one replica. Received: "
                f"replicas={backend.replica_count()}"
            )
        if y is None or is_mixed(y):
            raise ValueError(
                "M2m takes one class per sample, and no mixup: an image is translated into one "
                f"class. Received: y={'None' if y is None else 'mixup targets'}"
            )
        if keras.tree.is_nested(x):
            raise ValueError(
                f"M2m translates the images of a model with one input. Received: x={type(x)}"
            )
        images = at_least_float32(ops.convert_to_tensor(x))
        seed = self.draws.state
        # A branch may not leave anything in an outer scope: the seed goes in and out by value.
        translated, after = ops.cond(
            ops.convert_to_tensor(self.active) > 0.5,
            lambda: self._replaced(model, images, class_indices(y)),
            lambda: (images, ops.convert_to_tensor(seed)),
        )
        seed.assign(after)
        return translated

    def _replaced(self, model: Network, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The translated batch, and the seed's state after its draws."""
        generator = self.draws
        variables = [*_variables(self.helper, model), generator.state]
        state = [(v, ops.stop_gradient(v.value)) for v in variables]
        size, dtype = ops.shape(x)[0], x.dtype
        batch = GlobalBatch(size) if backend.replica_count() > 1 else None
        # Every replica draws for the global batch, and seeds are of all of it.
        pool, classes = (x, target) if batch is None else map(batch.gather, (x, target))
        size = size if batch is None else batch.size
        with keras.StatelessScope(state) as scope:
            marks = keras.random.uniform((size,), seed=generator, dtype=dtype)
            choices = keras.random.uniform((size, size), seed=generator, dtype=dtype)
            noise = keras.random.normal(ops.shape(pool), seed=generator, dtype=dtype)
            coins = keras.random.uniform((size,), seed=generator, dtype=dtype)
            after = scope.get_current_value(generator.state)
        if batch is not None:
            marks, choices, noise, coins = map(batch.own, (marks, choices, noise, coins))

        odds = self.seed_odds(target, dtype, classes)
        seeds = _draw(odds, choices)
        start = ops.take(pool, seeds, axis=0) + self._pixels(self.noise) * _unit(noise)
        made, confidence = self._translations(
            model, state, ops.clip(start, *self.pixel_range), target, ops.take(classes, seeds)
        )
        # A row without any seed drew one whose odds are 0: it is not accepted.
        counts = ops.convert_to_tensor(self.class_counts, dtype)
        marked = marks >= ops.take(counts, target) / max(self.class_counts)
        odds = ops.take_along_axis(odds, seeds[:, None], axis=1)[:, 0]
        accepted = ops.logical_and(confidence >= self.gamma, coins < odds)
        replaced = ops.logical_and(marked, accepted)
        return ops.where(_per_image(replaced, x), made, x), after

    def seed_odds(
        self, target: Tensor, dtype: str = "float32", pool: Tensor | None = None
    ) -> Tensor:
        """(b, B) p(y_i, j) from classes (b,), row i; 0 where sample j is no seed for i.

        Args:
            target: (b,).
            dtype: of the result.
            pool: (B,) the classes of the samples j; `target` by default.
        """
        counts = ops.convert_to_tensor(self.class_counts, dtype)
        own, seeds = (ops.take(counts, y) for y in (target, target if pool is None else pool))
        surplus = ops.maximum(seeds[None, :] - own[:, None], 0.0)
        return -ops.expm1(surplus * math.log(max(self.beta, _TINY)))

    def _translations(
        self, model: Network, state: Any, x: Tensor, target: Tensor, source: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Images from `x` towards class `target` and away from `source`; g's confidence in them."""
        sources = ops.one_hot(source, len(self.class_counts), dtype=x.dtype)

        def helper_logits(x: Tensor) -> Tensor:
            # One scope a pass: what a pass writes must not outlive the loop's body.
            with keras.StatelessScope(state):
                return ops.cast(self.helper(x, training=False), x.dtype)

        def loss(values: list[Tensor]) -> tuple[Tensor, None]:
            (x,) = values
            towards = ops.sparse_categorical_crossentropy(
                target, helper_logits(x), from_logits=True
            )
            with keras.StatelessScope(state):
                away = ops.sum(ops.cast(_logits(model, x), x.dtype) * sources, axis=1)
            # Only its direction counts; in units of the range, it does not underflow in float16.
            return self._pixels(ops.sum(towards + self.strength * away)), None

        def step(_: Tensor, x: Tensor) -> Tensor:
            _, (gradient,) = backend.value_and_grad(loss, [x])
            x = x - self._pixels(self.step_size) * _unit(gradient)
            return ops.clip(x, *self.pixel_range)

        x = ops.fori_loop(0, self.steps, step, x)
        probabilities = ops.softmax(helper_logits(x), axis=-1)
        return x, ops.take_along_axis(probabilities, target[:, None], axis=1)[:, 0]

    def _pixels(self, length: Any) -> Any:
        low, high = self.pixel_range
        return length * (high - low)


def _logits(model: Network, x: Tensor) -> Tensor:
    """f's raw logits in inference mode."""
    outputs, features = model(x, training=False, return_features=True)
    if activation(model.head) is None:
        return outputs
    return logits_before_activation(model.head, features)


def _draw(odds: Tensor, uniform: Tensor) -> Tensor:
    """(B,) a column of each row with probability in proportion to `odds`, by Gumbel's maximum."""
    gumbel = -ops.log(-ops.log(ops.maximum(uniform, _TINY)))
    scores = ops.where(odds > 0, ops.log(ops.maximum(odds, _TINY)) + gumbel, -math.inf)
    return ops.argmax(scores, axis=1)


def _unit(x: Tensor) -> Tensor:
    """Each image of `x` with norm 1; 0 where it is 0."""
    norm = ops.sqrt(ops.sum(ops.square(x), axis=tuple(range(1, len(x.shape))), keepdims=True))
    return ops.where(norm > 0, x / ops.maximum(norm, _TINY), 0.0)


def _per_image(mask: Tensor, x: Tensor) -> Tensor:
    return ops.reshape(mask, (-1,) + (1,) * (len(x.shape) - 1))


def _variables(*layers: Any) -> list[keras.Variable]:
    """All variables, each once: the helper may share layers with the model."""
    found = {id(v): v for layer in layers for v in layer.variables}
    return list(found.values())
