"""Whether what draws a report is installed.

It imports the standard library alone: the command line asks it before Keras is imported.
"""

import importlib.util


def require_packages(surface: bool) -> None:
    """Refuse to begin without the extra `report`.

    Raises:
        ValueError: what has to be installed.
    """
    for name in ("jinja2", "contourpy", *(("plotly",) if surface else ())):
        if importlib.util.find_spec(name) is None:
            raise ValueError(
                f'a report needs the package {name}: pip install "keras-ccsam[report]". '
                f"Received: no {name}"
            )
