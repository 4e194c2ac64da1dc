"""What a sample's loss is: one table a loss of `keras_ccsam.losses`."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from keras_ccsam.recipes.schema_base import Table


class CrossEntropy(Table):
    """Softmax cross-entropy."""

    name: Literal["cross_entropy"] = "cross_entropy"


class Focal(Table):
    """Focal loss (Lin et al., 2017)."""

    name: Literal["focal"] = "focal"
    gamma: float = Field(2.0, ge=0, description="of (1 - p_y)^gamma (paper: 2)")


class ClassBalanced(Table):
    """Weights of the effective number of samples (Cui et al., 2019)."""

    name: Literal["class_balanced"] = "class_balanced"
    beta: float = Field(0.9999, ge=0, lt=1, description="of (1 - beta) / (1 - beta^n) (field)")
    gamma: float = Field(0.0, ge=0, description="above 0: on the focal loss (CB-focal)")


class LogitAdjustment(Table):
    """Logit adjustment (Menon et al., 2021); tau = 1 is balanced softmax (Ren et al., 2020)."""

    name: Literal["logit_adjustment"] = "logit_adjustment"
    tau: float = Field(1.0, ge=0, description="of z + tau log pi (paper: 1)")


class VectorScaling(Table):
    """VS loss: logits scaled and shifted by class (Kini et al., 2021)."""

    name: Literal["vector_scaling"] = "vector_scaling"
    gamma: float = Field(0.3, ge=0, description="of (n_max / n_c)^gamma (paper: 0.3)")
    tau: float = Field(1.0, ge=0, description="of tau log pi (paper: 1)")


class LabelAwareSmoothing(Table):
    """Label smoothing, more of it for the frequent classes (MiSLAS, 2021)."""

    name: Literal["label_aware_smoothing"] = "label_aware_smoothing"
    head: float = Field(0.3, ge=0, lt=1, description="of the largest class (code: 0.3 CIFAR-10)")
    tail: float = Field(0.0, ge=0, lt=1, description="of the smallest class (code: 0)")
    shape: Literal["concave", "linear", "convex", "exponential"] = Field(
        "concave", description="between them (code: concave)"
    )


class Ldam(Table):
    """Label-distribution-aware margins on cosines (Cao et al., 2019)."""

    name: Literal["ldam"] = "ldam"
    max_margin: float = Field(0.5, ge=0, lt=2, description="of the rarest class (code: 0.5)")
    scale: float = Field(30.0, gt=0, description="s, on the cosines (code: 30)")


class Gcl(Table):
    """Gaussian clouded logits on cosines (Li et al., CVPR 2022)."""

    name: Literal["gcl"] = "gcl"
    amplitude: float = Field(0.5, ge=0, description="of the cloud (code: 0.5 on CIFAR)")
    margin: float = Field(0.0, ge=0, lt=2, description="m (code: 0 in stage 1, 0.1 in stage 2)")
    scale: float = Field(30.0, gt=0, description="s, on the cosines (code: 30; 20 in stage 2)")
    focal: float = Field(0.0, ge=0, description="power of (1 - p_y) (code: 0; 1 in stage 2)")


Loss: TypeAlias = Annotated[
    CrossEntropy
    | Focal
    | ClassBalanced
    | LogitAdjustment
    | VectorScaling
    | LabelAwareSmoothing
    | Ldam
    | Gcl,
    Field(discriminator="name"),
]
# These own the scale of the cosines that they take.
ON_COSINES = ("ldam", "gcl")
