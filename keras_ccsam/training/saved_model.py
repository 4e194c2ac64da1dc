"""How a `SharpnessAwareModel` is saved, made again and exported."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import keras

from keras_ccsam.pixels import PixelRecord
from keras_ccsam.sharpness.method import SharpnessMethod
from keras_ccsam.terms import Term
from keras_ccsam.training.export import plain_model
from keras_ccsam.training.held_weights import held_config, hold_again
from keras_ccsam.training.sample_loss import SampleLoss
from keras_ccsam.training.step_parts import StepParts


class SavedModel(keras.Model):
    """The saving of a backbone, a head, a method and step parts."""

    backbone: keras.Layer
    head: keras.Layer
    sharpness: SharpnessMethod
    step_parts: StepParts
    terms: list[Term]
    weight_decay: float
    batch_norm_sync: str
    flat_step: bool | str
    decay_in_loss: bool
    sample_loss: SampleLoss | None
    built: bool
    pixels: PixelRecord | None
    _logit_scale: float | None
    _found: SimpleNamespace

    @property
    def logit_scale(self) -> float:
        """See the class."""
        if self._logit_scale is not None:
            return self._logit_scale
        loss = None if self.sample_loss is None else self.sample_loss.loss
        return float(getattr(loss, "scale", 1.0)) if getattr(loss, "takes_cosines", False) else 1.0

    @logit_scale.setter
    def logit_scale(self, scale: float) -> None:
        self._logit_scale = float(scale)

    def export_plain(self) -> keras.Model:
        """A functional Keras model of stock layers that loads where this package is not installed.

        A backbone of stock layers is shared, one with layers of `keras_ccsam.layers` copied, with
        spectrally normalised kernels in stock layers. One with low-rank factors is copied with the
        sums as its kernels. The head's weights are copied. A `heads.Cosine` becomes
        unit-normalised features and a `Dense` with normalised columns.

        Raises:
            ValueError: if the backbone is not a functional or sequential model.
        """
        return plain_model(self.backbone, self.head, self.logit_scale)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; of step parts those that can be saved."""
        scale = {} if self._logit_scale is None else {"logit_scale": self._logit_scale}
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "head": keras.saving.serialize_keras_object(self.head),
            "sharpness": keras.saving.serialize_keras_object(self.sharpness),
            "weight_decay": self.weight_decay,
            **({} if self.flat_step == "auto" else {"flat_step": self.flat_step}),
            **({"batch_norm_sync": "replica"} if self.batch_norm_sync == "replica" else {}),
            "decay_in_loss": self.decay_in_loss,
            **self.step_parts.get_config(),
            **_terms_config(self.terms),
            **held_config(self.backbone),
            **scale,
            **({} if self.pixels is None else {"pixels": self.pixels.to_dict()}),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """A model of the same parts, with fresh weights."""
        config = dict(config)
        missing, scale = config.pop("missing_step_parts", ()), config.pop("logit_scale", None)
        held = config.pop("held", None)
        pixels = PixelRecord.from_dict(config.pop("pixels", None))
        for part in ("backbone", "head", "sharpness", "step_parts", "terms"):
            if isinstance(config.get(part), (dict, list)):
                config[part] = keras.saving.deserialize_keras_object(
                    config[part], custom_objects=custom_objects
                )
        if held is not None:
            hold_again(config["backbone"], held)
        model = cls(**config)
        model.step_parts.lacks(missing)
        model.pixels = pixels
        if scale is not None:
            model.logit_scale = scale
        return model

    def get_compile_config(self) -> Any:
        """Keras' own, but with the compiler left to the backend that loads the file.

        A model saved under JAX would otherwise switch torch.compile on.
        """
        config = super().get_compile_config()
        if config:
            config["jit_compile"] = "auto"
        return config

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the saved model was, with the optimizer's variables ready to be loaded."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built and self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)


def _terms_config(terms: Sequence[Term]) -> dict[str, Any]:
    if not terms:
        return {}
    return {"terms": [keras.saving.serialize_keras_object(term) for term in terms]}
