"""What a recipe may say: one field a choice, each with its unit and where its default comes from.

A recipe names everything that determines a run. Sources: "paper" is CC-SAM (Zhou et al., CVPR 2023)
with its appendix, "code" its released implementation, "field" the CIFAR protocol that long-tailed
papers share (LDAM-DRW, MiSLAS, GCL).
"""

import hashlib
import itertools
import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from keras_ccsam.data import SAMPLERS
from keras_ccsam.recipes import toml
from keras_ccsam.recipes.errors import explain

Scalar: TypeAlias = str | bool | int | float
Names: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]
Augmentation: TypeAlias = Literal["default"] | Names
Positive: TypeAlias = Annotated[int, Field(ge=1)]
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]

_AUGMENTATIONS = ("crop", "flip", "cutout")
_SAMPLERS = tuple(name for name in SAMPLERS if name != "sequential")  # that one is for evaluation


class _Table(BaseModel):
    """A closed table: an unknown key is an error, and a value never changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class _Stage(_Table):
    @field_validator("augment", check_fields=False)
    @classmethod
    def _known_augmentations(cls, value: Augmentation) -> Augmentation:
        if value != "default" and not set(value) <= set(_AUGMENTATIONS):
            raise ValueError(f"must be a list of names of {', '.join(_AUGMENTATIONS)}")
        return value


class Data(_Table):
    """Which images: a dataset, how long its tail is, and which of its images are kept."""

    name: str = Field("digits-lt", description="dataset, as `ccsam data list` prints them")
    imbalance_ratio: float = Field(
        100.0, ge=1, description="largest class count over smallest, no unit (field: 10 to 200)"
    )
    profile: Literal["exponential", "step"] = Field(
        "exponential", description="shape of the class counts (field: exponential)"
    )
    protocol: Literal["ldam", "seeded", "first_n"] = Field(
        "ldam", description="which images of a class are kept (field: LDAM-DRW's legacy seed)"
    )
    seed: Seed = Field(0, description='seed of the images kept, used by protocol "seeded"')
    path: str = Field("", description="local file or folder; empty: the dataset's own source")
    validation_fraction: float = Field(
        0.0, ge=0, lt=1, description="share of each training class cut off for validation"
    )


class Model(_Table):
    """Which network."""

    backbone: str = Field("small_cnn", description="name that models.build knows (paper: resnet32)")
    head: Literal["dense", "cosine"] = Field(
        "dense", description="classifier on the features (paper: linear with bias)"
    )
    scale: float = Field(16.0, gt=0, description="logit scale of the cosine head, no unit")
    options: dict[str, Scalar | Annotated[tuple[Scalar, ...], Field(strict=False)]] = Field(
        default_factory=dict, description="keyword arguments of the backbone's builder"
    )


class Erm(_Table):
    """Plain empirical risk minimisation."""

    name: Literal["erm"] = "erm"


class Sam(_Table):
    """Sharpness-aware minimisation: one ascent step over all weights (Foret et al., 2021)."""

    name: Literal["sam"] = "sam"
    rho: float = Field(0.05, ge=0, description="radius, in units of the weights (SAM paper: 0.05)")


class Asam(_Table):
    """Adaptive SAM: the radius scales with each weight (Kwon et al., 2021)."""

    name: Literal["asam"] = "asam"
    rho: float = Field(0.5, ge=0, description="radius relative to the weights (ASAM paper: 0.5)")


class ClassConditional(_Table):
    """CC-SAM, stage 1: every class perturbs by its own radius."""

    name: Literal["class_conditional"] = "class_conditional"
    radius_scale: float = Field(
        1e-2, ge=0, description="r, factor on the characteristic radius (paper A.2: 1e-2)"
    )
    flat_ratio: float = Field(
        0.5, ge=0, le=1, description="share of the perturbed loss (code: 0.3 CIFAR-10, 0.5 -100)"
    )
    perturb: str = Field(
        "head", min_length=1, description='"head", "all" or a regex on weight paths (paper: head)'
    )


Method: TypeAlias = Annotated[Erm | Sam | Asam | ClassConditional, Field(discriminator="name")]


class Stage1(_Stage):
    """Representation learning: the whole network on instance-sampled batches."""

    epochs: Positive = Field(200, description="passes over the training set (paper: 200)")
    batch_size: Positive = Field(64, description="images (paper: 64, field: 128)")
    lr: float = Field(0.1, gt=0, description="peak learning rate of SGD (field: 0.1)")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD (field: 0.9)")
    nesterov: bool = Field(False, description="Nesterov's form of momentum (field: no)")
    weight_decay: float = Field(
        2e-4, ge=0, description="torch's: wd * w joins the gradient before momentum (field: 2e-4)"
    )
    clip_norm: float = Field(0.0, ge=0, description="bound on the gradient's global norm; 0: none")
    warmup_epochs: int = Field(5, ge=0, description="epochs of linear warm-up from 0 (field: 5)")
    decay: Literal["step", "cosine", "constant"] = Field(
        "step", description="what the rate does after the warm-up (field: step)"
    )
    boundaries: Annotated[tuple[int | float, ...], Field(strict=False)] = Field(
        (0.8, 0.9),
        description="where a step decay falls: epochs, or below 1 shares of all epochs (paper: "
        "160 and 180 of 200)",
    )
    factor: float = Field(0.1, gt=0, le=1, description="of each step decay (paper: 0.1)")
    mixup: float = Field(0.0, ge=0, description="alpha of mixup, one lambda a batch; 0: none")
    augment: Augmentation = Field(
        "default", description='"default" (crop and flip for colour images) or a list of names'
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="Keras dtype policy"
    )
    method: Method = Field(Erm.model_validate({}), description="how a step's gradient is formed")

    @field_validator("boundaries")
    @classmethod
    def _increasing(cls, value: tuple[int | float, ...]) -> tuple[int | float, ...]:
        shares = [isinstance(x, float) for x in value]
        if any(shares) and not all(shares):
            raise ValueError("must be all whole epochs or all shares below 1, not a mixture")
        if any(x <= 0 or (share and x >= 1) for x, share in zip(value, shares, strict=True)):
            raise ValueError("must be whole epochs from 1 on, or shares between 0 and 1")
        if any(b <= a for a, b in itertools.pairwise(value)):
            raise ValueError("must increase")
        return value

    @model_validator(mode="after")
    def _cosine_has_room(self) -> "Stage1":
        if self.decay == "cosine" and self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"must have more epochs ({self.epochs}) than warmup_epochs "
                f"({self.warmup_epochs}) for a cosine decay"
            )
        return self

    def boundary_epochs(self) -> tuple[float, ...]:
        """Where the step decay falls, in (fractional) epochs; empty without one."""
        if self.decay != "step":
            return ()
        return tuple(x * self.epochs if isinstance(x, float) else float(x) for x in self.boundaries)


class Stage2(_Stage):
    """Classifier re-training on class-balanced batches with the backbone frozen."""

    epochs: Positive = Field(30, description="passes over the training set (paper: 30)")
    adversarial: bool = Field(False, description="train on CC-SAM's adversarial features as well")
    strength: float = Field(1.0, ge=0, description="length of a class's feature step (code: 1)")
    radius_weights: bool = Field(
        True, description="scale that step by the class weight omega (code: yes)"
    )
    loss_weights: bool = Field(
        False,
        description="weight the adversarial loss by omega too (code: yes, and it collapses)",
    )
    alpha_max: float = Field(
        1.0, ge=0, le=1, description="cap of the adversarial share (code: 1 CIFAR-10, 0.3 -100)"
    )
    weight_divisor: float = Field(
        2.0, gt=0, description="div in omega = log(n_max / n_c + 0.01) / div (code: 2 on CIFAR)"
    )
    reinitialize_head: bool = Field(
        False, description="start from a new head (cRT paper: yes; CC-SAM, MiSLAS, GCL: no)"
    )
    batch_norm: Literal["frozen", "update"] = Field(
        "frozen", description="do BatchNorm statistics follow the balanced batches? (code: update)"
    )
    sampler: str = Field(
        "class_balanced", description="how batches are drawn (field: class-balanced)"
    )
    lr: float = Field(0.01, gt=0, description="constant learning rate of SGD (paper: 0.01)")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD (paper: 0.9)")
    weight_decay: float = Field(2e-4, ge=0, description="torch's, as in stage 1 (code: 2e-4)")
    augment: Names = Field(
        (), description="names; none: features are computed once (code: crop and flip)"
    )
    batch_size: int = Field(0, ge=0, description="images; 0: as in stage 1 (paper: 64)")

    @field_validator("sampler")
    @classmethod
    def _known_sampler(cls, value: str) -> str:
        if value not in _SAMPLERS:
            raise ValueError(f"must be one of {', '.join(_SAMPLERS)}")
        return value


class Thresholds(_Table):
    """Many/medium/few by class count."""

    rule: Literal["thresholds"] = "thresholds"
    many: Positive = Field(100, description="images; a class with more is a many-shot one (field)")
    few: Positive = Field(20, description="images; a class with fewer is a few-shot one (field)")
    inclusive: bool = Field(False, description=">= and <= in place of > and < (code: yes)")


class Thirds(_Table):
    """Many/medium/few as the first, middle and last third of the classes, by count."""

    rule: Literal["thirds"] = "thirds"


Groups: TypeAlias = Annotated[Thresholds | Thirds, Field(discriminator="rule")]


class Recipe(_Table):
    """Everything a run needs."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="used in folder names")
    setting: str = Field("digits-lt", description="the dataset's protocol that it was made with")
    variant: Literal["paper", "published", "default"] = Field(
        "default", description="the paper's formulas, its released code, or neither"
    )
    description: str = Field("", description="one line")
    note: str = Field("", description="what a user should know before relying on it")
    seed: Seed = Field(0, description="of weights, batches and augmentation")
    data: Data = Field(Data.model_validate({}), description="which images")
    model: Model = Field(Model.model_validate({}), description="which network")
    stage1: Stage1 = Field(Stage1.model_validate({}), description="representation learning")
    stage2: Stage2 | None = Field(None, description="absent: the run ends after stage 1")
    groups: Groups = Field(Thresholds.model_validate({}), description="how accuracy is split")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """Validate a nested mapping.

        Raises:
            ValueError: one line with the key, its value, and what would be right.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ValueError(explain(error, cls, values)) from None

    @classmethod
    def from_toml(cls, text: str, source: str = "recipe") -> "Recipe":
        """Read a complete recipe, as `to_toml` writes it, without any defaults of a dataset.

        Raises:
            ValueError: `text` is no TOML, or no valid recipe.
        """
        return cls.from_dict(toml.parse(text, source))

    def to_dict(self) -> dict[str, Any]:
        """Return every field as plain Python values; an absent stage 2 has no key."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_toml(self) -> str:
        """Write every field, defaults included; `from_toml` gives an equal recipe back."""
        return toml.dump(self.to_dict())

    def digest(self) -> str:
        """Return 16 hex digits of everything that can change a number in the results."""
        return _digest(self.to_dict(), ("data", "model", "stage1", "stage2", "seed", "groups"))

    def stage1_digest(self) -> str:
        """Return 16 hex digits of everything that determines the weights after stage 1."""
        return _digest(self.to_dict(), ("data", "model", "stage1", "seed"))

    def warnings(self) -> tuple[str, ...]:
        """Return what is allowed but probably not meant."""
        found = []
        if self.stage1.warmup_epochs >= self.stage1.epochs > 1:
            found.append(
                f"stage1.warmup_epochs={self.stage1.warmup_epochs} lasts longer than "
                f"stage1.epochs={self.stage1.epochs}: the learning rate never reaches its peak"
            )
        boundaries = self.stage1.boundary_epochs()
        if any(x >= self.stage1.epochs for x in boundaries):
            found.append(
                f"stage1.boundaries={list(self.stage1.boundaries)} reach beyond "
                f"stage1.epochs={self.stage1.epochs}: shares such as 0.8 follow the epochs"
            )
        if any(x < self.stage1.warmup_epochs < self.stage1.epochs for x in boundaries):
            found.append(
                f"stage1.boundaries={list(self.stage1.boundaries)} begin inside the warm-up of "
                f"{self.stage1.warmup_epochs} epochs: they take effect at its end"
            )
        return tuple(found)


def _digest(values: dict[str, Any], keys: tuple[str, ...]) -> str:
    content = {key: values.get(key) for key in keys}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
