"""Where in a training a state was taken, and whether a training can be gone on with there."""

from collections.abc import Mapping
from typing import Any

KIND, FORMAT = "training state", 1

BEFORE, WITHIN, AFTER = "before", "within", "after"
"""Before an epoch; in one, some or all of whose steps are done; after the last one."""


def words(place: Mapping[str, Any]) -> str:
    """Say it, with the epochs counted from 1."""
    if place["where"] == AFTER:
        return f"the end of epoch {place['epoch']}"
    if place["where"] == BEFORE or not place["steps"]:
        return f"the beginning of epoch {place['epoch'] + 1}"
    return f"epoch {place['epoch'] + 1}, after step {place['steps']}"


def why_not(
    facts: Mapping[str, Any], about: Mapping[str, Any], params: Mapping[str, Any]
) -> str | None:
    """Why a state is none to go on from; None if it is one.

    Args:
        facts: of the state.
        about: what it must be of.
        params: of the callback: the epochs with which `fit` ends, and the steps of one.
    """
    if facts.get("kind") != KIND:
        return "is none of a training"
    if facts.get("format") != FORMAT:
        return f"is of version {facts.get('format')} of the format, and {FORMAT} is known here"
    for key in dict.fromkeys([*about, *facts["about"]]):
        saved, now = facts["about"].get(key), about.get(key)
        if saved != now and key == "begins":
            return "is of other data, by their sizes, their first images, labels or seed"
        if saved != now:
            return f"is of {key}={saved!r}, and this one of {key}={now!r}"
    place, epochs, steps = facts["place"], params["epochs"], params.get("steps")
    last = epochs if place["where"] == AFTER else epochs - 1
    if place["epoch"] > last:
        return f"is at {words(place)}, and fit ends before, with epochs={epochs}"
    if place["where"] == AFTER and place["epoch"] < epochs:
        return f"is at {words(place)}, where the training ended, and fit has epochs={epochs}"
    # Between two epochs either may not know yet how many steps there are.
    known = place["where"] == WITHIN or None not in (place["of"], steps)
    if known and place["of"] != steps:
        return f"is of data with {place['of']} steps in an epoch, and this has {steps}"
    return None
