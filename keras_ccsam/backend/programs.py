"""Keeping compiled programs, where a framework has none to keep: PyTorch and TensorFlow."""

import contextlib


def can_keep_programs() -> bool:
    """No: a process starts at once, or traces anew."""
    return False


def program_folder() -> str | None:
    """None."""
    return None


def keep_programs(folder: str) -> contextlib.AbstractContextManager[None]:
    """Nothing to keep."""
    return contextlib.nullcontext()
