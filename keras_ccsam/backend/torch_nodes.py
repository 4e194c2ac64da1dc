"""What a recording is made of."""

from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Ref:
    """A value of a recording, by its number."""

    number: int


@dataclass
class Node:
    """One operation: what it is called with, and the numbers of its results, if there are new ones.

    Attributes:
        impure: it must run though nobody takes its results.
    """

    call: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any
    impure: bool = False


@dataclass
class Recording:
    """What a function did.

    Attributes:
        nodes: the operations.
        inputs: the numbers of the tensors that it was handed.
        outside: by number, tensors that are neither handed over nor made inside.
        written: the numbers of those of them that operations write into.
        returned: the function's result, with numbers in the place of tensors.
        reason: why the operations alone are not the function; None where they are.
        own: whether the reason is a method of this package, rather than what a user brought.
    """

    nodes: list[Node] = field(default_factory=list)
    inputs: list[Ref] = field(default_factory=list)
    outside: dict[Ref, torch.Tensor] = field(default_factory=dict)
    written: set[Ref] = field(default_factory=set)
    returned: Any = None
    reason: str | None = None
    own: bool = False
