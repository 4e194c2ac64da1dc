"""Flat programs where steps are compiled anyway: JAX and TensorFlow."""

from collections.abc import Callable, Iterable
from typing import Any


class FlatFunctions:
    """The contract is in `keras_ccsam.backend`: here every function runs as it is."""

    def __init__(
        self,
        watched: Callable[[], Iterable[Any]],
        passing: frozenset[str],
        foreign: Callable[[], str | None] | None = None,
    ) -> None:
        self.state: dict[str, str] = {}

    def start(self) -> None:
        """Nothing to look at."""

    def __call__(self, name: str, fn: Callable[..., Any], *args: Any) -> Any:
        """`fn(*args)`."""
        return fn(*args)
