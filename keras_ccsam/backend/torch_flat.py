"""Functions that run as flat programs of operations on PyTorch, as long as that is the same.

    1st call     with tensors of these shapes: as it is
    2nd          recorded while it runs
    3rd          run both ways; it stays a program if the results are the same
    later        the program; one call in a thousand is run both ways again

Whatever is not the same ends the program, and the function runs as it is: attributes that change,
shapes that go on changing, hooks, values of tensors that Python reads, results that differ.
"""

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import torch

from keras_ccsam.backend import flat
from keras_ccsam.backend.structures import leaves, mapped
from keras_ccsam.backend.torch import replay_rng
from keras_ccsam.backend.torch_program import Program
from keras_ccsam.backend.torch_recording import record
from keras_ccsam.backend.torch_watch import Watch

SHAPES = 8  # programs of one function; what comes in further shapes runs as it is
CHANGES = 5  # times in a row that something changed before its program was of use
CHECK_EVERY = 1000
_KEPT = ("float32", "int32", "int64", "uint8", "bool")
_PLAIN = (type(None), bool, int, float, str)


class _Entry:
    """A function with tensors of certain shapes."""

    def __init__(self) -> None:
        self.calls = 0
        self.program: Program | None = None
        self.unchecked = CHECK_EVERY  # calls since the results were compared
        self.has_passed = False


class FlatFunctions(flat.FlatFunctions):
    """The contract is in `keras_ccsam.backend`."""

    def __init__(
        self,
        watched: Callable[[], Iterable[Any]],
        passing: frozenset[str],
        foreign: Callable[[], str | None] | None = None,
    ) -> None:
        super().__init__(watched, passing, foreign)
        self._watched, self._passing, self._foreign = watched, passing, foreign
        self._watch: Watch | None = None
        self._entries: dict[Any, _Entry] = {}
        self._refused: dict[str, str] = {}
        self._idle = self._failed = 0
        self._used = self._has_told = False

    def start(self) -> None:
        """Forgets all programs if what is watched has changed."""
        if self._watch is None:
            return
        changed = self._watch.changed()
        if changed is None:
            return
        self._idle = 0 if self._used else self._idle + 1
        self._forget()
        if self._idle >= CHANGES:
            self._refuse("", f"{changed} keeps changing")

    def __call__(self, name: str, fn: Callable[..., Any], *args: Any) -> Any:
        """See the contract."""
        # Of autograd's own modes a program knows nothing.
        modes = (torch.is_anomaly_enabled(), *map(torch.is_autocast_enabled, ("cpu", "cuda")))
        if any(modes) or "" in self._refused or name in self._refused:
            return fn(*args)
        given: list[Any] = []
        _collect(args, given)
        if any(isinstance(leaf, np.ndarray) for leaf in given):
            args, given = mapped(_tensor, args), []
            _collect(args, given)
        tensors = [leaf for leaf in given if isinstance(leaf, torch.Tensor)]
        others = [None if isinstance(leaf, torch.Tensor) else (leaf,) for leaf in given]
        if not all(each is None or isinstance(each[0], _PLAIN) for each in others):
            return fn(*args)
        key = (name, *others, *_form(tensors))
        entry = self._entries.get(key)
        if entry is None:
            if sum(own == name for own, *_ in self._entries) >= SHAPES:
                self._refuse(name, f"its data come in more than {SHAPES} shapes", keep=True)
                return fn(*args)
            entry = self._entries[key] = _Entry()
        entry.calls += 1
        if entry.calls == 1:
            return fn(*args)
        if entry.program is None:
            return self._recorded(name, entry, fn, args)
        entry.unchecked += 1
        if entry.unchecked >= CHECK_EVERY:
            return self._both(name, entry, entry.program, fn, args, tensors)
        self._used = True
        return entry.program(tensors)

    def _recorded(self, name: str, entry: _Entry, fn: Any, args: tuple[Any, ...]) -> Any:
        if self._watch is None:
            if self._foreign is not None and (found := self._foreign()):
                self._refused[""] = found
                self.state[name] = f"as it is: {found}"
                return fn(*args)
            self._watch = Watch(self._watched())
        result, recording = record(fn, args)
        hooked = self._watch.hooked()
        if hooked or recording.reason:
            own = hooked is None and recording.own
            self._refuse(name, hooked or recording.reason or "", told=not own)
            return result
        try:
            entry.program = Program(recording)
        except Exception as error:  # a step that has been made goes on, whatever it was made of
            self._refuse(name, f"its operations cannot be written down ({error!r})")
        return result

    def _both(
        self,
        name: str,
        entry: _Entry,
        program: Program,
        fn: Any,
        args: tuple[Any, ...],
        tensors: list[torch.Tensor],
    ) -> Any:
        """The function's own result, after a comparison with the program's."""
        rewind = replay_rng()
        ours = _tried(program, tensors)
        rewind()
        result = fn(*args)
        failed = isinstance(ours, Exception)
        same = not failed and alike(ours, (result, program.written))
        grown = self._watch is not None and self._watch.grown()
        if same and not grown:
            entry.unchecked, entry.has_passed = 0, True
            self.state[name] = "flat"
            return result
        entry.program, entry.calls, entry.unchecked = None, 0, CHECK_EVERY
        self._failed += 1
        if failed:
            self._refuse(name, f"its program fails ({ours!r})")
        elif grown:
            self._refuse(name, f"{grown} grows in every step")
        elif not entry.has_passed or self._failed >= CHANGES:
            self._refuse(name, "what it computes depends on more than tensors and attributes")
        return result

    def _forget(self) -> None:
        self._watch, self._used = None, False
        self._entries.clear()
        for name in [name for name in self.state if name not in self._refused]:
            del self.state[name]

    def _refuse(self, name: str, reason: str, keep: bool = False, told: bool = True) -> None:
        """Lets the function run as it is from now on; with `keep`, in further shapes only."""
        self.state[name] = f"as it is: {reason}"
        if not keep:
            self._refused[name] = reason
        if told and name not in self._passing and not self._has_told:
            self._has_told = True
            warnings.warn(
                f"the training step runs layer by layer, and not as one flat program: {reason}. "
                "With flat_step=False it does so without this warning",
                stacklevel=2,
            )


def _tried(program: Program, tensors: list[torch.Tensor]) -> Any:
    """What a program gives and what it leaves in variables, which have their values again.

    Or the error that it ended with, for want of memory perhaps: no training ends for that.
    """
    before: list[torch.Tensor] = []
    try:
        before += [tensor.detach().clone() for tensor in program.written]
        result = program(tensors)
        return result, [tensor.detach().clone() for tensor in program.written]
    except Exception as error:
        return error
    finally:
        if len(before) == len(program.written):
            _assign(program.written, before)


def alike(left: Any, right: Any) -> bool:
    """Whether two structures hold the same, up to the last bits of floating-point numbers."""
    ours, theirs = list(leaves(left)), list(leaves(right))
    pairs = zip(ours, theirs, strict=False)
    return len(ours) == len(theirs) and all(_alike(*pair) for pair in pairs)


def _alike(a: Any, b: Any) -> bool:
    if not isinstance(a, torch.Tensor) or not isinstance(b, torch.Tensor):
        return bool(a is b or a == b)
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    if not a.is_floating_point():
        return bool(torch.equal(a, b))
    # Some kernels of GPUs add in another order each time.
    slack = (16 if a.device.type == "cpu" else 4096) * torch.finfo(a.dtype).eps
    most = b.detach().abs().nan_to_num(0.0, 0.0, 0.0).max() if b.numel() else 0.0
    return bool(torch.isclose(a, b, 0.0, float(most) * slack, equal_nan=True).all())


def _assign(tensors: list[torch.Tensor], values: list[torch.Tensor]) -> None:
    with torch.no_grad():
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)


def _collect(structure: Any, found: list[Any]) -> None:
    """`leaves`, in half the time."""
    for part in structure.values() if isinstance(structure, dict) else structure:
        if isinstance(part, list | tuple | dict):
            _collect(part, found)
        else:
            found.append(part)


def _form(tensors: list[torch.Tensor]) -> list[Any]:
    """Shapes and types, and which of the tensors are the same one."""
    form: list[Any] = [tensor.shape for tensor in tensors]
    form += [tensor.dtype for tensor in tensors]
    form += [tensor.device for tensor in tensors]
    places = {id(tensor): place for place, tensor in enumerate(tensors)}
    if len(places) < len(tensors):
        form += [places[id(tensor)] for tensor in tensors]
    return form


def _tensor(leaf: Any) -> Any:
    """A NumPy array as the tensor that Keras makes of it, where that has the array's type."""
    if isinstance(leaf, np.ndarray) and leaf.dtype.name in _KEPT:
        return keras.ops.convert_to_tensor(leaf)
    return leaf
