"""Keeping compiled programs: JAX's persistent compilation cache."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache

_WORTH_KEEPING = 0.1
"""Seconds of compilation."""


def can_keep_programs() -> bool:
    """Whether JAX's persistent compilation cache is on; without a folder it keeps nothing."""
    return bool(jax.config.jax_enable_compilation_cache)


def program_folder() -> str | None:
    """The folder of JAX's persistent compilation cache."""
    return jax.config.jax_compilation_cache_dir if can_keep_programs() else None


def keep_programs(folder: str) -> contextlib.AbstractContextManager[None]:
    """Sets JAX's persistent compilation cache, and puts back what was set before."""
    return _keeping(folder)


@contextlib.contextmanager
def _keeping(folder: str) -> Iterator[None]:
    chosen: dict[str, Any] = {"jax_compilation_cache_dir": folder}
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # JAX keeps what takes a second; the dozen programs of a small run take less each.
        chosen["jax_persistent_cache_min_compile_time_secs"] = _WORTH_KEEPING
    before = {name: getattr(jax.config, name) for name in chosen}
    try:
        _configure(chosen)
        yield
    finally:
        _configure(before)


def _configure(options: dict[str, Any]) -> None:
    for name, value in options.items():
        jax.config.update(name, value)
    reset_cache()  # the folder is read once, else
