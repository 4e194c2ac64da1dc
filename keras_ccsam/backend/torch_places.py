"""Where an operation comes from, in words that tell a user which part of a model it is."""

import sys
from pathlib import Path
from typing import Any

_BELOW = tuple(f"keras.src.{part}" for part in ("backend", "ops", "random", "utils"))
_BELOW += ("torch", "keras_ccsam.backend")


def place() -> tuple[str, bool]:
    """The layer, loss or metric that runs the operation, in words; whether it is this package's.

    That is, whether it is the code of this package that asked for it.
    """
    frame: Any = sys._getframe(2)
    line, own = "", False
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if not module.startswith(_BELOW):
            if not line:
                line = f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"
                own = module.startswith("keras_ccsam.")
            owner = frame.f_locals.get("self")
            if hasattr(owner, "get_config") and hasattr(owner, "name"):
                return f"{type(owner).__name__} {owner.name!r} ({line})", own
        frame = frame.f_back
    return line or "the step", own
