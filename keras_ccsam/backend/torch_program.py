"""A recording as a program: cleaned, and written as one Python function of operations."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from keras_ccsam.backend.structures import leaves, mapped
from keras_ccsam.backend.torch_nodes import Node, Recording, Ref

aten = torch.ops.aten

# Their result is their argument, once nothing is differentiated.
_SAME = {aten.detach.default, aten.alias.default, aten.lift_fresh.default}
# The same operations, called in less time.
_QUICK = {
    aten.permute.default: torch.permute,
    aten.copy_.default: torch.Tensor.copy_,
    aten.relu.default: torch.relu,
    aten.view.default: torch.Tensor.view,
    aten.clone.default: torch.clone,
}
_SMALL = 65536  # numbers of a constant that is kept rather than made anew in each step


class Program:
    """What a recording does, without the Python that led to it.

    Args:
        recording: without a `reason`.

    Attributes:
        written: the tensors of variables that it writes into.
        size: its operations; source: its text.
    """

    def __init__(self, recording: Recording) -> None:
        self.written = [recording.outside[ref] for ref in recording.written]
        nodes, returned = cleaned(recording)
        constants = dict(recording.outside)
        with torch.no_grad():
            nodes = _folded(nodes, constants, returned)
        self.size = len(nodes)
        self.source, namespace = _source(nodes, recording.inputs, constants, returned)
        exec(compile(self.source, "<flat step>", "exec"), namespace)
        self._run: Callable[[Sequence[torch.Tensor]], Any] = namespace["run"]

    def __call__(self, tensors: Sequence[torch.Tensor]) -> Any:
        """The result, of the tensors among the leaves of the arguments."""
        with torch.no_grad():
            return self._run(tensors)


def cleaned(recording: Recording) -> tuple[list[Node], Any]:
    """The operations that matter, and the result, in terms of each other.

    Left out are those that give back their argument, permutations that undo each other, and those
    whose results nobody takes.
    """
    same: dict[Ref, Ref] = {}
    permuted: dict[Ref, tuple[Ref, tuple[int, ...]]] = {}
    nodes: list[Node] = []

    def now(value: Any) -> Any:
        return same.get(value, value) if isinstance(value, Ref) else value

    for node in recording.nodes:
        args, kwargs = mapped(now, node.args), mapped(now, node.kwargs)
        if node.call in _SAME:
            same[node.out] = args[0]
            continue
        if node.call is aten.permute.default:
            source, order = args[0], tuple(axis % len(args[1]) for axis in args[1])
            if source in permuted:
                source, before = permuted[source]
                order = tuple(before[axis] for axis in order)
            if order == tuple(range(len(order))):
                same[node.out] = source
                continue
            permuted[node.out] = (source, order)
            args = (source, list(order))
        nodes.append(Node(node.call, args, kwargs, node.out, node.impure))
    returned = mapped(now, recording.returned)
    return _living(nodes, returned), returned


def _living(nodes: list[Node], returned: Any) -> list[Node]:
    needed = {leaf for leaf in leaves(returned) if isinstance(leaf, Ref)}
    living = []
    for node in reversed(nodes):
        if node.impure or any(out in needed for out in leaves(node.out) if isinstance(out, Ref)):
            needed |= {leaf for leaf in leaves([node.args, node.kwargs]) if isinstance(leaf, Ref)}
            living.append(node)
    return living[::-1]


def _folded(nodes: list[Node], constants: dict[Ref, torch.Tensor], returned: Any) -> list[Node]:
    """Computes what depends on nothing once, and puts it among the constants."""
    kept: dict[Ref, Any] = {}
    # What is written into, or given away, must be new each time; so must what is a part of it.
    new = {leaf for leaf in leaves(returned) if isinstance(leaf, Ref)}
    for node in reversed(nodes):
        taken = {leaf for leaf in leaves([node.args, node.kwargs]) if isinstance(leaf, Ref)}
        schema = getattr(node.call, "_schema", None)
        writes = schema is None or node.impure or schema.name.endswith("batch_norm")
        views = schema is not None and any(each.alias_info is not None for each in schema.returns)
        if writes or (views and any(out in new for out in leaves(node.out))):
            new |= taken
    rest = []
    for node in nodes:
        outs = [out for out in leaves(node.out) if isinstance(out, Ref)]
        taken = {leaf for leaf in leaves([node.args, node.kwargs]) if isinstance(leaf, Ref)}
        fixed = not node.impure and isinstance(node.out, Ref) and outs[0] not in new
        if fixed and hasattr(node.call, "_schema") and all(ref in kept for ref in taken):
            value = node.call(*mapped(_of(kept), node.args), **mapped(_of(kept), node.kwargs))
            if isinstance(value, torch.Tensor) and value.numel() <= _SMALL:
                kept[node.out] = constants[node.out] = value
                continue
        rest.append(node)
    return rest


def _of(kept: dict[Ref, Any]) -> Callable[[Any], Any]:
    return lambda value: kept[value] if isinstance(value, Ref) else value


def _source(
    nodes: list[Node], inputs: list[Ref], constants: dict[Ref, torch.Tensor], returned: Any
) -> tuple[str, dict[str, Any]]:
    """The text of the function, and the names in it."""
    namespace: dict[str, Any] = {}
    functions: dict[Any, str] = {}
    literals: dict[Any, str] = {}

    def name(value: Any) -> str:
        if isinstance(value, Ref):
            if value in constants:
                namespace.setdefault(f"c{value.number}", constants[value])
                return f"c{value.number}"
            return f"v{value.number}"
        if value is None or isinstance(value, bool | int | str):
            return repr(value)
        if isinstance(value, dict):
            return "{" + ", ".join(f"{name(k)}: {name(v)}" for k, v in value.items()) + "}"
        if hasattr(value, "_fields"):
            return f"{literal(type(value))}({', '.join(map(name, value))})"
        if isinstance(value, list):
            return f"[{', '.join(map(name, value))}]"
        if isinstance(value, tuple):
            return f"({''.join(name(each) + ', ' for each in value)})"
        return literal(value)

    def literal(value: Any) -> str:
        key = (type(value), repr(value)) if isinstance(value, float) else id(value)
        if key not in literals:
            literals[key] = f"k{len(literals)}"
            namespace[literals[key]] = value
        return literals[key]

    last: dict[str, int] = {}
    lines = []
    for place, node in enumerate(nodes):
        call = functions.setdefault(node.call, f"f{len(functions)}")
        namespace[call] = _QUICK.get(node.call) or getattr(node.call, "_op", node.call)
        given = [name(each) for each in node.args]
        given += [f"{key}={name(each)}" for key, each in node.kwargs.items()]
        target = _target(node, name)
        lines.append(f"{target}{call}({', '.join(given)})")
        for leaf in leaves([node.args, node.kwargs, node.out]):
            if isinstance(leaf, Ref) and leaf not in constants:
                last[f"v{leaf.number}"] = place
    for leaf in leaves(returned):
        if isinstance(leaf, Ref):
            last.pop(f"v{leaf.number}", None)
    gone: dict[int, list[str]] = {}
    for value, place in last.items():
        gone.setdefault(place, []).append(value)
    body = [f"({''.join(f'v{ref.number}, ' for ref in inputs)}) = tensors"] if inputs else []
    for place, line in enumerate(lines):
        body.append(line)
        if place in gone:
            body.append(f"del {', '.join(gone[place])}")
    body.append(f"return {name(returned)}")
    return "def run(tensors):\n" + "\n".join(f"    {line}" for line in body), namespace


def _target(node: Node, name: Callable[[Any], str]) -> str:
    """What the results are assigned to; nothing where the operation works in place."""
    given = {leaf for leaf in leaves([node.args, node.kwargs]) if isinstance(leaf, Ref)}
    outs = [out for out in leaves(node.out) if isinstance(out, Ref)]
    if not outs or all(out in given for out in outs):
        return ""
    if isinstance(node.out, Ref):
        return f"{name(node.out)} = "
    return (
        f"({''.join((name(out) if isinstance(out, Ref) else '_') + ', ' for out in node.out)}) = "
    )
