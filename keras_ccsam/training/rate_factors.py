"""Different learning rates for the parts of a model."""

import re
from collections.abc import Mapping
from typing import Any

import keras

from keras_ccsam.checks import require
from keras_ccsam.sharpness.method import Learner
from keras_ccsam.training.step_parts import Network, StepPart, Trained
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class RateFactors(StepPart):
    """Parts of a model learn at multiples of the optimizer's rate.

    Their gradients, weight decay included, are multiplied before the optimizer sees them. That is
    exact for SGD, with or without momentum, and only for it: Adam's step does not follow the
    gradient's length. Gradient clipping sees the multiplied gradients.

    Args:
        factors: of `"backbone"`, of `"head"`, or of a regular expression on a variable's path; the
            first that fits counts. What none fits learns at the optimizer's rate. A factor of 0 is
            refused: freeze the layer, which also saves the time.

    Raises:
        ValueError: for no factors, one that is not positive, or a broken regular expression; when
            a model is built, for one that fits no variable; in training, for another optimizer
            than SGD.

    Example:
        >>> parts = [RateFactors({"backbone": 0.1})]
        >>> model = CCSAM(backbone, class_counts=counts, step_parts=parts)
    """

    def __init__(self, factors: Mapping[str, float]) -> None:
        require(
            isinstance(factors, Mapping) and len(factors) > 0,
            "factors",
            factors,
            "a mapping such as {'backbone': 0.1}",
        )
        for key, factor in factors.items():
            require(factor > 0, "factors", dict(factors), "positive numbers")
            try:
                re.compile(key)
            except re.error as error:
                raise ValueError(
                    f"`factors` must have 'backbone', 'head' or regular expressions as keys: "
                    f"{error}. Received: factors={dict(factors)}"
                ) from None
        self.factors = {str(key): float(factor) for key, factor in factors.items()}
        self._rates: list[float] = []

    def bind(self, model: Learner) -> "RateFactors":
        """A copy for this model."""
        return type(self)(self.factors)

    def inputs(self, model: Network, x: Any, y: Any) -> Any:
        """The inputs as they are; which variables the factors are of is looked up here."""
        optimizer = getattr(model, "optimizer", None)
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        if not isinstance(inner, keras.optimizers.SGD):
            raise ValueError(
                "RateFactors multiplies gradients, which changes the rate of SGD and of no other "
                f"optimizer. Received: optimizer={type(inner).__name__}"
            )
        self._rates = self._found(model)
        return x

    def gradients(self, gradients: list[Tensor], trained: Trained) -> list[Tensor]:
        """Those of the variables concerned times their factor."""
        return [
            gradient if rate == 1.0 else rate * gradient
            for gradient, rate in zip(gradients, self._rates, strict=True)
        ]

    def _found(self, model: Any) -> list[float]:
        """The factor of each variable that is trained, in their order; 1 where none fits."""
        variables = model.trainable_variables
        parts = {
            "backbone": {id(v) for v in model.backbone.trainable_variables},
            "head": {id(v) for v in model.head.trainable_variables},
        }
        found: dict[int, float] = {}
        for key, factor in self.factors.items():
            fits = [
                place
                for place, v in enumerate(variables)
                if (id(v) in parts[key] if key in parts else re.search(key, v.path))
            ]
            if not fits and key not in parts:
                raise ValueError(
                    "a factor fits no variable that is trained; `variable.path` is what is "
                    f"searched. Received: factors={self.factors}, of which {key!r}"
                )
            for place in fits:
                found.setdefault(place, factor)
        return [found.get(place, 1.0) for place in range(len(variables))]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"factors": self.factors}
