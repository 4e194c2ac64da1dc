"""The operations that a function on PyTorch runs, written down while it runs.

A recording holds the operations below autograd, those of the backward passes among them, in their
order, and which tensors they take: those handed to the function, the results of earlier operations,
or others from outside, which are variables' first of all. Nothing runs twice, and nothing is
computed in another way, so that a function that is recorded gives what it gives anyway. Where it
does what operations do not show, such as reading a value of a tensor in Python, the recording says
so in `reason`.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from keras_ccsam.backend.structures import leaves, mapped
from keras_ccsam.backend.torch_nodes import Node, Recording, Ref
from keras_ccsam.backend.torch_places import place

SEED_BITS = 0xFFFFFFFF  # Keras seeds a generator with the lowest 32 bits of its seed
_STATISTICS = {"native_batch_norm": (3, 4), "cudnn_batch_norm": (3, 4), "miopen_batch_norm": (3, 4)}
_RESHAPES = {"squeeze_", "unsqueeze_", "t_", "transpose_"}
_MASKED = {"index"}  # of a result whose size depends on values only if an index is a mask


_now = threading.local()  # the recorder of the thread


def record(fn: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, Recording]:
    """Runs `fn` on structures of tensors; its result, and the recording."""
    recorder = _Recorder(args)
    _now.recorder = recorder
    try:
        with recorder.functions, recorder:
            result = fn(*args)
    finally:
        _now.recorder = None
    return result, recorder.finished(result)


def note_call(fn: Callable[..., Any], *args: Any) -> Any:
    """Puts a call of `fn` into the recording that goes on, if one does; the number of its result.

    For what is no operation on tensors. `args` are what was returned here, and plain values.
    """
    recorder: _Recorder | None = getattr(_now, "recorder", None)
    return None if recorder is None else recorder.call(fn, args)


class _Recorder(TorchDispatchMode):
    def __init__(self, args: tuple[Any, ...]) -> None:
        super().__init__()
        self.recording = Recording()
        self._count = 0
        self._known = WeakTensorKeyDictionary()
        self.functions = _Functions(self)
        self._base: dict[Ref, Ref] = {}
        self._fixed: set[Ref] = set()  # what is the same in each call
        self._first: dict[Ref, torch.Tensor] = {}  # values before something was written into them
        self._generators: dict[int, tuple[torch.Generator, Ref]] = {}
        # Values read in Python, until it is seen what for; and the latest of them.
        self._read: dict[Ref, tuple[Any, str, bool]] = {}
        self._latest: Ref | None = None
        for leaf in leaves(args):
            if isinstance(leaf, torch.Tensor):
                self.recording.inputs.append(self._new(leaf))
                if isinstance(leaf, torch.nn.Parameter):
                    self._refuse("a weight is handed over as data")

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        taken, named = mapped(self._ref, tuple(args)), mapped(self._ref, kwargs)
        taken = self._bind_latest(taken, named)
        node = Node(func, taken, named, None, _is_impure(func))
        self._look_at(func, args, node)
        self.functions.inside = True
        try:
            result = func(*args, **kwargs)
        finally:
            self.functions.inside = False
        if torch.Tag.inplace_view in func.tags:
            self._as_new_view(func, node, result)
        elif isinstance(result, torch.Tensor | list | tuple):
            node.out = mapped(self._result, result)
            self._alias(func, node)
            if self._is_fixed(node):
                self._fixed.update(out for out in leaves(node.out) if isinstance(out, Ref))
        elif isinstance(result, bool | int | float):
            node.out = self._next()
            if not (self.functions.checking or self._is_fixed(node)):
                self._latest = node.out
                self._read[node.out] = (result, *place())
        self.recording.nodes.append(node)
        return result

    def call(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> Ref:
        """See `note_call`."""
        out = self._next()
        self.recording.nodes.append(Node(fn, args, {}, out, impure=bool(args)))
        return out

    def finished(self, result: Any) -> Recording:
        """The recording, with what the function returned."""
        self.recording.returned = mapped(self._ref, result)
        for _, where, own in self._read.values():
            self._refuse(f"{where} reads a value of a tensor in Python", own)
        if self.recording.written & set(self.recording.inputs):
            self._refuse("an operation writes into the batch")
        for ref, value in self._first.items():
            self._make_anew(ref, value)
        self.recording.written &= set(self.recording.outside)
        return self.recording

    def _make_anew(self, ref: Ref, value: torch.Tensor) -> None:
        """A tensor that was made of numbers in Python, and written into, begins as it did then."""
        tensor = self.recording.outside.pop(ref)
        if sys.getrefcount(tensor) > 2:
            self._refuse("an operation writes into a tensor that is held, and is no variable")
        first = self._next()
        self.recording.outside[first] = value
        clone = torch.ops.aten.clone.default
        self.recording.nodes.insert(0, Node(clone, (first,), {}, ref))

    def _next(self) -> Ref:
        self._count += 1
        return Ref(self._count)

    def _new(self, tensor: torch.Tensor) -> Ref:
        found = self._known.get(tensor)
        if found is None:
            found = self._known[tensor] = self._next()
        return found

    def _ref(self, value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            found = self._known.get(value)
            if found is None:
                found = self._new(value)
                self.recording.outside[found] = value
                if not isinstance(value, torch.nn.Parameter):
                    self._fixed.add(found)
            return found
        if isinstance(value, torch.Generator):
            return self._generator(value)
        return value

    def _result(self, value: Any) -> Any:
        return self._new(value) if isinstance(value, torch.Tensor) else value

    def _generator(self, generator: torch.Generator) -> Any:
        """A generator that was seeded with a value read before: how it is made again."""
        if id(generator) in self._generators:
            return self._generators[id(generator)][1]
        if generator is torch.default_generator or (
            generator.device.type == "cuda"
            and generator in getattr(torch.cuda, "default_generators", ())
        ):
            return generator
        for ref, (value, *_) in self._read.items():
            if isinstance(value, int) and generator.initial_seed() == value & SEED_BITS:
                made = self.call(seeded, (ref, str(generator.device)))
                del self._read[ref]
                self._generators[id(generator)] = (generator, made)
                return made
        self._refuse(f"{place()[0]} draws from a generator of its own")
        return generator

    def _bind_latest(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """A value that was read, and at once handed to an operation as a number, is understood."""
        latest, self._latest = self._latest, None
        if latest is None or latest not in self._read:
            return args
        value = self._read[latest][0]
        given = [*args, *kwargs.values()]
        places = [i for i, v in enumerate(given) if type(v) is type(value) and v == value]
        if isinstance(value, bool) or len(places) != 1:
            return args
        del self._read[latest]
        given[places[0]] = latest
        kwargs.update(zip(kwargs, given[len(args) :], strict=True))
        return tuple(given[: len(args)])

    def _look_at(self, func: Any, args: tuple[Any, ...], node: Node) -> None:
        schema = func._schema
        name = schema.name.split("::")[-1]
        dynamic = torch.Tag.dynamic_output_shape in func.tags and not self._is_fixed(node)
        if dynamic and (name not in _MASKED or any(map(_is_mask, leaves(args[1])))):
            where, own = place()
            self._refuse(f"{where} makes a tensor whose size depends on values ({name})", own)
        writes = [
            value
            for argument, value in _arguments(schema, node)
            if argument.alias_info is not None and argument.alias_info.is_write
        ]
        writes += [node.args[number] for number in _STATISTICS.get(name, ())]
        reshapes = torch.Tag.inplace_view in func.tags
        for value in () if reshapes else leaves(writes):
            if isinstance(value, Ref):
                self._written(self._base.get(value, value))

    def _as_new_view(self, func: Any, node: Node, result: torch.Tensor) -> None:
        """A tensor whose shape is changed in place is a new one from here on."""
        name = func._schema.name.split("::")[-1]
        if name not in _RESHAPES:
            self._refuse(f"{place()[0]} changes the shape of a tensor in place ({name})")
            return
        packet = getattr(torch.ops.aten, name[:-1])
        base = self._base.get(node.args[0], node.args[0])
        node.call, node.impure = getattr(packet, func._schema.overload_name or "default"), False
        node.out = self._known[result] = self._next()
        self._base[node.out] = base

    def _written(self, base: Ref) -> None:
        self.recording.written.add(base)
        self._fixed -= {ref for ref in self._fixed if self._base.get(ref, ref) == base}
        tensor = self.recording.outside.get(base)
        if tensor is not None and not isinstance(tensor, torch.nn.Parameter):
            self._first.setdefault(base, tensor.detach().clone())

    def _alias(self, func: Any, node: Node) -> None:
        """Notes whose memory the results are."""
        if not any(each.alias_info is not None for each in func._schema.returns):
            return
        for argument, value in _arguments(func._schema, node):
            if argument.alias_info is not None and isinstance(value, Ref):
                base = self._base.get(value, value)
                for out in leaves(node.out):
                    if isinstance(out, Ref) and out != base:
                        self._base.setdefault(out, base)
                return

    def _is_fixed(self, node: Node) -> bool:
        taken = (leaf for leaf in leaves([node.args, node.kwargs]) if isinstance(leaf, Ref))
        return not node.impure and all(leaf in self._fixed for leaf in taken)

    def _refuse(self, reason: str, own: bool = False) -> None:
        if self.recording.reason is None:
            self.recording.reason, self.recording.own = reason, own

    def values_read(self) -> None:
        """Notes that Python reads more of a tensor than can be followed."""
        where, own = place()
        self._refuse(f"{where} reads the values of a tensor in Python", own)


class _Functions(TorchFunctionMode):
    """Sees what Python asks of tensors, above the operations."""

    def __init__(self, recorder: _Recorder) -> None:
        super().__init__()
        self._recorder = recorder
        self.checking = False
        self.inside = False  # an operation, which may read what it likes

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("numpy", "tolist", "__array__") and not self.inside:
            self._recorder.values_read()
        before, self.checking = self.checking, self.checking or name == "one_hot"
        try:  # one_hot reads the largest label, and the smallest, to complain of them
            return func(*args, **(kwargs or {}))
        finally:
            self.checking = before


def seeded(seed: int, device: str) -> torch.Generator:
    """A generator as Keras makes one for each draw from a `SeedGenerator`."""
    generator = torch.Generator(device)
    generator.manual_seed(int(seed) & SEED_BITS)
    return generator


def _arguments(schema: Any, node: Node) -> Iterator[tuple[Any, Any]]:
    """The arguments as the operation declares them, with what each was given."""
    for number, argument in enumerate(schema.arguments):
        if number < len(node.args):
            yield argument, node.args[number]
        elif argument.name in node.kwargs:
            yield argument, node.kwargs[argument.name]


def _is_impure(func: Any) -> bool:
    schema, tags = func._schema, func.tags
    written = schema.is_mutable or schema.name.split("::")[-1] in _STATISTICS
    return bool(written) or torch.Tag.nondeterministic_seeded in tags


def _is_mask(index: Any) -> bool:
    return isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8)
