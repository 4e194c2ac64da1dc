"""How large a reproduction is.

It imports the standard library alone: the command line asks it before Keras is imported.
"""

from difflib import get_close_matches

SCALES = ("tiny", "small", "full")


def check_scale(scale: str) -> None:
    """Refuse an unknown scale.

    Raises:
        ValueError: with the closest one.
    """
    if scale not in SCALES:
        close = get_close_matches(scale, SCALES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise ValueError(f"`scale` must be one of {', '.join(SCALES)}{hint} Received: {scale=}")
