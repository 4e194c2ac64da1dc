"""How a long tail is asked for: options that `load`, `outline`, `from_arrays` and recipes share."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from keras_ccsam.options import options

Ratio: TypeAlias = Annotated[float, Field(ge=1)]
Profile: TypeAlias = Literal["exponential", "step"]
Protocol: TypeAlias = Literal["ldam", "ccsam", "seeded", "first_n"]


@dataclass(frozen=True)
class Tail:
    """Which images of a set are kept, and which of those validate.

    Attributes:
        imbalance_ratio: largest class count over the smallest, at least 1; `None` keeps every
            training image of the source.
        profile: `"exponential"` or `"step"` (`profiles.profile_counts`).
        protocol: which images are kept: `"ldam"`, `"ccsam"`, `"seeded"` or `"first_n"`
            (`subset.draw_subset`).
        seed: of the protocol `"seeded"` and of the splits.
        validation_fraction: share of each class cut from train for validation, in [0, 1).
    """

    imbalance_ratio: Annotated[
        Ratio | None,
        Field(
            description="largest class count over smallest, no unit (field: 10 to 200); "
            '"none": every image, with the tail that the dataset has'
        ),
    ] = 100.0
    profile: Annotated[
        Profile, Field(description="shape of the class counts (field: exponential)")
    ] = "exponential"
    protocol: Annotated[
        Protocol,
        Field(
            description="which images of a class are kept (field: LDAM-DRW's legacy seed 0; "
            "CC-SAM's code: seed 42)"
        ),
    ] = "ldam"
    seed: Annotated[
        int,
        Field(ge=0, lt=2**32, description='seed of the images kept, used by protocol "seeded"'),
    ] = 0
    validation_fraction: Annotated[
        float,
        Field(ge=0, lt=1, description="share of each training class cut off for validation"),
    ] = 0.0

    def check(self, largest: int | None = None) -> None:
        """Refuses options outside their ranges.

        Args:
            largest: images of the largest class, where it is known, for the message.

        Raises:
            ValueError: says what would be right.
        """
        if self.imbalance_ratio is not None:
            check_ratio(self.imbalance_ratio, largest)
        for option, value in self.settings.items():
            if option != "imbalance_ratio":
                check_option(option, value)

    @property
    def settings(self) -> dict[str, Any]:
        """All options by name, as plain values."""
        return dataclasses.asdict(self)


def check_option(option: str, value: Any, name: str | None = None) -> Any:
    """The value of one of `Tail`'s options, in the option's own type.

    Args:
        option: its name, such as "profile".
        value: what was given for it.
        name: what the message calls it, where that is another.

    Raises:
        ValueError: for one outside the option's range.
    """
    return dataclasses.replace(options(Tail)[option], name=name or option).checked(value)


def check_ratio(imbalance_ratio: float, n_max: int | None = None) -> None:
    """Refuses a ratio that is no finite number of at least 1.

    Args:
        imbalance_ratio: the value to check.
        n_max: images of the largest class, for the message.

    Raises:
        ValueError: says what would be right.
    """
    is_number = isinstance(imbalance_ratio, int | float) and not isinstance(imbalance_ratio, bool)
    if is_number and math.isfinite(imbalance_ratio) and imbalance_ratio >= 1:
        return
    largest = "" if n_max is None else f" to {n_max}, the largest that leaves every class an image"
    hint = ""
    if is_number and 0 < imbalance_ratio < 1:
        hint = (
            f" (an imbalance factor of {imbalance_ratio} is imbalance_ratio="
            f"{1 / imbalance_ratio:g})"
        )
    raise ValueError(
        "imbalance_ratio is the largest class count over the smallest: a number from 1 (balanced)"
        f"{largest}{hint}. Received: imbalance_ratio={imbalance_ratio!r}"
    )
