"""Several processes on PyTorch: one replica each, in torch.distributed's default group.

Sums are differentiable: what a replica's loss does to the others' share comes back to it, so that
the gradients are those of the sum of all replicas' losses.
"""

import atexit
import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from keras_ccsam.backend.host_arrays import gathered, sent, total
from keras_ccsam.backend.launched import launched
from keras_ccsam.backend.waiting import limit, waiting
from keras_ccsam.typing import Tensor

METRICS_ARE_LOCAL = True
OPTIMIZER_SUMS = False
COLLECTIVES_IN_LOOPS = True


def process_count() -> int:
    """The world's size, 1 where torch.distributed has not been initialised."""
    return int(dist.get_world_size()) if _initialized() else 1


def process_index() -> int:
    """The rank."""
    return int(dist.get_rank()) if _initialized() else 0


def _initialized() -> bool:
    return bool(dist.is_available() and dist.is_initialized())


def replica_count() -> int:
    """One in each process."""
    return process_count()


def replica_index() -> int:
    """The rank."""
    return process_index()


def sharded_devices() -> int:
    """The batch of a process is its own: one device each."""
    return 1


def trained_by(model: Any) -> int:
    """The processes."""
    return process_count()


class _Sum(torch.autograd.Function):
    """The sum over the processes; its gradient is the sum of the gradients."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        """Sums a copy."""
        return _summed(tensor)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Sums the gradient."""
        return _summed(grad)


def _summed(tensor: Tensor) -> Tensor:
    copy = tensor.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(copy)
    return copy


def all_reduce(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The sums over the processes, in one message for each type."""
    tensors = list(tensors)
    if process_count() == 1:
        return tensors
    found: dict[int, Tensor] = {}
    for kind in dict.fromkeys(tensor.dtype for tensor in tensors):
        places = [i for i, tensor in enumerate(tensors) if tensor.dtype == kind]
        flat = torch.cat([tensors[i].reshape(-1) for i in places])
        parts = torch.split(_Sum.apply(flat), [tensors[i].numel() for i in places])
        for i, part in zip(places, parts, strict=True):
            found[i] = part.reshape(tensors[i].shape)
    return [found[i] for i in range(len(tensors))]


class _Rows(torch.autograd.Function):
    """The rows of all processes; the gradient of this one's is summed over all of them."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, rows: tuple[int, ...]) -> Tensor:
        """Gathers; shorter parts are filled up for the way."""
        ctx.rows = rows
        most = max(rows)
        sent = tensor.contiguous()
        if len(tensor) < most:
            fill = torch.zeros(
                (most - len(tensor), *tensor.shape[1:]), dtype=tensor.dtype, device=tensor.device
            )
            sent = torch.cat([sent, fill])
        received = [torch.empty_like(sent) for _ in rows]
        dist.all_gather(received, sent)
        return torch.cat([part[:n] for part, n in zip(received, rows, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """This process's rows of the summed gradient."""
        start = sum(ctx.rows[: process_index()])
        return _summed(grad)[start : start + ctx.rows[process_index()]], None


def all_gather(tensor: Tensor, rows: Sequence[int] | None = None) -> Tensor:
    """The rows of all processes, in their order."""
    if process_count() == 1:
        return tensor
    known = tuple(int(n) for n in rows) if rows is not None else tuple(replica_rows(len(tensor)))
    if tensor.dtype == torch.bool:  # not every engine sends it
        return _Rows.apply(tensor.to(torch.uint8), known).to(torch.bool)
    return _Rows.apply(tensor, known)


def replica_rows(rows: int) -> list[int]:
    """How many rows each replica has, of their numbers here."""
    if process_count() == 1:
        return [rows]
    own = torch.tensor([rows], device=_device())
    counts = [torch.empty_like(own) for _ in range(process_count())]
    dist.all_gather(counts, own)
    return [int(count) for count in torch.cat(counts).tolist()]


def _gather_bytes(data: np.ndarray) -> np.ndarray:
    own = torch.from_numpy(np.array(data)).to(_device())
    parts = [torch.empty_like(own) for _ in range(process_count())]
    dist.all_gather(parts, own)
    return torch.stack(parts).cpu().numpy()


def _send_bytes(data: np.ndarray) -> np.ndarray:
    own = torch.from_numpy(np.array(data)).to(_device())
    dist.broadcast(own, 0)
    return own.cpu().numpy()


def _device() -> str:
    """Where the group can move what is not on a device yet."""
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


def host_sum(array: Any) -> np.ndarray:
    """The sum over the processes."""
    return np.asarray(array) if process_count() == 1 else total(gathered(array, _gather_bytes))


def broadcast_host(array: Any) -> np.ndarray:
    """The array of process 0."""
    if process_count() == 1:
        return np.asarray(array)
    return sent(array, process_index(), _gather_bytes, _send_bytes)


def barrier() -> None:
    """Waits for all processes."""
    if process_count() > 1:
        dist.barrier()


def host_gather(array: Any) -> list[np.ndarray]:
    """The arrays of all processes."""
    return [np.asarray(array)] if process_count() == 1 else gathered(array, _gather_bytes)


def batch_rows(size: int) -> np.ndarray:
    """The rows of a global batch that this process takes: one part of several, in order."""
    count, index = process_count(), process_index()
    if size < count:
        size, whole = _repeated(size, count)
        return np.array_split(whole, count)[index]
    return np.array_split(np.arange(size), count)[index]


def _repeated(size: int, count: int) -> tuple[int, np.ndarray]:
    times = count // int(np.gcd(size, count))
    return size * times, np.tile(np.arange(size), times)


def join_processes() -> bool:
    """Initialises torch.distributed where a launcher started several processes.

    They wait for each other as `waiting` has it, and part when Python ends, if not before: with the
    group open, gloo's threads make its end an abort now and then.

    Raises:
        ValueError: this PyTorch lacks torch.distributed, or the launcher says what cannot be.
    """
    if _initialized():
        return process_count() > 1
    found = launched(os.environ)
    if found is None:
        return False
    if not dist.is_available():
        raise ValueError(
            "This PyTorch was built without torch.distributed, so its processes cannot train "
            f"together. Received: {found.processes} processes"
        )
    engine = "gloo"
    if torch.cuda.is_available():
        engine = "cpu:gloo,cuda:nccl"
        torch.cuda.set_device(found.on_machine % torch.cuda.device_count())
    place, count = found.place, found.processes
    seconds = limit()
    # PyTorch's own limit comes later, since it prints a stack.
    longer = timedelta(seconds=2 * seconds + 60)
    try:
        with waiting(found, seconds):
            meeting = dist.rendezvous(f"tcp://{found.address}", place, count, timeout=longer)
            store, _, _ = next(meeting)
            dist.init_process_group(engine, store=store, rank=place, world_size=count)
            atexit.register(_part)
    except dist.DistError as error:
        words = str(error).splitlines()[0]
        raise ValueError(
            f"process {place} of {count} cannot join the others: {words} "
            f"Received: address={found.address!r}"
        ) from error
    return True


def _part() -> None:
    """Closes the group that this process has joined, where it is still open."""
    if _initialized():
        dist.destroy_process_group()


def make_devices(count: int) -> None:
    """Nothing: a process has one device."""


@contextlib.contextmanager
def share_devices(count: int) -> Iterator[None]:
    """One device only: PyTorch has a process for each.

    Raises:
        ValueError: for more.
    """
    if count != 1:
        raise ValueError(
            "PyTorch trains on several devices with a process for each: start them with torchrun. "
            f"Received: devices={count}"
        )
    yield
