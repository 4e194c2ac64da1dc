"""Times as people say them.

It imports the standard library alone: the command line asks it before Keras is imported.
"""

import math
import re

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(seconds?|secs?|s|minutes?|mins?|m|hours?|h|days?|d)\s*")


def duration(seconds: float) -> str:
    """Return a time as people say it: `45 s`, `12 min`, `2 h 05 min`, `3 d 4 h`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


def seconds_of(text: str | float, name: str = "budget") -> float:
    """Return the seconds that `90s`, `30m`, `1h30m`, `2 hours` or a number of seconds stands for.

    Args:
        text: what a user wrote.
        name: the argument, for the error.

    Raises:
        ValueError: it is no time, or not above 0.
    """
    found = _parsed(text)
    if found is None or not 0 < found < math.inf:
        raise ValueError(
            f"`{name}` must be a time above 0, as in 90s, 30m, 1h30m or a number of seconds. "
            f"Received: {name}={text!r}"
        )
    return found


def _parsed(text: str | float) -> float | None:
    if isinstance(text, int | float):
        return float(text)
    word = text.strip().lower()
    try:
        return float(word)
    except ValueError:
        pass
    if not word or not re.fullmatch(f"({_PART.pattern})+", word):
        return None
    return sum(float(number) * _UNITS[unit[0]] for number, unit in _PART.findall(word))
