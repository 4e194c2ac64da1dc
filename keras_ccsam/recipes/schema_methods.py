"""How a step's gradient is formed: one table a method of `keras_ccsam.sharpness`."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from keras_ccsam.recipes.schema_base import Table


class Erm(Table):
    """Plain empirical risk minimisation."""

    name: Literal["erm"] = "erm"


class Sam(Table):
    """Sharpness-aware minimisation: one ascent step over all weights (Foret et al., 2021)."""

    name: Literal["sam"] = "sam"
    rho: float = Field(0.05, ge=0, description="radius, in units of the weights (SAM paper: 0.05)")


class Asam(Table):
    """Adaptive SAM: the radius scales with each weight (Kwon et al., 2021)."""

    name: Literal["asam"] = "asam"
    rho: float = Field(0.5, ge=0, description="radius relative to the weights (ASAM paper: 0.5)")


class ClassConditional(Table):
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
    batch_norm: Literal["literal", "clean"] = Field(
        "literal",
        description="beyond the head: statistics of each perturbed pass, or those of the clean one",
    )


class GradientNorm(Table):
    """Gradient-norm penalty (Zhao et al., 2022)."""

    name: Literal["gradient_norm"] = "gradient_norm"
    radius: float = Field(0.1, ge=0, description="r of the finite difference (code: 0.1)")
    share: float = Field(0.8, ge=0, le=1, description="alpha, penalty over r (code: 0.8)")
    variant: Literal["equation", "published"] = Field(
        "equation", description="what alpha is mixed with: g, or as the code has it g / |g|"
    )


class Gaussian(Table):
    """Model perturbation: the gradient at weights moved by Gaussian noise (appendix C.3)."""

    name: Literal["gaussian"] = "gaussian"
    norm: float = Field(1e-3, ge=0, description="of the noise, in units of the weights (paper C.3)")
    perturb: str = Field(
        "head", min_length=1, description='"head", "all" or a regex on weight paths (paper: head)'
    )


class ImbSam(Table):
    """Imbalanced SAM: sharpness of the tail classes alone (Zhou et al., ICCV 2023)."""

    name: Literal["imbsam"] = "imbsam"
    rho: float = Field(0.05, ge=0, description="radius, in units of the weights (code: 0.05)")
    threshold: int = Field(
        20, ge=0, description="images; a class with fewer is of the tail (code: 20 on CIFAR-100)"
    )
    tail_weight: float = Field(2.0, gt=0, description="factor on the tail's loss (code: 2)")


class FocalSam(Table):
    """Focal-SAM: sharpness weighted by class, more for the rare (ICML 2025)."""

    name: Literal["focal_sam"] = "focal_sam"
    rho: float = Field(0.2, ge=0, description="radius (code: 0.2 CIFAR-10, 0.3 CIFAR-100)")
    gamma: float = Field(3.0, ge=0, description="of (1 - pi_c)^gamma (code: 3.0, 3.2)")
    strength: float = Field(0.5, ge=0, description="lambda (code: 0.5 CIFAR-10, 0.8 CIFAR-100)")
    adaptive: bool = Field(False, description="ASAM's scale-invariant ascent (code: option)")


Method: TypeAlias = Annotated[
    Erm | Sam | Asam | ClassConditional | GradientNorm | Gaussian | ImbSam | FocalSam,
    Field(discriminator="name"),
]
