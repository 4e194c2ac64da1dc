"""Python reads this first in each process that a test starts: half of the import of Keras is saved.

Keras imports scikit-learn and matplotlib for wrappers and galleries of its own, where they are
installed, and under PyTorch the whole compiler for the sake of one decorator. Nothing here uses
those. For all others the three are what they always are, and are imported when they are asked for.
"""

import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

_GALLERIES = "keras.src.visualization.plot_"
_LEFT_OUT = {
    "sklearn": ("keras.src.wrappers",),
    "matplotlib": (f"{_GALLERIES}image_gallery", f"{_GALLERIES}bounding_box_gallery"),
}
_COMPILER, _FOR_WHOM = "torch._dynamo", "keras.src.backend.torch"


class _Compiler(types.ModuleType):
    """In place of the compiler as long as nobody asks it to compile."""

    imported = False
    # `torch.distributed` has it forget what was compiled without processes: nothing.
    trace_rules = types.SimpleNamespace(clear_lru_cache=lambda: None)

    def disable(self, function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
        return (lambda function: function) if function is None else function

    def __getattr__(self, name: str) -> Any:
        if not self.imported:  # what the import itself looks for
            raise AttributeError(name)
        if sys.modules.get(_COMPILER) is self:
            del sys.modules[_COMPILER]
        return getattr(importlib.import_module(_COMPILER), name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if any(map(_is_being_imported, _LEFT_OUT.get(fullname, ()))):
            raise ModuleNotFoundError(f"{fullname} is left out: see {__file__}", name=fullname)
        if fullname == _COMPILER and _is_being_imported(_FOR_WHOM):
            return importlib.machinery.ModuleSpec(fullname, self)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Compiler(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        module.imported = True  # type: ignore[attr-defined]


def _is_being_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


if __name__ == "sitecustomize":
    sys.meta_path.insert(0, _Finder())
