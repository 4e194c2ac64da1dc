"""Times as people say them.

It imports the standard library alone: the command line asks it before Keras is imported.
"""


def duration(seconds: float) -> str:
    """Return a time as people say it: `45 s`, `12 min`, `2 h 05 min`, `3 d 4 h`."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
