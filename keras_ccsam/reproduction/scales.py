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


def check_protocol(protocol: str, scale: str, data: str | None) -> None:
    """Refuse the main protocol where there is none.

    Args:
        protocol: of the CC-SAM paper, "ablation" or "main".
        scale: of `SCALES`.
        data: a setting in place of the table's data, or None.

    Raises:
        ValueError: it is the main one, and the data is not CIFAR.
    """
    if protocol == "main" and (scale == "tiny" or data is not None):
        raise ValueError(
            "the main protocol is of CIFAR: at the scales small and full, with the table's own "
            f"data. Received: protocol={protocol!r}, scale={scale!r}, data={data!r}"
        )


def setting(data: str, scale: str, protocol: str = "ablation") -> str:
    """The setting of `recipes` that a published dataset is trained with at a scale.

    Args:
        data: as published.
        scale: of `SCALES`.
        protocol: of `recipes.known.PROTOCOLS`; one that `check_protocol` accepts.
    """
    found = {"tiny": "digits-lt", "small": f"{data}-small", "full": data}[scale]
    return f"{found}-main" if protocol == "main" else found


def ratio(published: float, scale: str) -> str:
    """The imbalance ratio that stands for a published one, as an override.

    The digits' largest class has 128 images: a ratio of 200 would empty the smallest.
    """
    return f"data.imbalance_ratio={published / (2 if scale == 'tiny' else 1):g}"
