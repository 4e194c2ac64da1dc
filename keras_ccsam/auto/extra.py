"""Whether what keeps a tournament's record is installed.

It imports the standard library alone: the command line asks it before Keras is imported.
"""

import importlib.util


def require_optuna() -> None:
    """Refuse to begin without the extra `auto`.

    Raises:
        ValueError: what has to be installed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise ValueError(
            'a tournament needs the package optuna: pip install "keras-ccsam[auto]". '
            "Received: no optuna"
        )
