"""TensorFlow's banner, held back on whichever backend TensorFlow is imported."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType


def silence() -> None:
    """From here on, import TensorFlow without its banner; one that is imported stays as it is."""
    if "tensorflow" not in sys.modules and _QUIET not in sys.meta_path:
        sys.meta_path.insert(0, _QUIET)


@contextmanager
def held_back() -> Iterator[None]:
    """Hold back what TensorFlow's native code prints on import, unless the import fails.

    It announces its CPU optimisations on the file descriptor of stderr before its log level takes
    effect, and an error would no longer be the one line that it should be.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(kept, held.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


class _QuietTensorFlow(importlib.abc.MetaPathFinder):
    """Imports TensorFlow as usual, with its banner held back, whoever asks for it and when."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The usual spec, for TensorFlow itself; None for every other module."""
        if fullname != "tensorflow":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def quietly(module: ModuleType) -> None:
            with held_back():
                execute(module)

        spec.loader.exec_module = quietly  # type: ignore[method-assign]
        return spec


_QUIET = _QuietTensorFlow()
