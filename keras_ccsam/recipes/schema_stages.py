"""The two stages of a run, and what may be done to a trained model without training."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, create_model

from keras_ccsam.callbacks import DeferredReweighting, StartTranslation, WeightAveraging
from keras_ccsam.closed_table import Table
from keras_ccsam.data.batches.samplers import TrainingSampler
from keras_ccsam.declare import choose, columns
from keras_ccsam.losses import balanced_class_weight
from keras_ccsam.m2m import MajorToMinor
from keras_ccsam.models import spectrally_normalize
from keras_ccsam.options import options
from keras_ccsam.recipes.schema_base import Boundaries, Epochs, Positive
from keras_ccsam.recipes.slots import (
    Augmentations,
    Callbacks,
    Loss,
    Method,
    Terms,
    Views,
    augmentations,
)
from keras_ccsam.schedules.start import FIRST_DROP, Start
from keras_ccsam.second_stage import Retraining
from keras_ccsam.second_stage.retraining_rates import stage2_sgd


def _declared(name: str, *makes: Callable[..., Any]) -> Any:
    """A table of what classes and functions declare: ranges, defaults and explanations."""
    fields = {key: field for make in makes for key, field in columns(make).items()}
    return create_model(name, __base__=Table, **fields)


_ClassWeight: Any = _declared("_ClassWeight", balanced_class_weight)
_Reweight: Any = _declared("_Reweight", DeferredReweighting)
_Average: Any = _declared("_Average", WeightAveraging)
_Translate: Any = _declared("_Translate", StartTranslation, MajorToMinor)
_SpectralNorm: Any = _declared("_SpectralNorm", spectrally_normalize)


class ClassWeight(_ClassWeight):
    """Keras' class weights, from the class counts, in every epoch of stage 1."""


class Reweight(_Reweight):
    """Deferred re-weighting: class weights from an epoch on (LDAM-DRW)."""


class Resample(Table):
    """Deferred re-sampling: another sampler from an epoch on."""

    start: Start = Field(
        FIRST_DROP, description="share of the epochs, or an epoch from 0 on (code: 160 of 200)"
    )
    sampler: TrainingSampler = Field(
        "inverse_frequency", description="how batches are drawn from then on"
    )


class Average(_Average):
    """Stochastic weight averaging over the end of a stage, at a constant learning rate."""

    lr: float = Field(
        0.05, gt=0, description="constant rate of the averaged epochs (paper: 'high', not given)"
    )


class Translate(_Translate):
    """M2m: frequent classes' images translated into rare classes' (Kim et al., CVPR 2020)."""

    helper: str = Field(
        "", description="finished run whose network guides; empty: cross-entropy is trained first"
    )


class SpectralNorm(_SpectralNorm):
    """Kernels of the backbone divided by their largest singular value (appendix C.2)."""


class Stage1(Table):
    """Representation learning: the whole network on instance-sampled batches."""

    epochs: Epochs = Field(200, description="passes over the training set (paper: 200)")
    batch_size: Positive = Field(64, description="images (paper: 64, field: 128)")
    lr: float = Field(0.1, gt=0, description="peak learning rate of SGD (field: 0.1)")
    head_lr_factor: float | None = Field(
        None,
        gt=0,
        description="the head learns at this many times the rate of the backbone; absent: once",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD (field: 0.9)")
    nesterov: bool = Field(False, description="Nesterov's form of momentum (field: no)")
    weight_decay: float = Field(
        2e-4, ge=0, description="torch's: wd * w joins the gradient before momentum (field: 2e-4)"
    )
    decay_in_loss: bool = Field(
        False,
        description="weight decay as a part of the loss, and so of an ascent (code of SAM and GNP: "
        "yes; field: no)",
    )
    clip_norm: float = Field(0.0, ge=0, description="bound on the gradient's global norm; 0: none")
    warmup_epochs: int = Field(
        5, ge=0, le=1_000_000, description="epochs of linear warm-up (field: 5)"
    )
    warmup_start: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of lr that the warm-up departs from (field: 0, CC-SAM's code: 1/3)",
    )
    decay: Literal["step", "cosine", "constant"] = Field(
        "step", description="what the rate does after the warm-up (field: step)"
    )
    boundaries: Boundaries = Field(
        (0.8, 0.9),
        description="where a step decay falls: epochs, or below 1 shares of all epochs (paper: "
        "160 and 180 of 200)",
    )
    decay_lead: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="epochs by which each step decay comes early (CC-SAM's code: 1, as its "
        "schedule advances before each epoch)",
    )
    factor: float = Field(0.1, gt=0, le=1, description="of each step decay (paper: 0.1)")
    mixup: float = Field(0.0, ge=0, description="alpha of mixup, one lambda per batch; 0: none")
    cutmix: float = Field(0.0, ge=0, description="alpha of CutMix, one box per batch; 0: none")
    cutmix_share: float = Field(
        0.5, ge=0, le=1, description="with mixup and CutMix, the share of batches that is cut"
    )
    mix_probability: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of the batches that is mixed (CutMix paper: 0.5 CIFAR, 1 ImageNet)",
    )
    views: Views | None = Field(
        None, description="what a batch shows of each image; absent: the image, mixed or not"
    )
    augment: Augmentations = Field(
        "default",
        description='"default" (crop and flip for colour images), or a list of names or of tables '
        "with a name and options",
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="Keras dtype policy"
    )
    batch_norm_sync: Literal["global", "replica"] = Field(
        "global",
        description="on several devices, whose statistics BatchNorm takes: those of the whole "
        "batch, or of each device's own rows",
    )
    flat_step: bool | Literal["auto"] = Field(
        "auto",
        description="on PyTorch: a step is one flat program; auto: where all of it is of Keras or "
        "of this package",
    )
    sampler: TrainingSampler = Field(
        "instance", description="how batches are drawn (field: instance)"
    )
    loss: Loss = Field(choose("loss", "cross_entropy"), description="of a sample")
    method: Method = Field(
        choose("sharpness", "erm"), description="how a step's gradient is formed"
    )
    terms: Terms | None = Field(
        None,
        description="added to the loss; absent: none; a list of tables with a name and options",
    )
    class_weight: Literal["auto"] | ClassWeight | None = Field(
        None,
        description='absent: all samples count the same; "auto": the classes are balanced, '
        "w_c = N / (C n_c); a table says how far",
    )
    reweight: Reweight | None = Field(None, description="absent: no class weights")
    resample: Resample | None = Field(None, description="absent: one sampler throughout")
    average: Average | None = Field(None, description="absent: the last weights count")
    translate: Translate | None = Field(None, description="absent: images stay of their class")
    callbacks: Callbacks | None = Field(
        None, description="absent: none but those above; a list of tables with a name and options"
    )

    def boundary_epochs(self) -> tuple[float, ...]:
        """Where the step decay falls, in (fractional) epochs; empty without one."""
        if self.decay != "step":
            return ()
        epochs = (x * self.epochs if isinstance(x, float) else float(x) for x in self.boundaries)
        return tuple(max(x - self.decay_lead, 0.0) for x in epochs)


_Retraining: Any = _declared("_Retraining", Retraining, stage2_sgd)


class Stage2(_Retraining):
    """Classifier re-training on class-balanced batches with the backbone frozen."""

    augment: Literal["stage1"] | Augmentations = Field(
        (),
        description='as in stage 1; "stage1": what stage 1 has (code); none: cached features, '
        "where batch_norm is frozen",
    )
    loss: Loss | None = Field(None, description="of a sample; absent: that of stage 1")
    decay: Literal["constant", "cosine"] = Field(
        "constant", description="what the rate does (paper: constant; decoupling, MiSLAS: cosine)"
    )
    average: Average | None = Field(None, description="absent: the last weights count")
    callbacks: Callbacks | None = Field(None, description="absent: none; as in stage 1")

    def retraining(self, first: Stage1, **given: Any) -> Retraining:
        """The stage without what only a recipe has.

        Args:
            first: stage 1.
            **given: of `Retraining`: what a run makes of `loss`, `lr`, `decay` and `momentum`.

        Raises:
            ValueError: if two options exclude each other.
        """
        chosen = {name: getattr(self, name) for name in options(Retraining)}
        changes = first.augment if self.augment == "stage1" else self.augment
        return Retraining(**{**chosen, "augment": augmentations(changes)}, **given)
