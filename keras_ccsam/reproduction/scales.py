"""How large a reproduction is.

It needs the standard library alone: the command line asks it before Keras is imported.
"""

from keras_ccsam.hints import did_you_mean

SCALES = ("tiny", "small", "full")


def check_scale(scale: str) -> None:
    """Refuse an unknown scale.

    Raises:
        ValueError: with the closest one.
    """
    if scale not in SCALES:
        hint = did_you_mean(scale, SCALES) or "."
        raise ValueError(f"`scale` must be one of {', '.join(SCALES)}{hint} Received: {scale=}")


def setting(data: str, scale: str) -> str:
    """The setting of `recipes` that a published dataset is trained with at a scale."""
    return {"tiny": "digits-lt", "small": f"{data}-small", "full": data}[scale]


def ratio(published: float, scale: str) -> str:
    """The imbalance ratio that stands for a published one, as an override.

    The digits' largest class has 128 images: a ratio of 200 would empty the smallest.
    """
    return f"data.imbalance_ratio={published / (2 if scale == 'tiny' else 1):g}"
