"""What somebody may have meant: the closest of the names that there are.

It imports the standard library alone: the command line asks it before Keras is imported.
"""

import difflib
from collections.abc import Iterable


def closest(typed: object, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most like what was typed; None if none is.

    Args:
        typed: what the user wrote.
        known: the names that there are; of two that are as like, the first one is taken.
        cutoff: how alike they must be, from 0 (anything) to 1 (the same).
    """
    word, names = str(typed), list(dict.fromkeys(known))
    like = difflib.get_close_matches(word, names, n=max(1, len(names)), cutoff=cutoff)
    return max(
        (name for name in names if name in like),
        key=lambda name: difflib.SequenceMatcher(None, name, word).ratio(),
        default=None,
    )


def did_you_mean(typed: object, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`"; did you mean 'sam'?"`, or nothing where no known name is alike."""
    found = closest(typed, known, cutoff)
    return "" if found is None else f"; did you mean {found!r}?"


def plain(name: str) -> str:
    """A name by its letters and digits alone, whatever their case."""
    return "".join(character for character in name.lower() if character.isalnum())
