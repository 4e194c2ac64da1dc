"""A model for as long as several devices or processes train it."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from keras_ccsam import backend
from keras_ccsam.layers.over_replicas import over_replicas
from keras_ccsam.layers.walk import all_layers

SMALL_BATCH = 16
"""Rows of a replica below which BatchNorm's error grows (Wu and He, Group Normalization, ECCV 2018,
figure 1: alike with 32 and 16 images a device, worse from 8 on)."""

_OFFSET = 0x9E3779B1  # an odd number: no two processes get one seed


class Shared(Protocol):
    """The model, as it is prepared here."""

    backbone: keras.Layer
    head: keras.Layer
    batch_norm_sync: str
    built: bool
    optimizer: Any
    _found: SimpleNamespace

    @property
    def variables(self) -> list[keras.Variable]:
        """All of them."""
        ...


@contextmanager
def together(model: Any, known: bool = False) -> Iterator[None]:
    """A model that trains on all devices or processes that share its batches, for this block.

    All processes start from the variables of process 0, the optimizer's too. BatchNorm takes the
    statistics of the global batch, unless the model says otherwise. On PyTorch the seeds of layers
    that draw at random are another in each process, and meanwhile only.

    Args:
        model: a `SharpnessAwareModel`. With one device nothing is done to it.
        known: whether the processes are known to have the same variables.

    Raises:
        ValueError: where the result would silently be another than on one device; see
            `check_shared`. Where the model is not built, or not the same in all processes.
    """
    devices = backend.trained_by(model)
    if devices == 1:
        yield
        return
    check_shared(model)
    if backend.process_count() > 1 and not known:
        same_variables(model)
    synchronised = model.batch_norm_sync == "global" and backend.sharded_devices() == 1
    if not synchronised:
        with _own_seeds(model):
            yield
        return
    with over_replicas(model), _own_seeds(model):
        yield


def check_shared(model: Any) -> None:
    """Refuses what several replicas would silently make another method of.

    Args:
        model: about to train.

    Raises:
        ValueError: on PyTorch and TensorFlow, for a `compute_loss` of the model's own, loss
            weights, terms of the loss, or an activity regulariser; on JAX, for
            `batch_norm_sync="replica"`.
    """
    if backend.sharded_devices() > 1:
        if model.batch_norm_sync == "replica":
            raise ValueError(
                "On JAX a step sees the global batch, and no replica: BatchNormalization can only "
                "take the statistics of that batch. Received: batch_norm_sync='replica'"
            )
        return
    if model.terms:
        raise ValueError(
            "On several replicas a term of the loss would see the rows of one, and count them by "
            "itself: train on one device, or on JAX, where it sees the global batch. Received: "
            f"terms={[term.name for term in model.terms]}"
        )
    kind = type(model)
    own = next(base for base in kind.__mro__ if "compute_loss" in vars(base))
    if not own.__module__.startswith("keras_ccsam."):
        raise ValueError(
            "On several replicas the compiled loss is shared out among them, and a model with a "
            f"compute_loss of its own has another. Received: model={kind.__name__}"
        )
    if model._found.weighted:
        raise ValueError(
            "On several replicas loss_weights are not known to the shares of the loss: there is "
            "one loss, so give the weight to it. Received: loss_weights is not None"
        )
    for layer in all_layers(model):
        if getattr(layer, "activity_regularizer", None) is not None:
            raise ValueError(
                "An activity regulariser adds up over the rows that a replica has, which are not "
                "those of the batch. Use a kernel regulariser, one device, or JAX. Received: "
                f"activity_regularizer={layer.activity_regularizer!r} of the layer {layer.name!r}"
            )


def same_variables(model: Shared) -> None:
    """Gives every process the variables of process 0, in one message.

    Args:
        model: built.

    Raises:
        ValueError: in all processes, where one has another number of variables, or of others'
            shapes or types; or where the model is not built.
    """
    if not model.built:
        raise ValueError(
            "Several processes must start from the same weights, and there are none yet: build the "
            "model before it is trained. Received: model.built=False"
        )
    variables = [*model.variables]
    if model.optimizer is not None and model.optimizer.built:
        variables += model.optimizer.variables
    own = [np.asarray(ops.convert_to_numpy(variable)) for variable in variables]
    form = [f"{array.dtype} {array.shape}" for array in own]
    first = [str(text) for text in backend.broadcast_host(np.array(form))]
    differ = int(backend.host_sum(int(form != first)))
    if differ:
        unlike = [f", {a} for {b}" for a, b in zip(form, first, strict=False) if a != b]
        raise ValueError(
            "The processes have different models, or optimizers that are not all built: "
            f"{differ} of them have other variables than process 0. Received here: "
            f"{len(form)} variables for {len(first)}{''.join(unlike[:1])}"
        )
    data = np.concatenate([np.frombuffer(array.tobytes(), "uint8") for array in own])
    sent = backend.broadcast_host(data)
    if np.array_equal(data, sent):
        return
    start = 0
    for variable, array in zip(variables, own, strict=True):
        stop = start + array.nbytes
        variable.assign(np.frombuffer(sent[start:stop].tobytes(), array.dtype).reshape(array.shape))
        start = stop


@contextmanager
def _own_seeds(model: Shared) -> Iterator[None]:
    """Layers draw other random numbers in each process: its rows are not the others'."""
    place = backend.process_index()
    if place == 0 or backend.sharded_devices() > 1:
        yield
        return
    states = [
        variable
        for layer in (model.backbone, model.head)
        for variable in layer.variables
        if variable.path.endswith("seed_generator_state")
    ]
    _move(states, place * _OFFSET)
    try:
        yield
    finally:
        _move(states, -place * _OFFSET)


def _move(states: Sequence[keras.Variable], offset: int) -> None:
    for state in states:
        seed, *rest = (int(n) for n in ops.convert_to_numpy(state))
        state.assign(np.array([(seed + offset) % 2**32, *rest], "uint32"))


def warn_of_small_batches(model: Any, rows: int | None) -> None:
    """Warns of a BatchNorm whose statistics are those of a few rows.

    Args:
        model: in training on several replicas.
        rows: the fewest of a replica, where that is known.
    """
    few = rows is not None and rows < SMALL_BATCH
    if few and model.batch_norm_sync == "replica" and model.coupling.batch_norms:
        warnings.warn(
            f"BatchNormalization takes the statistics of {rows} rows here, with "
            "batch_norm_sync='replica': use 'global', larger batches, or GroupNormalization",
            stacklevel=2,
        )
