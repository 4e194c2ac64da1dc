"""Room for a run where another one lies that is of no more use."""

from pathlib import Path
from typing import Literal

from keras_ccsam.runs import lock


def set_aside(path: Path, why: Literal["incomplete", "damaged"] = "incomplete") -> Path | None:
    """Rename what a run left, so that its place is free and nothing is lost; return the new path.

    Raises:
        ValueError: another process trains in it.
    """
    if not path.exists():
        return None
    if (other := lock.holder(path)) is not None:
        raise ValueError(
            f"another process ({other}) trains this run; let it end. Received: run={str(path)!r}"
        )
    count = 1
    while (aside := path.with_name(f"{path.name}.{why}-{count}")).exists():
        count += 1
    path.rename(aside)
    return aside
