"""What a flat program cannot see: whether the objects are still as they were when it was made."""

from collections.abc import Iterable
from typing import Any

import torch

# What Keras' training loop changes on a model, and no step reads.
_OF_THE_LOOP = {
    "history", "stop_training", "stop_evaluating", "stop_predicting",
    "train_function", "test_function", "predict_function",
    "_eval_epoch_iterator", "_initial_epoch", "pixels", "_logit_scale",
}  # fmt: skip
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


class Watch:
    """Remembers the attributes of objects: which object each of them was, not what is in it.

    Comparing them takes a ten-thousandth of a second for a network of a hundred layers.

    Args:
        objects: the model first.
    """

    def __init__(self, objects: Iterable[Any]) -> None:
        seen: dict[int, Any] = {}
        for each in objects:
            seen.setdefault(id(each), each)
            if isinstance(each, torch.nn.Module):
                # What a Keras layer of a torch module holds is no Keras layer.
                for module in each.children():
                    for inner in module.modules():
                        seen.setdefault(id(inner), inner)
        self._model = next(iter(seen.values()), None)
        held = [
            each
            for each in seen.values()
            # Keras gives layers dictionaries of their variables, which it makes anew at will.
            if hasattr(each, "__dict__") and not isinstance(each, torch.nn.ParameterDict)
        ]
        self._seen = [(each, vars(each), dict(vars(each))) for each in held]
        self._dicts = [now for _, now, _ in self._seen], [before for *_, before in self._seen]
        self._hooks = [
            (each, vars(each)[name]) for each in held for name in _HOOKS if name in vars(each)
        ]
        self._hook_dicts = [hooks for _, hooks in self._hooks]
        self._sizes = [
            (each, name, value, len(value))
            for each in held
            for name, value in vars(each).items()
            if isinstance(value, list | dict | set)
        ]

    def changed(self) -> str | None:
        """The first attribute that is another one now, and whose; None where all are as then."""
        if any(self._hook_dicts):
            return self.hooked()
        if _same(*self._dicts):
            return None
        for each, now, before in self._seen:
            if not _same(now, before):
                names = [
                    name
                    for name in {**before, **now}
                    if not (each is self._model and name in _OF_THE_LOOP)
                    and not _same({0: now.get(name)}, {0: before.get(name)})
                ]
                if names:
                    return f"the attribute {names[0]!r} of {_named(each)}"
                before.clear()
                before.update(now)
        return None

    def hooked(self) -> str | None:
        """A module that has a hook, in words."""
        if not any(self._hook_dicts):
            return None
        return f"a hook of {next(_named(each) for each, hooks in self._hooks if hooks)}"

    def grown(self) -> str | None:
        """A list or dictionary that has another length now."""
        for each, name, value, size in self._sizes:
            if len(value) != size:
                return f"the attribute {name!r} of {_named(each)}"
        return None


def _same(now: Any, before: Any) -> bool:
    """Whether two dictionaries, or lists of them, hold the same."""
    try:
        return now == before
    except (RuntimeError, TypeError, ValueError):  # of two different arrays
        return False


def _named(item: Any) -> str:
    name = getattr(item, "path", None) or getattr(item, "name", None)
    return f"{type(item).__name__}{f' {name!r}' if isinstance(name, str) else ''}"
