"""The adapter for PyTorch. The contract is in `keras_ccsam.backend`."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

from keras_ccsam.backend import determinism
from keras_ccsam.backend.torch_kernels import LARGE_KERNEL
from keras_ccsam.backend.torch_recording import note_call
from keras_ccsam.typing import Tensor

STATELESS = False
KERAS_REPEATS_STEPS = False


def value_and_grad(
    fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
) -> tuple[tuple[Tensor, Any], list[Tensor]]:
    """The loss, the auxiliary results and the gradients of `fn` at `values`."""

    def one_loss(values: list[Tensor]) -> tuple[tuple[Tensor], Any]:
        loss, aux = fn(values)
        return (loss,), aux

    ((loss,), aux), (grads,) = value_and_grads(one_loss, values)
    return (loss, aux), grads


def value_and_grads(
    fn: Callable[[list[Tensor]], tuple[Sequence[Tensor], Any]], values: Sequence[Tensor]
) -> tuple[tuple[tuple[Tensor, ...], Any], list[list[Tensor]]]:
    """The losses, the auxiliary results and each loss's gradients of `fn` at `values`."""
    with torch.enable_grad():
        leaves = [value.detach().requires_grad_(True) for value in values]
        losses, aux = fn(leaves)
        unused: tuple[Tensor | None, ...] = (None,) * len(leaves)
        grads = [
            torch.autograd.grad(
                loss, leaves, allow_unused=True, retain_graph=index < len(losses) - 1
            )
            if loss.requires_grad
            else unused
            for index, loss in enumerate(losses)
        ]
    filled = [
        [
            torch.zeros_like(leaf) if grad is None else _laid_out(grad)
            for grad, leaf in zip(own, leaves, strict=True)
        ]
        for own in grads
    ]
    detached = tuple(loss.detach() for loss in losses)
    return (detached, _detach(aux)), filled


def _laid_out(grad: Tensor) -> Tensor:
    """A gradient in the memory layout of its weight; that of a convolution's kernel is turned.

    What follows goes through both together, several times slower where their layouts differ.
    """
    if grad.dim() != 4 or grad.numel() < LARGE_KERNEL or grad.is_contiguous():
        return grad
    turned = grad.permute(3, 0, 1, 2)
    if not turned.is_contiguous():
        return grad
    return turned.reshape(len(turned), -1).t().contiguous().view(grad.shape)


def _detach(value: Any) -> Any:
    """Cuts off the graph of the whole pass, which BatchNorm's new statistics come with."""
    if isinstance(value, torch.Tensor):
        return value.detach()
    # Written out because `keras.tree.map_structure` takes several times as long, in every step.
    if isinstance(value, dict):
        return {key: _detach(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        parts = [_detach(part) for part in value]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return value


class _AnyLayout(TorchFunctionMode):
    """Lets convolutions run below vmap, which knows no memory format but the plain one.

    They ask for another only in order to rearrange the memory for speed.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if "memory_format" in kwargs:
            if func is torch.Tensor.is_contiguous:
                return True
            if func is torch.Tensor.contiguous:
                return args[0]
        return func(*args, **kwargs)


def sample_gradients(
    fn: Callable[[list[Tensor], Any], tuple[Tensor, Any]],
    values: Sequence[Tensor],
    own: Sequence[bool],
    samples: Any,
    convolutions: bool,
) -> tuple[tuple[Tensor, Any], list[Tensor]]:
    """The losses, auxiliary results and gradients of single samples."""

    def loss_and_aux(values: list[Tensor], sample: Any) -> tuple[Tensor, tuple[Tensor, Any]]:
        # Of the attention kernels only the plain one is vectorised over samples.
        with _AnyLayout(), sdpa_kernel(SDPBackend.MATH):
            loss, aux = fn(values, sample)
        return loss, (loss, aux)

    single = torch.func.grad(loss_and_aux, has_aux=True)
    axes = [0 if each else None for each in own]
    detached = [value.detach() for value in values]
    grads, (losses, aux) = torch.func.vmap(single, in_dims=(axes, 0))(detached, samples)
    return (losses, aux), list(grads)


def hessian_vector_product(
    fn: Callable[[list[Tensor]], Tensor], values: Sequence[Tensor], vectors: Sequence[Tensor]
) -> list[Tensor]:
    """The Hessian of `fn` at `values` times `vectors`: the gradient of grad . v.

    Reverse over reverse: the kernels of convolution and pooling have no forward mode throughout.
    """
    with torch.enable_grad():
        leaves = [value.detach().requires_grad_(True) for value in values]
        loss = fn(leaves)
        none: tuple[Tensor | None, ...] = (None,) * len(leaves)
        grads = (
            torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
            if loss.requires_grad
            else none
        )
        # A gradient that depends on no value has no graph of its own.
        products = [
            torch.sum(grad * vector.detach())
            for grad, vector in zip(grads, vectors, strict=True)
            if grad is not None and grad.requires_grad
        ]
        second = (
            torch.autograd.grad(torch.stack(products).sum(), leaves, allow_unused=True)
            if products
            else none
        )
    return [
        torch.zeros_like(leaf) if each is None else each
        for each, leaf in zip(second, leaves, strict=True)
    ]


def add_rows(total: Tensor, index: Tensor, rows: Tensor) -> Tensor:
    """`total`, in place, with `rows` added to the rows that `index` names."""
    return total.index_add_(0, index, rows)


def row_sum(rows: Tensor) -> Tensor:
    """The sum over the first axis, as a product with ones where the memory is a matrix.

    torch's own sum goes through tall matrices several times more slowly.
    """
    order = sorted(range(1, rows.dim()), key=rows.stride, reverse=True)
    matrix = rows.permute(0, *order)
    if not matrix.is_contiguous() or not rows.is_floating_point():
        return torch.sum(rows, dim=0)
    ones = torch.ones((1, len(rows)), dtype=rows.dtype, device=rows.device)
    total = torch.mm(ones, matrix.view(len(rows), -1)).view(matrix.shape[1:])
    return total.permute([order.index(axis) for axis in range(1, rows.dim())])


def replay_rng() -> Callable[[], None]:
    """Remembers torch's global generators, which an unseeded Keras `Dropout` draws from."""
    state = _remembered()
    noted = note_call(_remembered)

    def rewind() -> None:
        _rewind(state)
        note_call(_rewind, noted)

    return rewind


def _remembered() -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), torch.cuda.get_rng_state() if _on_cuda() else None


def _rewind(state: tuple[Tensor, Tensor | None]) -> None:
    cpu, cuda = state
    torch.set_rng_state(cpu)
    if cuda is not None:
        torch.cuda.set_rng_state(cuda)


def rng_state() -> dict[str, np.ndarray]:
    """torch's global generators, on the CPU and where CUDA is in use on each GPU."""
    found = {"torch": np.array(torch.get_rng_state().numpy())}
    if _on_cuda():
        states = torch.cuda.get_rng_state_all()
        found |= {f"cuda{i}": np.array(state.cpu().numpy()) for i, state in enumerate(states)}
    return found


def set_rng_state(states: Mapping[str, np.ndarray]) -> None:
    """Sets them, as far as there are such devices."""
    torch.set_rng_state(torch.from_numpy(np.array(states["torch"])))
    for i in range(torch.cuda.device_count() if _on_cuda() else 0):
        if f"cuda{i}" in states:
            torch.cuda.set_rng_state(torch.from_numpy(np.array(states[f"cuda{i}"])), i)


def accelerator_memory() -> int | None:
    """That of the GPU that is current."""
    return int(torch.cuda.mem_get_info()[1]) if torch.cuda.is_available() else None


def passed_step(logs: dict[str, Any], batches: int = 1) -> Callable[..., Any]:
    """Keras has read the data already, and hands it over."""
    return lambda data: dict(logs)


def _on_cuda() -> bool:
    return bool(torch.cuda.is_available() and torch.cuda.is_initialized())


def compiled(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` itself: PyTorch runs operations as they come."""
    return fn


def no_grad() -> contextlib.AbstractContextManager[None]:
    """Assignments inside are not recorded."""
    context: contextlib.AbstractContextManager[None] = torch.no_grad()
    return context


def make_deterministic() -> None:
    """Deterministic kernels, and an error where there is none; no search for the fastest one."""
    determinism.set_variables("torch", os.environ)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    determinism.seen_to("torch")
