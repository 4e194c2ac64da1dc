"""What the schedules share: the type of a rate, and the check of a number of steps."""

import keras


def rate_dtype() -> str:
    """Rates span five decades: half precision is not enough, whatever the default float is."""
    return "float64" if keras.config.floatx() == "float64" else "float32"


def whole(name: str, value: float, least: int) -> int:
    """`value` as an integer.

    Raises:
        ValueError: if it is not a whole number of at least `least`.
    """
    if isinstance(value, bool) or not float(value).is_integer() or value < least:
        raise ValueError(
            f"`{name}` must be a whole number of at least {least}. Received: {name}={value}"
        )
    return int(value)
