"""What a recipe may say: one field per choice, each with its unit and where its default comes from.

A recipe names everything that determines a run. Sources: "paper" is CC-SAM (Zhou et al., CVPR 2023)
with its appendix, or the paper that a table names; "code" the released implementation; "field" the
CIFAR protocol that long-tailed papers share (LDAM-DRW, MiSLAS, GCL).
"""

import hashlib
import json
from pathlib import PurePath
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import BaseModel, Field, ValidationError, create_model

from keras_ccsam import metrics
from keras_ccsam.callbacks.on_nonfinite import OnNonfinite
from keras_ccsam.closed_table import Table
from keras_ccsam.data.sources.recognise import KINDS
from keras_ccsam.data.tails.tail import Ratio, Tail
from keras_ccsam.declare import choose, columns, find, table
from keras_ccsam.options import options
from keras_ccsam.recipes import toml
from keras_ccsam.recipes.consistency import check, check_frozen, doubts
from keras_ccsam.recipes.errors import explain
from keras_ccsam.recipes.schema_base import Seed
from keras_ccsam.recipes.schema_stages import SpectralNorm, Stage1, Stage2
from keras_ccsam.recipes.slots import Backbone, Declared, Head, Posthoc, Tuning

# TOML has no null: every image is asked for as "none".
_RATIO = options(Tail)["imbalance_ratio"]
_Data: Any = create_model(
    "_Data",
    __base__=Table,
    name=(str, Field("digits-lt", description="dataset, as `ccsam data list` prints them")),
    **columns(Tail)
    | {
        "imbalance_ratio": (
            Annotated[Ratio | Literal["none"], Field(description=_RATIO.description)],
            _RATIO.default,
        )
    },
    path=(str, Field("", description="local file or folder; empty: the dataset's own source")),
)
_Thresholds: Any = create_model("_Thresholds", __base__=Table, **columns(metrics.Thresholds))


class Data(_Data):
    """Which images: a dataset, how long its tail is, and which of its images are kept.

    A dataset's own options, where it declares some, are beside these.
    """

    @classmethod
    def of_digits(cls) -> Self:
        """The default: the embedded digits."""
        return table(find("data", "digits-lt"), cls).model_validate({})


class Model(Table):
    """Which network."""

    backbone: Backbone = Field(
        choose("backbone", "small_cnn"), description="images to features (paper: resnet32)"
    )
    head: Head = Field(
        choose("head", "dense"),
        description="classifier on the features (paper: linear with bias)",
    )
    spectral_norm: SpectralNorm | None = Field(None, description="absent: kernels as they are")
    weights: str | None = Field(
        None, min_length=1, description="local file of the backbone's weights; absent: its own"
    )
    train: Tuning | None = Field(
        None, description="which of the backbone's weights are trained; absent: all"
    )


Source: TypeAlias = Annotated[Data, Declared("data", Data)]
Lines: TypeAlias = Annotated[tuple[str, ...], Field(strict=False)]


class Thresholds(_Thresholds):
    """Many/medium/few by class count."""

    rule: Literal["thresholds"] = "thresholds"


class Thirds(Table):
    """Many/medium/few as the first, middle and last third of the classes, by count."""

    rule: Literal["thirds"] = "thirds"


Groups: TypeAlias = Annotated[Thresholds | Thirds, Field(discriminator="rule")]


class Recipe(Table):
    """Everything a run needs."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="used in folder names")
    setting: str = Field("digits-lt", description="the dataset's protocol that it was made with")
    variant: Literal[
        "paper", "published", "recommended", "recommended: the authors' values", "default"
    ] = Field(
        "default",
        description="what the paper says, what its released code does, what we recommend (the "
        "authors' values where nothing better was measured here), or a recipe of one's own",
    )
    description: str = Field("", description="what it is, one line")
    source: str = Field("", description="where it is from, one line")
    readings: Lines = Field((), description="what no source says: our own readings and choices")
    differs: Lines = Field((), description="of a published one: what the code does and this not")
    note: str = Field("", description="what a user should know before relying on it")
    seed: Seed = Field(0, description="of weights, batches and augmentation")
    on_nonfinite: Literal["raise", "skip", "rollback"] = Field(
        "raise", description=options(OnNonfinite)["action"].description
    )
    data: Source = Field(Data.of_digits(), description="which images")
    model: Model = Field(Model.model_validate({}), description="which network")
    stage1: Stage1 = Field(Stage1.model_validate({}), description="representation learning")
    stage2: Stage2 | None = Field(None, description="absent: the run ends after stage 1")
    posthoc: Posthoc | None = Field(None, description="absent: the trained model is not changed")
    groups: Groups = Field(Thresholds.model_validate({}), description="how accuracy is split")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Recipe":
        """Validate a nested mapping.

        Raises:
            ValueError: one line with the key, its value, and what would be right.
        """
        if not isinstance(values, dict):
            kind = type(values).__name__
            raise ValueError(f"a recipe is a table of keys and values. Received: a {kind}")
        try:
            recipe = cls.model_validate(values)
        except ValidationError as error:
            raise ValueError(explain(error, cls, values)) from None
        _check_nulls(recipe, "")
        check(
            recipe.stage1,
            recipe.stage2,
            recipe.posthoc,
            recipe.model.head,
            recipe.data.validation_fraction,
        )
        spectral = recipe.model.spectral_norm is not None
        check_frozen(recipe.model.train, recipe.stage2, spectral)
        return recipe

    @classmethod
    def from_toml(cls, text: str, source: str = "recipe") -> "Recipe":
        """Read a complete recipe, as `to_toml` writes it, without any defaults of a dataset.

        Raises:
            ValueError: `text` is no TOML, or no valid recipe.
        """
        return cls.from_dict(toml.parse(text, source))

    def to_dict(self) -> dict[str, Any]:
        """Return every field as plain Python values; an absent table has no key."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_toml(self) -> str:
        """Write every field, defaults included; `from_toml` gives an equal recipe back."""
        return toml.dump(self.to_dict())

    @property
    def data_shown(self) -> str:
        """The dataset's name, below that of a setting of it: `cifar10-lt-small (cifar10-lt)`.

        Of files of one's own it is the path's last part and what it holds: `photos (folder)`.
        """
        if self.data.name in KINDS and self.data.path:
            return f"{PurePath(self.data.path).name} ({self.data.name})"
        of_it = self.setting.startswith(f"{self.data.name}-")
        return f"{self.setting} ({self.data.name})" if of_it else self.data.name

    def digest(self) -> str:
        """Return 16 hex digits of everything that can change a number in the results."""
        return _digest(
            self.to_dict(), ("data", "model", "stage1", "stage2", "posthoc", "seed", "groups")
        )

    def stage1_digest(self) -> str:
        """Return 16 hex digits of everything that determines the weights after stage 1."""
        return _digest(self.to_dict(), ("data", "model", "stage1", "seed"))

    def warnings(self) -> tuple[str, ...]:
        """Return what is allowed but probably not meant."""
        return doubts(self.stage1, self.stage2, self.posthoc, self.model.head)


def _check_nulls(table: BaseModel, place: str) -> None:
    """Refuse a None that would be lost when the recipe is written, as TOML has no null."""
    for key, value in table:
        if isinstance(value, BaseModel):
            _check_nulls(value, f"{place}{key}.")
        elif value is None:
            field = type(table).model_fields.get(key)
            if field is None or field.default is not None:
                raise ValueError(
                    f'{place}{key} is no null, which TOML has not: leave it out, or say "none" '
                    f"where it takes that. Received: {place}{key}=None"
                )


def _digest(values: dict[str, Any], keys: tuple[str, ...]) -> str:
    content = {key: values.get(key) for key in keys}
    # A run that was not stopped has the same numbers with "raise" as before there was a choice.
    if values["on_nonfinite"] != "raise":
        content["on_nonfinite"] = values["on_nonfinite"]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]
