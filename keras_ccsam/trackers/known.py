"""Which trackers there are, and whether they are installed.

It imports the standard library alone: the command line asks it before Keras is imported.
"""

import importlib.util
from collections.abc import Iterable

from keras_ccsam.hints import did_you_mean

NAMES = ("tensorboard", "wandb", "mlflow", "trackio")
"""Each is called as the package that is imported and installed."""


def check(names: Iterable[str]) -> tuple[str, ...]:
    """Return the trackers, each once.

    Raises:
        ValueError: there is none of that name, or its package is not installed.
    """
    chosen = tuple(dict.fromkeys(names))
    for name in chosen:
        if name not in NAMES:
            hint = did_you_mean(name, NAMES) or f"; choose from {', '.join(NAMES)}."
            raise ValueError(f"there is no tracker {name!r}{hint} Received: tracker={name!r}")
        if importlib.util.find_spec(name) is None:
            raise ValueError(
                f"the tracker needs the package {name}, which is not installed: "
                f"pip install {name}. Received: tracker={name!r}"
            )
    return chosen
